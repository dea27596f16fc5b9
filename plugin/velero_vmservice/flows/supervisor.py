"""Is this cluster a vSphere Supervisor, and which resources are therefore left to it?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from velero_vmservice.core import policy
from velero_vmservice.core.errors import VmServiceError
from velero_vmservice.core.manifest import VM_OPERATOR_GROUP

if TYPE_CHECKING:
    from collections.abc import Collection

    from velero_vmservice.core.manifest import Manifest
    from velero_vmservice.core.ports import Cluster


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """The administrator's word on what is restricted, and the cluster's."""

    cluster: Cluster
    told: Literal["detect", "yes", "no"] = "detect"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def present(self) -> bool:
        """Say whether the cluster is a Supervisor: VM Operator's API beside one that only Supervisors serve.

        Asked of the cluster, which may become one; so ask once for an item.
        """
        if self.told != "detect":
            return self.told == "yes"
        serves = self.cluster.serves_group
        return serves(VM_OPERATOR_GROUP) and any(serves(group) for group in policy.SUPERVISOR_MARKERS)

    def restricted(self, *, present: bool) -> frozenset[str]:
        """Return the `resource.group` names that are left to the Supervisor, where there is one or is none."""
        return self.ever_restricted if present else self._restricted_elsewhere

    @cached_property
    def ever_restricted(self) -> frozenset[str]:
        """The names that are restricted on any cluster: what actions are called for, decided without I/O."""
        return policy.restricted_resources(supervisor=True, add=self.add, remove=self.remove)

    def resource_name(self, manifest: Manifest, candidates: Collection[str]) -> str:
        """Return the `resource.group` name among the candidates that the object is one of, or ''; never fails."""
        if all(name.partition(".")[2] != manifest.group for name in candidates):
            return ""
        try:
            plural = self.cluster.plural(manifest.group, manifest.kind_name)
        except VmServiceError:
            plural = ""  # the regular ending has to do
        return policy.resource_name(manifest, candidates, plural=plural)

    @cached_property
    def _restricted_elsewhere(self) -> frozenset[str]:
        return policy.restricted_resources(supervisor=False, add=self.add, remove=self.remove)
