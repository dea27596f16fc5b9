"""Which resources an emulated Supervisor serves, and how it announces them.

One table, newest version first, as API discovery needs it. It holds what the product reads and writes and what
the Supervisor player creates, nothing else: a resource that is missing here is one the product must survive
without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VM_OPERATOR: Final = "vmoperator.vmware.com"
VM_OPERATOR_VERSIONS: Final = ("v1alpha5", "v1alpha4", "v1alpha3", "v1alpha2")
SUPERVISOR_GROUPS: Final = ("appplatform.wcp.vmware.com", "iaas.vmware.com")

_VERBS: Final = ["create", "delete", "deletecollection", "get", "list", "patch", "update"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind the API serves; `versions` newest first, `status` says whether it has a status subresource."""

    group: str
    plural: str
    kind: str
    versions: Sequence[str] = ("v1",)
    namespaced: bool = True
    status: bool = True
    short_names: Sequence[str] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.plural

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition stands behind it: no strategic merge patches then."""
        return self.group.endswith((".com", ".io")) and not self.group.endswith(".k8s.io")

    def api_version(self, version: str = "") -> str:
        """Spell `apiVersion`; the newest one by default."""
        return "/".join(part for part in (self.group, version or self.versions[0]) if part)


def _core(plural: str, kind: str, **fields: Any) -> Resource:
    return Resource(group="", plural=plural, kind=kind, **fields)


def _vm_operator(plural: str, kind: str, *short_names: str) -> Resource:
    return Resource(group=VM_OPERATOR, plural=plural, kind=kind, versions=VM_OPERATOR_VERSIONS, short_names=short_names)


def _velero(plural: str, kind: str) -> Resource:
    return Resource(group="velero.io", plural=plural, kind=kind, status=False)


NAMESPACE: Final = _core("namespaces", "Namespace", namespaced=False)

RESOURCES: Final = (
    NAMESPACE,
    _core("configmaps", "ConfigMap", status=False),
    _core("endpoints", "Endpoints", status=False),
    _core("events", "Event", status=False),
    _core("persistentvolumeclaims", "PersistentVolumeClaim"),
    _core("persistentvolumes", "PersistentVolume", namespaced=False),
    _core("pods", "Pod"),
    _core("secrets", "Secret", status=False),
    _core("serviceaccounts", "ServiceAccount", status=False),
    _core("services", "Service"),
    Resource(group="apps", plural="deployments", kind="Deployment"),
    Resource(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice", status=False),
    Resource(
        group="apiextensions.k8s.io",
        plural="customresourcedefinitions",
        kind="CustomResourceDefinition",
        namespaced=False,
    ),
    _vm_operator("virtualmachines", "VirtualMachine", "vm"),
    _vm_operator("virtualmachineservices", "VirtualMachineService", "vmservice"),
    _vm_operator("virtualmachinegroups", "VirtualMachineGroup", "vmg"),
    _vm_operator("virtualmachineclasses", "VirtualMachineClass"),
    Resource(group="storage.k8s.io", plural="storageclasses", kind="StorageClass", namespaced=False, status=False),
    Resource(group="cns.vmware.com", plural="cnsregistervolumes", kind="CnsRegisterVolume", versions=("v1alpha1",)),
    Resource(
        group="appplatform.wcp.vmware.com",
        plural="supervisorservices",
        kind="SupervisorService",
        versions=("v1alpha1",),
        namespaced=False,
    ),
    Resource(
        group="iaas.vmware.com",
        plural="capabilities",
        kind="Capabilities",
        versions=("v1alpha1",),
        namespaced=False,
    ),
    _velero("backups", "Backup"),
    _velero("restores", "Restore"),
    _velero("backupstoragelocations", "BackupStorageLocation"),
    _velero("deletebackuprequests", "DeleteBackupRequest"),
    _velero("schedules", "Schedule"),
)


def resources(
    *, supervisor: bool = True, versions: Sequence[str] = VM_OPERATOR_VERSIONS, without: Iterable[str] = ()
) -> tuple[Resource, ...]:
    """Return the table of one kind of cluster.

    Args:
        supervisor: Serve the API groups that only a Supervisor has.
        versions: What VM Operator serves, newest first; () for a cluster without VM Operator.
        without: Plurals that are not served, e.g. `virtualmachinegroups` on vSphere 8.0 U3.
    """
    missing = set(without)
    kept = []
    for resource in RESOURCES:
        if resource.plural in missing or (not supervisor and resource.group in SUPERVISOR_GROUPS):
            continue
        if resource.group == VM_OPERATOR:
            if not versions:
                continue
            kept.append(replace(resource, versions=tuple(versions)))
        else:
            kept.append(resource)
    return tuple(kept)


def group_list(served: Iterable[Resource]) -> dict[str, Any]:
    """Write the answer to `/apis`."""
    groups: dict[str, list[str]] = {}
    for resource in served:
        if resource.group:
            known = groups.setdefault(resource.group, [])
            known.extend(version for version in resource.versions if version not in known)
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions) for name, versions in sorted(groups.items())],
    }


def _group(name: str, versions: Sequence[str]) -> dict[str, Any]:
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": served, "preferredVersion": served[0]}


def resource_list(served: Iterable[Resource], group: str, version: str) -> dict[str, Any] | None:
    """Write the answer to `/api/v1` or `/apis/<group>/<version>`; None when nothing is served there."""
    matching = [resource for resource in served if resource.group == group and version in resource.versions]
    entries: list[dict[str, Any]] = []
    for resource in matching:
        entry = {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": _VERBS,
            **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
        }
        entries.append(entry)
        if resource.status:
            entries.append({**entry, "name": f"{resource.plural}/status", "verbs": ["get", "patch", "update"]})
    if not matching:
        return None
    group_version = "/".join(part for part in (group, version) if part)
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}
