"""The registration sources that look for themselves: Kubernetes, and vCenter, which alone sees a VM before that.

A round looks once for all that ask. Each source has its pure rules say what that means, and remembers when it first saw
a state that no object dates. A new process begins anew with that.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.errors import Unavailable, VmServiceError
from velero_vmservice.registration import from_kubernetes, from_vcenter
from velero_vmservice.registration.model import Source, State
from velero_vmservice.supervisor import observe
from velero_vmservice.vsphere.vm import Durations, TaskState, is_same_task

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vsphere.ports import VsphereInventory
    from velero_vmservice.vsphere.vm import RegisterEvent, RegisterTask, SupervisorView, VsphereVm

_log = structlog.get_logger()

REMEMBERED_VMS: Final = 20_000
"""Since when each is in its state: twice the VMs that a Supervisor is asked to hold."""
REMEMBERED_NAMESPACES: Final = 1_000
REMEMBERED_SECONDS: Final = 24 * 3600.0


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
        """Return WCP's event at the end of a VM's registration, if it is not older than `since`."""
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
    """Looks up a namespace's VMs in vCenter: once in a round, however many sources ask."""

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


class KubernetesRegistration:
    """A `RegistrationSource` on the Cluster port: one GET and three LISTs a look, however many VMs.

    Where the round has looked already, it makes no request.
    """

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.Lock()
        self._first_seen: TTLCache[tuple[str, str], tuple[State, datetime]] = TTLCache(
            REMEMBERED_VMS, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._logged: TTLCache[tuple[str, Kind], bool] = TTLCache(
            REMEMBERED_NAMESPACES, REMEMBERED_SECONDS, timer=clock.monotonic
        )

    @property
    def name(self) -> Source:
        """Return `kubernetes`."""
        return Source.KUBERNETES

    def observe(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what one look at the namespace says of each VM; see the port.

        What the cluster lacks or forbids is a note of the VMs that it matters to, and is logged once.
        """
        if not vms:
            return {}
        observed = look.observed if look else None
        if observed is None:
            observed = observe.look_at_vms(self._cluster, self._clock, namespace)
            if look is not None:
                look.observed = observed
        registrations = from_kubernetes.registrations(observed, vms)
        with self._lock:
            for kind, reason in observed.unseen.items():
                if (namespace, kind) not in self._logged:
                    self._logged[namespace, kind] = True
                    _log.warning("registration seen in part", namespace=namespace, cause=reason)
            now = self._clock.now()
            begun = {state: (state, now) for state in State}  # one for all that begin together: there may be thousands
            return {name: self._dated(namespace, registration, begun) for name, registration in registrations.items()}

    def _dated(
        self, namespace: str, registration: Registration, begun: Mapping[State, tuple[State, datetime]]
    ) -> Registration:
        key = namespace, registration.name
        first_seen = self._first_seen.get(key)
        if first_seen is None or first_seen[0] is not registration.state:
            first_seen = begun[registration.state]
        self._first_seen[key] = first_seen
        dated = registration if registration.since else replace(registration, since=first_seen[1], first_seen=True)
        return from_kubernetes.overlong(dated, self._clock.now())


class VCenterRegistration:
    """A `RegistrationSource` on vCenter's inventory.

    It remembers since when it has seen a VM in its folder, a restore running and a task at work: no property tells
    the former, and vCenter's clock may be another.
    """

    def __init__(self, *, looks: VsphereLooks, clock: Clock) -> None:
        self._looks = looks
        self._clock = clock
        self._lock = threading.Lock()
        self._began: TTLCache[tuple[str, bool], tuple[float, datetime]] = TTLCache(
            REMEMBERED_VMS, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._tasks: TTLCache[str, float] = TTLCache(REMEMBERED_VMS, REMEMBERED_SECONDS, timer=clock.monotonic)

    @property
    def name(self) -> Source:
        """Return `vcenter`."""
        return Source.VCENTER

    def observe(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what one look at the namespace's folder says of each VM; see the port."""
        if not vms:
            return {}
        vsphere = self._looks.look(namespace, vms, look)
        dated_vms = [self._dated(vm) for vm in vsphere.machines]
        return from_vcenter.registrations(namespace, vms, dated_vms, vsphere.supervisor)

    def _dated(self, vm: VsphereVm) -> VsphereVm:
        if not vm.in_folder:
            return vm
        now = self._clock.monotonic()
        at_work = vm.task.id if vm.task is not None and not vm.task.over else ""
        with self._lock:
            self._began.pop((vm.moid, not vm.restoring), None)
            began, since = self._began.get((vm.moid, vm.restoring), (now, self._clock.now()))
            self._began[vm.moid, vm.restoring] = began, since  # remembered for as long as it is seen
            task = self._tasks.get(at_work, now)
            if at_work:
                self._tasks[at_work] = task
        durations = Durations(task=now - task, since=since)
        if vm.restoring:
            return replace(vm, durations=replace(durations, restoring=now - began))
        return replace(vm, durations=replace(durations, in_folder=now - began))
