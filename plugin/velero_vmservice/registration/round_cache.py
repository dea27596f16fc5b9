"""What a round has seen of a namespace so far, so that no source looks twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.errors import Unavailable, VmServiceError
from velero_vmservice.vsphere.vm import TaskState, is_same_task

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vsphere.ports import VsphereInventory
    from velero_vmservice.vsphere.vm import RegisterEvent, RegisterTask, SupervisorView, VsphereVm


@dataclass(frozen=True, slots=True, kw_only=True)
class VsphereLook:
    """What vCenter has of the VMs of a namespace, and what that is read against."""

    supervisor: SupervisorView
    machines: Sequence[VsphereVm]
    _tasks: Mapping[str, RegisterTask] = field(init=False, repr=False)
    """The newest of each VM, by managed object id."""
    _events: Mapping[str, RegisterEvent] = field(init=False, repr=False)
    """Likewise."""

    def __post_init__(self) -> None:
        events = {vm.moid: vm.event for vm in self.machines if vm.event is not None}
        object.__setattr__(self, "_events", events)
        tasks = {vm.moid: vm.task for vm in self.machines if vm.task is not None}
        object.__setattr__(self, "_tasks", tasks)

    def task(self, moid: str, task_id: str) -> RegisterTask | None:
        """Return how far a VM's task is; None if this look does not tell."""
        newest = self._tasks.get(moid)
        if newest is None or newest.state is TaskState.UNKNOWN or not is_same_task(newest.id, task_id):
            return None
        return newest

    def event(self, moid: str, since: datetime) -> RegisterEvent | None:
        """Return WCP's event at the end of a VM's registration, if it is no older than `since`."""
        newest = self._events.get(moid)
        return newest if newest is not None and newest.at is not None and newest.at >= since else None


@dataclass(slots=True, kw_only=True)
class Look:
    """One round's look at one namespace: each source leaves what it saw to the next.

    It is dropped at the end of the round: an answer never rests on an earlier one, and thousands of VMs are held once.
    """

    observed: NamespaceState | None = None
    """In Kubernetes."""
    vsphere: VsphereLook | None = None
    """In vCenter."""
    vsphere_problem: VmServiceError | None = None
    """Why vCenter could not be read: a vCenter that hangs is waited for once."""

    def check_vsphere(self) -> None:
        """Raise `Unavailable` if vCenter has not answered in this round; one that denies the look may know a task."""
        if isinstance(self.vsphere_problem, Unavailable):
            raise self.vsphere_problem


class VsphereLooks:
    """Looks into vCenter for the sake of a namespace's VMs: once in a round, however many ask."""

    def __init__(
        self, *, inventory: VsphereInventory, supervisor: Callable[[str, NamespaceState | None], SupervisorView]
    ) -> None:
        """Put together; `supervisor` returns what the inventory's answers are read against."""
        self._inventory = inventory
        self._supervisor = supervisor

    def look(self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None) -> VsphereLook:
        """Return what this round has seen in vCenter; the first call looks there.

        The first call asks for all VMs of the round. Raises as the inventory does; a later call in the round raises
        the same error again.
        """
        this_round = look or Look()
        if this_round.vsphere_problem is not None:
            raise this_round.vsphere_problem
        if this_round.vsphere is None:
            supervisor = self._supervisor(namespace, this_round.observed)
            try:
                vsphere_vms = self._inventory.look(namespace, vms, folders=supervisor.folders)
            except VmServiceError as error:
                this_round.vsphere_problem = error
                raise
            this_round.vsphere = VsphereLook(supervisor=supervisor, machines=tuple(vsphere_vms))
        return this_round.vsphere
