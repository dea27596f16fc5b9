"""Whether this cluster is a vSphere Supervisor, and the resources that are therefore left to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import VM_OPERATOR_GROUP
from velero_vmservice.vmoperator import marks, restricted

if TYPE_CHECKING:
    from collections.abc import Collection

    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """The restricted resources, by the administrator's settings and by the cluster."""

    cluster: Cluster
    setting: Literal["detect", "yes", "no"] = "detect"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def present(self) -> bool:
        """Say whether the cluster is a Supervisor: VM Operator's API beside one that only Supervisors serve.

        A cluster may become one while the plugin runs, so call this once per item.
        """
        if self.setting != "detect":
            return self.setting == "yes"
        serves = self.cluster.serves_group
        return serves(VM_OPERATOR_GROUP) and any(serves(group) for group in marks.SUPERVISOR_MARKERS)

    def restricted(self, *, present: bool, blocked: Collection[str] = ()) -> frozenset[str]:
        """Return the `resource.group` names that are left to the Supervisor; `present` says whether there is one.

        `blocked` are the names that velero-plugin-for-vsphere refuses (`vsphere_plugin`); an administrator may remove
        some.
        """
        names = self._restricted_here if present else self._restricted_elsewhere
        return _with_blocked(names, frozenset(blocked), self.remove) if blocked else names

    def ever_restricted(self, blocked: Collection[str]) -> frozenset[str]:
        """Return all names that may be restricted for an item: the selector of the actions."""
        return self.restricted(present=True, blocked=(*restricted.DECLARED_RESOURCES, *blocked))

    def resource_name(self, manifest: Manifest, candidates: Collection[str]) -> str:
        """Return the `resource.group` name of the object among the candidates, or ''; never fails."""
        if manifest.group not in _groups(frozenset(candidates)):
            return ""
        try:
            plural = self.cluster.plural(manifest.group, manifest.kind_name)
        except VmServiceError:
            plural = ""  # fall back to the regular ending
        return restricted.resource_name(manifest, candidates, plural=plural)

    @cached_property
    def _restricted_here(self) -> frozenset[str]:
        return restricted.restricted_resources(supervisor=True, add=self.add, remove=self.remove)

    @cached_property
    def _restricted_elsewhere(self) -> frozenset[str]:
        return restricted.restricted_resources(supervisor=False, add=self.add, remove=self.remove)


# Both are called for every item of a backup, thousands of times with the same few sets.
@lru_cache(maxsize=16)
def _with_blocked(names: frozenset[str], blocked: frozenset[str], remove: tuple[str, ...]) -> frozenset[str]:
    return names | restricted.restricted_resources(supervisor=False, add=blocked, remove=remove)


@lru_cache(maxsize=16)
def _groups(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.partition(".")[2] for name in names)
