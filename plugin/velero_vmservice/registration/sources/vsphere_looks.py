"""Look into vCenter for the sake of a namespace's VMs: once in a round, however many ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.errors import VmServiceError
from velero_vmservice.registration.round_cache import Look, VsphereLook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vsphere.ports import VsphereInventory
    from velero_vmservice.vsphere.vm import SupervisorView


class VsphereLooks:
    """vCenter's inventory, and what it is read against."""

    def __init__(
        self, *, inventory: VsphereInventory, supervisor: Callable[[str, NamespaceState | None], SupervisorView]
    ) -> None:
        self._inventory = inventory
        self._supervisor = supervisor

    def look(self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None) -> VsphereLook:
        """Return what this round has seen in vCenter; the first call looks there.

        The first call asks for all VMs of the round. Raises as the inventory does; a later call in the round raises
        the same error again.
        """
        seen = look or Look()
        if seen.vsphere_problem is not None:
            raise seen.vsphere_problem
        if seen.vsphere is None:
            supervisor = self._supervisor(namespace, seen.observed)
            try:
                vsphere_vms = self._inventory.look(namespace, vms, folders=supervisor.folders)
            except VmServiceError as error:
                seen.vsphere_problem = error
                raise
            seen.vsphere = VsphereLook(supervisor=supervisor, machines=tuple(vsphere_vms))
        return seen.vsphere
