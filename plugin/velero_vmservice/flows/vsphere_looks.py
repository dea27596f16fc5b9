"""Look into vCenter for the sake of a namespace's machines: once in a round, however many ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core.errors import VmServiceError
from velero_vmservice.core.look import Look, VsphereLook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from velero_vmservice.core.observation import Observation
    from velero_vmservice.core.ports import VsphereInventory
    from velero_vmservice.core.registration import Wanted
    from velero_vmservice.core.vsphere_machine import SupervisorView


class VsphereLooks:
    """vCenter's inventory, and what it is read against."""

    def __init__(
        self, *, inventory: VsphereInventory, supervisor: Callable[[str, Observation | None], SupervisorView]
    ) -> None:
        self._inventory = inventory
        self._supervisor = supervisor

    def look(self, namespace: str, machines: Collection[Wanted], look: Look | None = None) -> VsphereLook:
        """Return what this round's look has seen in vCenter, and look there if nobody has yet.

        Whoever looks first asks for all machines that the round is about. Raises as the inventory does, and what it
        raised again to whoever asks in the same round.
        """
        seen = look or Look()
        if seen.vsphere_problem is not None:
            raise seen.vsphere_problem
        if seen.vsphere is None:
            supervisor = self._supervisor(namespace, seen.observed)
            try:
                found = self._inventory.look(namespace, machines, folders=supervisor.folders)
            except VmServiceError as error:
                seen.vsphere_problem = error
                raise
            seen.vsphere = VsphereLook(supervisor=supervisor, machines=tuple(found))
        return seen.vsphere
