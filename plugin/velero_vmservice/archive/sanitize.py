"""What is removed from a manifest before it is stored, and why.

Replaying `kubectl get -o yaml` of nested groups destroys VMs: the groups carry ownerReferences to parents
that no longer exist, are garbage collected, and take their freshly restored members with them. The rules are
vm-service 4.8; the source of each is named beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.documents import Dropped
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, VM_OPERATOR_GROUP, Manifest
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT_METADATA: Final = frozenset({"name", "namespace", "labels", "annotations"})

_METADATA: Final = {
    "uid": "identifies the lost object",
    "resourceVersion": "belongs to the lost object; a create that carries one is refused",
    "generation": "counted by the API server",
    "creationTimestamp": "set by the API server",
    "deletionTimestamp": "set by the API server",
    "deletionGracePeriodSeconds": "set by the API server",
    "managedFields": "kept by the API server",
    "ownerReferences": "names a lost owner: Kubernetes would delete the object, and a group's VMs with it",
    "finalizers": "added by VM Operator to what it manages",
    "selfLink": "set by old API servers",
    "generateName": "the name is already chosen",
}

_ANNOTATIONS: Final = {
    "kubectl.kubernetes.io/last-applied-configuration": "a client's copy of an older manifest, copied onto the Service",
    f"{VM_OPERATOR_GROUP}/conversion": "holds the whole lost object and overrides fields on write (utilconversion)",
    "ncp/healthCheckNodePort": "written back by the load-balancer provider (virtualmachineservice_controller.go)",
    f"{VM_OPERATOR_GROUP}.protected/apply-power-state-time": "would be taken as the base time of the power state",
    marks.CAPTURE_ANNOTATION: "links a backup's item to its capture; VM Operator would copy it onto the Service",
    marks.SKIP_FROM_BACKUP: "tells Velero to leave the object out of one backup",
}

_PROTECTED: Final = f"{VM_OPERATOR_GROUP}.protected/"
"""Domain of annotations that only VM Operator may write, and that it acts on."""

_LABELS: Final = {
    "service.kubernetes.io/service-proxy-name": "written back by the load-balancer provider; elsewhere it hides the"
    " Service from kube-proxy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanitized:
    """A manifest that can be created anywhere, and what was removed from it."""

    manifest: Manifest
    dropped: tuple[Dropped, ...]


def sanitize(manifest: Manifest) -> Sanitized:
    """Return the manifest without the parts that tie it to the lost object. A second pass drops nothing."""
    content = manifest.editable()
    dropped: list[Dropped] = []

    def drop(holder: dict[str, Any], key: str, path: str, reason: str) -> None:
        del holder[key]
        dropped.append(Dropped(path=path, reason=reason))

    _sanitize_metadata(content.setdefault("metadata", {}), drop)
    if "status" in content:
        drop(content, "status", "status", "reported by VM Operator")
    spec = content.get("spec")
    if isinstance(spec, dict):
        _SPEC.get(manifest.kind_name, _keep)(spec, drop)
    return Sanitized(manifest=Manifest(content), dropped=tuple(sorted(dropped, key=lambda field: field.path)))


def _sanitize_metadata(metadata: dict[str, Any], drop: Callable[[dict[str, Any], str, str, str], None]) -> None:
    for key in [key for key in metadata if key not in _KEPT_METADATA]:
        drop(metadata, key, f"metadata.{key}", _METADATA.get(key, "not part of what a user declares"))
    for field, reasons in (("annotations", _ANNOTATIONS), ("labels", _LABELS)):
        entries = metadata.get(field)
        if not isinstance(entries, dict):
            metadata.pop(field, None)
            continue
        for key in list(entries):
            if key in reasons:
                drop(entries, key, f"metadata.{field}[{key}]", reasons[key])
            elif field == "annotations" and key.startswith(_PROTECTED):
                drop(entries, key, f"metadata.{field}[{key}]", "only VM Operator may set it")
            elif field == "labels" and key.startswith(marks.VELERO_LABEL_PREFIX):
                drop(entries, key, f"metadata.{field}[{key}]", "names an earlier restore")
        if not entries:
            del metadata[field]


def _sanitize_service(spec: dict[str, Any], drop: Callable[[dict[str, Any], str, str, str], None]) -> None:
    if "clusterIp" in spec and spec["clusterIp"] != "None":
        drop(spec, "clusterIp", "spec.clusterIp", "may be taken; the service would then never get its Service")


def _sanitize_group(spec: dict[str, Any], drop: Callable[[dict[str, Any], str, str, str], None]) -> None:
    for key, reason in (
        ("nextForcePowerStateSyncTime", 'refused unless it is "now"'),
        ("powerState", "would boot VMs before they are validated; kept beside the manifest"),
    ):
        if key in spec:
            drop(spec, key, f"spec.{key}", reason)


def _keep(spec: dict[str, Any], drop: Callable[[dict[str, Any], str, str, str], None]) -> None:
    """Leave the spec of any other kind as it is."""


_SPEC: Final = {
    VIRTUAL_MACHINE_SERVICE.name: _sanitize_service,
    VIRTUAL_MACHINE_GROUP.name: _sanitize_group,
}
