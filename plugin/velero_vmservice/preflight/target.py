"""The namespace that a restore goes into, looked at before the VADP restore begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import (
    PERSISTENT_VOLUME_CLAIM,
    RESOURCE_QUOTA,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    mapping,
)
from velero_vmservice.preflight.state import RecordedNamespace
from velero_vmservice.supervisor import observe
from velero_vmservice.vmoperator import releases
from velero_vmservice.vmoperator.marks import MANAGER_ID_ANNOTATION
from velero_vmservice.vmoperator.references import referred_kinds
from velero_vmservice.vmoperator.virtual_machine import volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.supervisor.observe import TargetCapabilities
    from velero_vmservice.vmoperator.releases import SupervisorRelease

log = structlog.get_logger()

_OF_STORAGE_CLASS: Final = ".storageclass.storage.k8s.io/requests.storage"
"""Ends the key of a quota with which vCenter assigns a storage policy to a vSphere Namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A namespace as it is before a restore."""

    state: NamespaceState
    release: SupervisorRelease
    present: Mapping[Kind, Collection[str]] = field(default_factory=dict)
    """Names of what VMs refer to, of each kind that could be listed."""
    assigned_storage: frozenset[str] | None = None
    """Storage classes that the namespace's quotas name; None if none does, or they may not be listed."""
    without_groups: str = ""
    """Why VirtualMachineGroups cannot be had here; '' if they can, or that is not known."""
    vcenters: frozenset[str] = frozenset()
    """Ids of the vCenter that VMs of this Supervisor were recorded in; empty if no VM says."""


class Targets:
    """Looks at the target of a restore."""

    def __init__(self, *, cluster: Cluster, clock: Clock, capabilities: TargetCapabilities) -> None:
        self._cluster = cluster
        self._clock = clock
        self._capabilities = capabilities

    def vcenters(self) -> frozenset[str]:
        """Return the ids of the vCenters that VMs of this Supervisor belong to; none where that cannot be read."""
        try:
            ids = self._cluster.read_all(VIRTUAL_MACHINE, "", _manager_id, metadata_only=True)
        except VmServiceError as error:
            log.info("vCenter of the target not known", cause=error.message, hint=error.hint)
            return frozenset()
        return frozenset(ids) - {""}

    def look(self, namespace: str, vms: Collection[VmFacts], *, vcenters: frozenset[str]) -> Target:
        """Return the namespace that the VMs are to be restored into; `vcenters` are those of its Supervisor.

        Raises what the cluster raises where its VMs may not be listed; anything else that may not be read is unknown.
        """
        served = self._cluster.served_versions(VIRTUAL_MACHINE_GROUP)
        return Target(
            state=observe.look_at_vms(self._cluster, self._clock, namespace),
            release=self._capabilities.generation(),
            present=observe.referred(self._cluster, namespace, referred_kinds(vms)),
            assigned_storage=self._assigned_storage(namespace),
            without_groups=releases.groups_blocked(served, self._capabilities.now()),
            vcenters=vcenters,
        )

    def record(self, namespace: str, vms: Collection[str]) -> RecordedNamespace:
        """Return VMs and their PVCs as they are now, to be kept (guide 9.2, step 1)."""

        def wanted(names: Collection[str]) -> Callable[[Manifest], Manifest | None]:
            return lambda manifest: manifest if manifest.name in names else None

        recorded = [vm for vm in self._cluster.read_all(VIRTUAL_MACHINE, namespace, wanted(vms)) if vm is not None]
        claims = {claim for vm in recorded for claim in volumes(vm).values()}
        listed = self._cluster.read_all(PERSISTENT_VOLUME_CLAIM, namespace, wanted(claims))
        return RecordedNamespace(
            namespace=namespace,
            vms=tuple(dict(vm.content) for vm in recorded),
            claims=tuple(dict(claim.content) for claim in listed if claim is not None),
        )

    def _assigned_storage(self, namespace: str) -> frozenset[str] | None:
        try:
            listed = self._cluster.read_all(RESOURCE_QUOTA, namespace, _storage_classes)
        except VmServiceError as error:
            log.info("assigned storage not known", namespace=namespace, cause=error.message, hint=error.hint)
            return None
        return frozenset[str]().union(*listed) or None


def _storage_classes(quota: Manifest) -> frozenset[str]:
    keys = mapping(quota.spec.get("hard")).keys()
    return frozenset(key.removesuffix(_OF_STORAGE_CLASS) for key in keys if key.endswith(_OF_STORAGE_CLASS))


def _manager_id(vm: Manifest) -> str:
    return str(vm.annotations.get(MANAGER_ID_ANNOTATION, ""))
