"""The player's own view of the Kubernetes API: objects as plain dictionaries, through the dynamic client.

The product has a client of its own; the player must not share its mistakes, nor import it. Errors are the
dynamic client's: tests of the player want to see them.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubernetes.client import ApiClient

Object = dict[str, Any]

VM_OPERATOR_API: Final = "vmoperator.vmware.com/v1alpha5"
_API_VERSIONS: Final = {
    "CnsRegisterVolume": "cns.vmware.com/v1alpha1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
}
_MERGE: Final = "application/merge-patch+json"
_CALL: Final = {"_request_timeout": (5, 30)}
_PAGE: Final = 500


class Cluster:
    """One Supervisor's API; `writes` counts what was asked to change. Safe to use from several threads."""

    def __init__(self, api_client: ApiClient, *, vm_operator: str = VM_OPERATOR_API) -> None:
        """Make one; `vm_operator` is the version at which VM Operator's kinds are read and written."""
        folder = tempfile.mkdtemp(prefix="supervisor-")  # the client's discovery cache must not outlive this API
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        cache = str(Path(folder, "discovery.json"))
        self.writes = 0
        self._vm_operator = vm_operator
        self._client = DynamicClient(api_client, cache_file=cache)  # type: ignore[no-untyped-call]  # theirs

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return an object, or None; also when the kind is not served."""
        try:
            return self._read(self._resource(kind).get(name=name, namespace=namespace or None, **_CALL))
        except (NotFoundError, ResourceNotFoundError):
            return None

    def list(self, kind: str, namespace: str = "", *, labels: Mapping[str, str] | None = None) -> Sequence[Object]:
        """Return all objects of a kind, everywhere or in one namespace."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        items: list[Object] = []
        token = None
        try:
            resource = self._resource(kind)
        except ResourceNotFoundError:  # not served, e.g. groups on 8.0 U3
            return items
        while True:
            page = self._read(
                resource.get(
                    namespace=namespace or None, label_selector=selector or None, limit=_PAGE, _continue=token, **_CALL
                )
            )
            items.extend(page["items"])
            token = page["metadata"].get("continue")
            if not token:
                return items

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Create an object and, in a second request, its status if it has one."""
        self.writes += 1
        resource = self._resource(manifest["kind"])
        body = {**manifest, "apiVersion": resource.group_version}
        made = self._read(resource.create(body=body, **_CALL))
        return self.update(made, {**made, "status": manifest["status"]}) if "status" in manifest else made

    def ensure(self, manifest: Mapping[str, Any]) -> Object:
        """Return the object, created unless another thread was faster."""
        try:
            return self.create(manifest)
        except ConflictError:
            existing = self.get(
                manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")
            )
            if existing is None:
                raise
            return existing

    def update(self, before: Object, after: Object) -> Object:
        """Send what differs, status separately, as merge patches; no request when nothing differs."""
        change = difference(before, after)
        status = change.pop("status", None)
        newest = before
        if change:
            newest = self.patch(before, change)
        if status is not None:
            newest = self.patch(before, {"status": status}, subresource="status")
        return newest

    def patch(self, about: Mapping[str, Any], change: Mapping[str, Any], *, subresource: str = "") -> Object:
        """Merge a change into the object that `about` names."""
        self.writes += 1
        resource = self._resource(about["kind"])
        target = getattr(resource, subresource) if subresource else resource
        metadata = about["metadata"]
        return self._read(
            target.patch(
                body=dict(change),
                name=metadata["name"],
                namespace=metadata.get("namespace"),
                content_type=_MERGE,
                **_CALL,
            )
        )

    def delete(self, about: Mapping[str, Any], *, propagation: str = "Background") -> None:
        """Delete exactly this object, not a namesake made since; one that is gone is fine."""
        self.writes += 1
        metadata = about["metadata"]
        options = {"propagationPolicy": propagation, "preconditions": {"uid": metadata["uid"]}}
        try:
            self._resource(about["kind"]).delete(
                name=metadata["name"], namespace=metadata.get("namespace"), body=options, **_CALL
            )
        except NotFoundError:
            return

    def _resource(self, kind: str) -> Any:
        version = self._vm_operator if kind.startswith("VirtualMachine") else _API_VERSIONS.get(kind, "v1")
        return self._client.resources.get(api_version=version, kind=kind)

    @staticmethod
    def _read(answer: Any) -> Object:
        read: Object = answer.to_dict()
        return read


def difference(before: Any, after: Any) -> dict[str, Any]:
    """Return the JSON merge patch that turns one object into the other; lists are replaced whole."""
    change: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict | None):
            if inner := difference(old or {}, value):
                change[key] = inner
        elif value != old:
            change[key] = value
    return change


def edit(item: Object) -> Object:
    """Return a deep copy that may be changed, with the maps that every object has in place."""
    copied = copy.deepcopy(item)
    for name in ("labels", "annotations"):
        copied["metadata"].setdefault(name, {})
    copied.setdefault("spec", {})
    copied.setdefault("status", {})
    return copied
