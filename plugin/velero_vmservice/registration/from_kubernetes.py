"""How far registration is, by one look at a namespace: all that Kubernetes alone shows.

It sees the VirtualMachine, its disks and RegisterVM's marks. It sees neither vCenter nor RegisterVM's task: where there
is not a VirtualMachine it cannot tell a VM that VADP still restores from one that waits for registration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import CNS_REGISTER_VOLUME, PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE
from velero_vmservice.registration.model import NEEDS_A_PERSON, NODE, Registration, Source, State
from velero_vmservice.supervisor.readiness import NOT_YET, RestoreType, Standing, gate, remarks, restore_type, standing
from velero_vmservice.text import enumerate_some
from velero_vmservice.vsphere.wcp import TIMEOUT_SECONDS, WHILE_VOLUMES, Course, TaskStage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.supervisor.namespace_state import DiskRegistration, NamespaceState
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm


_CAME_BACK: Final = {
    RestoreType.NEW: f"registered by a {Course.NEW}",
    RestoreType.EXISTING: f"registered by a {Course.EXISTING}",
    RestoreType.DISK_ONLY: f"registered by a {Course.DISK_ONLY}",
    RestoreType.FAILOVER: f"registered by a {Course.FAILOVER}",
    RestoreType.NEVER_LOST: "the VM that was backed up, never lost",
    RestoreType.UNKNOWN: "registered; by which restore is unknown",
}
_STATES: Final = {
    Standing.ANOTHER: State.FAILED,
    Standing.DELETING: State.ABSENT,
    Standing.REVERTING: State.SNAPSHOT_REVERT,
    Standing.RESTORED: State.RESTORED,
}
"""The restore types in which the state of a VM's disks changes nothing."""
_NODE_AGAIN: Final = "have the guest cluster make its node anew"
_FOR_ALL_DISKS: Final = (PERSISTENT_VOLUME_CLAIM, CNS_REGISTER_VOLUME)


def registrations(observed: NamespaceState, vms: Collection[ExpectedVm]) -> dict[str, Registration]:
    """Return what one look says of each VM; ready once is not ready for good (`readiness.Stability`)."""
    claimed = {claim for vm in observed.machines.values() for claim in vm.claims}
    loose = _Loose.of([disk for claim, disk in sorted(observed.disks.items()) if claim not in claimed])
    return {wanted.name: _registration(observed, wanted, loose) for wanted in vms}


def _registration(observed: NamespaceState, wanted: ExpectedVm, loose: _Loose) -> Registration:
    if VIRTUAL_MACHINE in observed.unseen:
        return _say(wanted, State.UNKNOWN, observed.unseen[VIRTUAL_MACHINE])
    vm = observed.machines.get(wanted.name)
    if vm is None:
        return _absent(observed, wanted, loose)
    vm_gate = gate(vm, wanted.expected, observed.volumes)
    at = standing(vm, wanted.expected)
    state = State.READY if vm_gate.ready else _state(vm, at, observed)
    kind = restore_type(vm, wanted.expected)
    notes = [*_notes(vm, wanted, state), *_unseen(vm, observed)]
    if state in (State.PAUSED, State.RESTORED):
        notes += loose.notes
    return Registration(
        name=wanted.name,
        state=state,
        reason=_CAME_BACK[kind] if state is State.READY else vm_gate.reason,
        stage=TaskStage.VOLUMES if state is State.REGISTERING else "",
        can_wait=state not in NEEDS_A_PERSON,
        since=_since(vm, wanted, state, observed),
        sources=(Source.KUBERNETES,),
        notes=tuple(notes),
    )


def overlong(registration: Registration, now: datetime) -> Registration:
    """Note where disks are registered for longer than RegisterVM gets for all of a VM: it stands at 80 % then."""
    seconds = (now - registration.since).total_seconds() if registration.since else 0.0
    if registration.state is not State.REGISTERING or seconds <= TIMEOUT_SECONDS:
        return registration
    note = (
        f"its disks are being registered for more than {TIMEOUT_SECONDS / 60:.0f} minutes, and RegisterVM stands at"
        f" 80 % meanwhile: {WHILE_VOLUMES}"
    )
    return replace(registration, notes=(*registration.notes, note))


def _state(vm: ObservedVm, at: Standing, observed: NamespaceState) -> State:
    """Name the state of a VM that is not ready, whose reason the gate gives."""
    if at in _STATES:
        return _STATES[at]
    if any(claim in observed.disks for claim in vm.claims):
        return State.REGISTERING
    return State.PAUSED if at is Standing.PAUSED else State.REGISTERED


def _absent(observed: NamespaceState, wanted: ExpectedVm, loose: _Loose) -> Registration:
    if wanted.is_node:
        return _say(wanted, State.NOT_RESTORABLE, NODE, can_wait=False, remedy=_NODE_AGAIN)
    if not observed.vsphere_namespace:
        lack = "is not a vSphere Namespace" if observed.exists else "does not exist"
        reason = f"{observed.namespace} {lack}, so nothing can be registered into it"
        remedy = f"create {observed.namespace} as a vSphere Namespace in vCenter"
        return _say(wanted, State.ABSENT, reason, can_wait=False, remedy=remedy)
    nothing = _say(wanted, State.ABSENT, NOT_YET, notes=loose.notes, remedy=loose.remedy)
    return replace(nothing, nothing_there=True)


def _say(
    wanted: ExpectedVm,
    state: State,
    reason: str,
    *,
    can_wait: bool = True,
    remedy: str = "",
    notes: tuple[str, ...] = (),
) -> Registration:
    return Registration(
        name=wanted.name,
        state=state,
        reason=reason,
        can_wait=can_wait,
        remedy=remedy,
        sources=(Source.KUBERNETES,),
        notes=notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loose:
    """What RegisterVM does in the namespace before a VirtualMachine shows for which VM; one for all VMs."""

    notes: tuple[str, ...] = ()
    remedy: str = ""

    @classmethod
    def of(cls, disks: list[DiskRegistration]) -> _Loose:
        """Say it of the disks that no VM names."""
        if not disks:
            return cls()
        described = enumerate_some([str(disk) for disk in disks], most=3)
        failing = [f"CnsRegisterVolume {disk.name} ({disk.trouble})" for disk in disks if disk.error]
        return cls(
            notes=(f"disks are being registered for VMs that do not name them yet: {described}",),
            remedy=f"see what keeps disks from being registered: {enumerate_some(failing, most=3)}" if failing else "",
        )


def _notes(vm: ObservedVm, wanted: ExpectedVm, state: State) -> Iterator[str]:
    if wanted.expected is not None:
        yield from remarks(vm, wanted.expected)
    if state is State.REGISTERING and vm.paused:
        yield vm.paused
    if vm.imported:
        yield "has the mark of a VM that was imported from vCenter, not restored"
    captured, created = _moment(wanted.captured_at), _moment(vm.created_at)
    marked = vm.restored or vm.failed_over or vm.imported
    if captured and created and created > captured and not marked:
        yield "was created after the backup and has no mark of RegisterVM: it may have been created by hand"


def _unseen(vm: ObservedVm, observed: NamespaceState) -> Iterator[str]:
    """Yield what could not be read and matters to the VM."""
    if vm.claims:
        yield from (observed.unseen[kind] for kind in _FOR_ALL_DISKS if kind in observed.unseen)


def _since(vm: ObservedVm, wanted: ExpectedVm, state: State, observed: NamespaceState) -> datetime | None:
    """Return when the state began, where an object says so."""
    started = [observed.disks[claim].since for claim in vm.claims if claim in observed.disks]
    if state is State.REGISTERING:
        return min((at for timestamp in started if (at := _moment(timestamp))), default=None)
    made_anew = wanted.facts is not None and vm.uid != wanted.facts.uid
    if state is State.REGISTERED and made_anew:
        return _moment(vm.created_at)
    return None


def _moment(timestamp: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
