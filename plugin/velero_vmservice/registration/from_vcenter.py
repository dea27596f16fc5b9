"""How far a VM's registration is, by vCenter: the guide's checks (11.1), with their answers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from velero_vmservice.registration.model import NODE, Registration, Source, State
from velero_vmservice.text import one_line
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions
from velero_vmservice.vsphere.registervm_errors import DUPLICATE_BIOS_UUID, NOT_IN_FOLDER, explain
from velero_vmservice.vsphere.vm import RELOCATE, TaskState, Vms, taken
from velero_vmservice.vsphere.wcp import TIMEOUT_SECONDS, Course, Situation, automatic, bounded, decide, overlong, stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.vmoperator.releases import Generation
    from velero_vmservice.vsphere.vm import Registered, RegisterEvent, SupervisorView, VsphereVm
    from velero_vmservice.vsphere.wcp import Decision


OVERDUE_SECONDS: Final = 120.0
"""Automatic registration begins a minute or two after a VM is in its folder."""
LONG_RESTORE_SECONDS: Final = 15 * 60.0
"""After which automatic registration may come before the restore has ended (guide 7.3.3)."""


_registration = partial(Registration, sources=(Source.VCENTER,))


def registrations(
    namespace: str, wanted: Collection[ExpectedVm], vms: Iterable[VsphereVm], supervisor: SupervisorView
) -> dict[str, Registration]:
    """Return what vCenter says of each wanted VM, by name."""
    known = Vms(vms)
    return {vm.name: _registration_of(namespace, vm, known, supervisor) for vm in wanted}


def elsewhere(vm: VsphereVm) -> str:
    """Say where else a VM with the wanted identity is; it may be the original that a copy is restored beside."""
    return (
        f"{vm.moid} with its UUID is in folder {_quoted(vm.folder)}: if that is the restored one, move it in"
        f" vCenter ({NOT_IN_FOLDER} is what RegisterVM would answer); if it is the original, leave it alone"
    )


def situation(vm: VsphereVm, supervisor: SupervisorView, registered: Registered | None) -> Situation:
    """Return what the guide's decision (4.3) rests on, for a VM that vCenter has."""
    return Situation(
        generation=supervisor.generation,
        recorded=vm.extra.recorded,
        enabled=vm.extra.enabled,
        disabled=vm.extra.disabled,
        exists=None if supervisor.machines is None else registered is not None,
        recorded_version=vm.extra.backup_version,
        annotated_version=registered.backup_version if registered else "",
        other_vcenter=vm.other_vcenter,
        reverting=bool(registered and registered.reverting),
    )


def _registration_of(namespace: str, wanted: ExpectedVm, known: Vms, supervisor: SupervisorView) -> Registration:
    matches = known.match(wanted)
    if not matches and (namesake := known.namesake(wanted)):
        remedy = f"see in vCenter where the VADP job has put {wanted.name}, and leave {namesake.moid} alone"
        return _registration(
            name=wanted.name, state=State.ABSENT, reason=taken(wanted, namesake), remedy=remedy, certain=False
        )
    if not matches:
        reason = "vCenter has no VM with its UUIDs, record or name: the VADP restore has not brought it back yet"
        return _registration(name=wanted.name, state=State.ABSENT, reason=reason, certain=False)
    vm = matches[0]
    if not vm.in_folder:
        reason = f"vCenter has no such VM in the folder of namespace {namespace}; {elsewhere(vm)}"
        remedy = (
            f"see whether {vm.moid} is the restored VM: if so, move it into the folder of namespace"
            f" {namespace}; if it is the original, see where the VADP job has put the restored one"
        )
        return _registration(name=wanted.name, state=State.ABSENT, reason=reason, remedy=remedy, certain=False)
    registered = (supervisor.machines or {}).get(wanted.name)
    registration = (
        _by_task(wanted, vm) or _by_event(wanted, vm, registered) or _standing(wanted, vm, supervisor, registered)
    )
    return replace(registration, owners=vm.record.owners)


def _by_task(wanted: ExpectedVm, vm: VsphereVm) -> Registration | None:
    """Return the registration by RegisterVM's task, which decides while vCenter remembers it."""
    task = vm.task
    if task is None or (task.over and vm.restoring):
        return None  # that was another restore
    what = f"RegisterVM task {one_line(task.id)}"
    match task.state:
        case TaskState.WAITING | TaskState.RUNNING:
            percent = bounded(task.percent)
            reason = f"{what} of {vm.moid} {_doing(percent)}"
            if vm.durations.task > TIMEOUT_SECONDS:
                reason = overlong(f"{what} of {vm.moid}", percent)
            return _registration(
                name=wanted.name,
                state=State.REGISTERING,
                reason=reason,
                percent=percent,
                since=task.queued_at,
                notes=tuple(_beside_vadp(vm)),
            )
        case TaskState.FAILED:
            return failed(wanted.name, what, task.message, since=task.ended_at)
        case TaskState.SUCCEEDED:
            return _registered(wanted.name, f"{what} succeeded", since=task.ended_at)
        case _:
            return None


def _by_event(wanted: ExpectedVm, vm: VsphereVm, registered: Registered | None) -> Registration | None:
    event = event_of_this_restore(vm, registered)
    if event is None:
        return None
    if event.succeeded:
        return _registered(wanted.name, "WCP's event says that RegisterVM succeeded", since=event.at)
    if registered is not None and registered.unique_id == vm.moid:
        return None  # it was registered since
    return failed(wanted.name, "RegisterVM, by WCP's event,", event.message, since=event.at)


def event_of_this_restore(vm: VsphereVm, registered: Registered | None) -> RegisterEvent | None:
    """Return WCP's event at the end of RegisterVM, unless it may have been at the end of an earlier restore."""
    earlier = vm.restoring or (registered is not None and is_older(vm, registered))
    return None if earlier else vm.event


def failed(name: str, what: str, message: str, *, since: datetime | None = None) -> Registration:
    """Say that RegisterVM failed and what to do; `message` is vCenter's."""
    entry = explain(message)
    if entry.known and entry.can_wait:
        return _registered(name, f"{what} says {entry}", since=since, code=entry.code)
    if entry.known:
        reason = f"{what} failed: {entry}"
    else:
        cause = f": {entry.code}" if entry.code else " without saying why"
        reason = f"{what} failed{cause}; see the task in vCenter, put the cause right, then call RegisterVM by hand"
    return _registration(
        name=name,
        state=State.FAILED,
        reason=reason,
        code=entry.code,
        remedy_said=entry.known,
        can_wait=False,
        since=since,
    )


def _registered(name: str, reason: str, *, since: datetime | None = None, code: str = "") -> Registration:
    """Say that it is registered; whether it is ready only Kubernetes can be certain of."""
    return _registration(name=name, state=State.REGISTERED, reason=reason, since=since, code=code, certain=False)


def _standing(
    wanted: ExpectedVm, vm: VsphereVm, supervisor: SupervisorView, registered: Registered | None
) -> Registration:
    """Return the registration of a VM that nothing has begun to register, or that was never lost."""
    standing = partial(
        _registration, name=wanted.name, since=vm.durations.since, first_seen=vm.durations.since is not None
    )
    if vm.restoring:
        reason = f"the VADP restore of {vm.moid} still runs ({RELOCATE} is disabled): registration waits for it"
        return standing(state=State.RESTORED, reason=reason, notes=tuple(_long(vm)))
    if registered is not None and registered.unique_id == vm.moid and not is_older(vm, registered):
        return _registered(wanted.name, f"the VirtualMachine stands for VM {vm.moid}")
    remarks = (*vm.extra.remarks, *vm.record.remarks)
    if wanted.is_node and not vm.extra.recorded:
        return standing(state=State.NOT_RESTORABLE, reason=f"VM {vm.moid} is {NODE}", can_wait=False)
    if vm.record.problem:
        reason = f"VM {vm.moid} is restored, but {vm.record.problem}"
        code = vm.record.code
        return standing(state=State.NOT_RESTORABLE, reason=reason, code=code, can_wait=False, notes=remarks)
    if vm.twins:
        twins = ", ".join(_quoted(twin) for twin in vm.twins[:3])
        reason = f"VM {vm.moid} has the BIOS UUID of {twins}; {explain(DUPLICATE_BIOS_UUID)}"
        return standing(state=State.NOT_RESTORABLE, reason=reason, code=DUPLICATE_BIOS_UUID, can_wait=False)
    decision = decide(situation(vm, supervisor, registered))
    reason, can_wait = _expected(vm, decision, supervisor.generation)
    return standing(
        state=State.SNAPSHOT_REVERT if registered and registered.reverting else State.RESTORED,
        reason=reason,
        code=decision.code,
        can_wait=can_wait,
        notes=remarks,
        certain=supervisor.machines is not None,
    )


def _expected(vm: VsphereVm, decision: Decision, generation: Generation) -> tuple[str, bool]:
    """Say whether WCP will register the VM by itself, and whether that is late."""
    where = f"VM {vm.moid} is restored"
    if decision.course in (Course.AUTOMATIC_OFF, Course.IGNORED, Course.REFUSED):
        return f"{where}: {decision.reason}", False
    late = vm.durations.in_folder >= OVERDUE_SECONDS
    if not automatic(generation, enabled=vm.extra.enabled, disabled=vm.extra.disabled):
        begun = f", and nothing has begun to register it: {decision.reason}. {_checks(vm)}"
        return (where + begun if late else f"{where}: {decision.reason}"), True
    if late:
        minutes = int(vm.durations.in_folder // 60)
        return f"{where}, and automatic registration is overdue ({minutes} minutes). {_checks(vm)}", True
    course = "" if decision.course is Course.UNKNOWN else f" ({decision.course})"
    return f"{where}, and WCP is to register it by itself{course}", True


def _checks(vm: VsphereVm) -> str:
    """Return the answers to the guide's checks (11.1), and the check that only the vCenter appliance can answer."""
    switch = {True: "on", False: "off", None: "not set"}
    return (
        f"Checked: its ExtraConfig has the record, it is in folder {_quoted(vm.folder)},"
        f" enableAutomaticRegistration is {switch[vm.extra.enabled]}, disableAutomaticRegistration"
        f" {switch[vm.extra.disabled]}, no VADP restore runs. Look for auto-vm-register in"
        " /var/log/vmware/wcp/wcpsvc.log on vCenter, or call RegisterVM"
    )


def _beside_vadp(vm: VsphereVm) -> Iterator[str]:
    """Yield a note where RegisterVM works on a VM before its VADP restore has ended."""
    if vm.restoring:
        yield f"the VADP restore still runs while RegisterVM works ({RELOCATE} is disabled): see what it registers"
        yield from _long(vm)


def _long(vm: VsphereVm) -> Iterator[str]:
    if vm.durations.restoring >= LONG_RESTORE_SECONDS:
        yield (
            "the VADP restore takes longer than 15 minutes: automatic registration may come too early (guide 7.3.3);"
            " see that every disk is there before powering on"
        )


def is_older(vm: VsphereVm, registered: Registered) -> bool:
    """Say whether the VM was restored under a VirtualMachine that had gone on since (guide 4.3)."""
    return compare_versions(vm.extra.backup_version, registered.backup_version) is VersionAge.OLDER


def _doing(percent: int | None) -> str:
    return f"has reached {stage(percent)}" if stage(percent) else "has begun"


def _quoted(name: str) -> str:
    return f'"{one_line(name)}"'
