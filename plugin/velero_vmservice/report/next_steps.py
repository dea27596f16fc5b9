"""What to do after a restore, by cause: a cause that holds several objects back is one step, and precedes its effects.

Each step has the cause, then what to do, then the commands: one that checks the cause, and one that goes on with the
restore once it is put right.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import Remedy
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VMS_ALONE
from velero_vmservice.registration.troubleshooting import Topic
from velero_vmservice.report.application import is_group
from velero_vmservice.report.model import NextStep
from velero_vmservice.report.power_commands import power_on
from velero_vmservice.report.stage import Stage
from velero_vmservice.text import enumerate_some, unended

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from velero_vmservice.report.application import Application
    from velero_vmservice.report.model import Result, VmResult
    from velero_vmservice.velero.runs import RestoreRun

LOST: Final = (Stage.FAILED, Stage.CANCELLED)
_NAMED: Final = 8
"""Objects that a step names; the tables have them all."""
_CAUSES: Final = 12
"""Causes of one sort with a step each; the rest share one step."""
_LEFT_ALONE: Final = "what is there already, as captured, is left alone"
_REMEDIES: Final = {
    Stage.FAILED: f"Put that right, then repeat the restore: {_LEFT_ALONE}.",
    Stage.CANCELLED: f"Repeat the restore when what it waited for is there: {_LEFT_ALONE}.",
    Stage.INCOMPLETE: f"Put that right, then repeat the restore: {_LEFT_ALONE}.",
}
"""What to do about an object whose result has no remedy."""
_REGISTER: Final = "Check in the VADP product that each is restored, and in vCenter that RegisterVM has run."
_NOTHING: Final = "Nothing to do: every object is back and verified, and no VM is powered off that ran at backup."
_EMPTY: Final = "Nothing to do: the capture held no VirtualMachineService and no VirtualMachineGroup."
_UNREAD: Final = "See with velero restore describe --details what became of the objects that are missing here."


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a restore has come out, as far as what to do depends on it."""

    run: RestoreRun
    objects: Sequence[Result]
    machines: Sequence[VmResult]
    applications: Sequence[Application]
    powered: bool
    """The restore powers VMs on itself, by its policy."""
    unread: bool = False
    """Whether results are missing that could not be read."""

    @cached_property
    def unready(self) -> dict[str, VmResult]:
        """The VMs that are not there, or not ready."""
        return {vm.key: vm for vm in self.machines if not vm.ready}

    @cached_property
    def held_back(self) -> dict[str, list[Result]]:
        """The objects that failed or were cancelled for want of a VM, by that VM."""
        held: dict[str, list[Result]] = {}
        for item in self.objects:
            for key in item.held_by if item.stage in LOST else ():
                if key in self.unready:
                    held.setdefault(key, []).append(item)
        return held

    @cached_property
    def following(self) -> dict[str, Result]:
        """The objects that are not whole because another object is not, whose cause has a step."""
        explained = {item.key for held in self.held_back.values() for item in held}
        broken = [item for item in self.objects if Stage(item.stage).broken and item.key not in explained]
        roots = [
            result for result in broken if not any(key in {cause.key for cause in broken} for key in _needs(result))
        ]
        explained |= {root.key for root in roots if not any(key in explained for key in _needs(root))}
        left = {result.key: result for result in broken if result.key not in explained}
        followers: dict[str, Result] = {}
        while ready := [result for result in left.values() if any(key in explained for key in _needs(result))]:
            for result in ready:
                explained.add(result.key)
                followers[result.key] = left.pop(result.key)
        return followers

    @cached_property
    def on_their_own(self) -> list[Result]:
        """The objects that are not whole for a reason of their own."""
        explained = {item.key for held in self.held_back.values() for item in held} | self.following.keys()
        return [item for item in self.objects if Stage(item.stage).broken and item.key not in explained]


def next_steps(ending: Ending) -> Iterator[NextStep]:
    """Yield what to do: VMs that are not there, objects that failed, what follows from both, waiting, power."""
    if ending.unread:
        yield NextStep(words=_UNREAD)
    causes = [*_by_hand(ending), *_registrations(ending), *_refusals(ending)]
    yield from causes
    if followers := list(ending.following.values()):
        reasons = enumerate_some(
            [f"{follower.label} {follower.stage}: {follower.reason}" for follower in followers], most=_NAMED
        )
        yield _step(ending, f"Settled with what is named above, by the same command: {reasons}.", followers, again=True)
    if waiting := [item for item in ending.objects if not Stage(item.stage).final]:
        reasons = enumerate_some([f"{item.label}: {item.reason}" for item in waiting], most=_NAMED)
        yield _step(ending, f"Wait, {_count(waiting, 'object')} still under way: {reasons}.", waiting)
    power = [*_power(ending), *_no_power(ending)]
    yield from power
    if ending.unread:
        return
    if not ending.objects:
        yield NextStep(words=_EMPTY)
    elif not ending.unready and not power and all(item.stage == Stage.VERIFIED for item in ending.objects):
        yield NextStep(words=_NOTHING)


def _needs(result: Result) -> Iterator[str]:
    """Yield the objects without which one is not whole."""
    yield from result.held_by
    if is_group(result) and result.stage == Stage.INCOMPLETE:
        groups = (member for member in result.members if member.kind == VIRTUAL_MACHINE_GROUP.name)
        source = f"@{result.source_namespace}" if result.source_namespace else ""
        yield from (f"{member.kind}/{result.namespace}/{member.name}{source}" for member in groups)


def _by_hand(ending: Ending) -> Iterator[NextStep]:
    """Yield the step for VMs that a snapshot revert keeps WCP from registering (guide 7.2.1)."""
    vms = [vm for vm in ending.machines if vm.by_hand]
    if not vms:
        return
    held = _held(ending, vms)
    text = f"{_count(vms, 'VM')} reverted to a snapshot, and nothing registers that by itself{held}"
    commands = tuple(
        f"dcli com vmware vcenter namespaces instances register-VM --namespace {shlex.quote(name)} --vm <moid>"
        for name in sorted({vm.namespace for vm in vms})
    )
    text = f"{text}. Call RegisterVM once for each that was also restored: {_names(vms)}."
    yield _step(ending, text, vms, commands=commands, again=_holds(ending, vms))


def _registrations(ending: Ending) -> Iterator[NextStep]:
    """Yield a step for each thing that VMs lack, however many lack it; those that hold objects back come first."""
    causes: dict[tuple[str, str, str], list[VmResult]] = {}
    in_order = sorted(ending.unready.values(), key=lambda vm: (not _holds(ending, [vm]), vm.registered))
    for vm in (vm for vm in in_order if not vm.by_hand):
        remedies = dict.fromkeys(text for held in ending.held_back.get(vm.key, ()) for text in held.remedy)
        remedy = " ".join(remedies) or ("" if vm.registered else _REGISTER)
        causes.setdefault((vm.waiting_for or "not registered", vm.topic, remedy), []).append(vm)
    for (lacks, _, remedy), vms in list(causes.items())[:_CAUSES]:
        text = f"{_names(vms)}: {unended(lacks)}{_held(ending, vms)}. {remedy}".rstrip()
        check = _check(ending.run, vms[0])
        yield _step(ending, text, vms, commands=(check,), again=_holds(ending, vms))
    if rest := [vm for vms in list(causes.values())[_CAUSES:] for vm in vms]:
        text = f"{_count(rest, 'more VM')} not ready, each for a reason of its own: {_names(rest)}."
        yield _step(ending, text, rest, commands=(_status(ending.run),), again=_holds(ending, rest))


def _refusals(ending: Ending) -> Iterator[NextStep]:
    """Yield a step for each reason, however many objects share it."""
    causes: dict[tuple[str, str, Remedy], list[Result]] = {}
    order = (*LOST, Stage.INCOMPLETE)
    for result in sorted(ending.on_their_own, key=lambda result: order.index(Stage(result.stage))):
        known = Remedy(" ".join(result.remedy), result.remedy_said)
        remedy = known if known.sentence else Remedy(_REMEDIES[Stage(result.stage)])
        causes.setdefault((result.stage, result.reason, remedy), []).append(result)
    for (stage, reason, remedy), objects in list(causes.items())[:_CAUSES]:
        named = enumerate_some([item.label for item in objects], most=_NAMED)
        why = f": {unended(reason)}" if reason else ""
        text = remedy.after(f"{named} {stage}{why}", joint=". ")
        yield _step(ending, text, objects, again=True)
    if rest := [item for objects in list(causes.values())[_CAUSES:] for item in objects]:
        named = enumerate_some([f"{result.label} {result.stage}" for result in rest], most=_NAMED)
        text = f"{_count(rest, 'more object')} not whole, each for the reason in the table of objects: {named}."
        yield _step(ending, text, rest, again=True)


def _power(ending: Ending) -> Iterator[NextStep]:
    """Yield the step that powers the whole applications on."""
    whole = [application for application in ending.applications if application.ended and not application.broken]
    by_hand = () if ending.powered else whole
    commands = tuple(dict.fromkeys(line for application in by_hand for line in power_on(application)))
    off = [vm for application in whole for vm in application.machines if _ran(vm)]
    if commands or off:
        text = f"When the application may run, power it on: {_count(off, 'VM')} off that ran at backup."
        yield _step(ending, text if off else "Go on from here.", off, commands=commands)


def _no_power(ending: Ending) -> Iterator[NextStep]:
    """Yield a step for each application that is broken, and has VMs that are off."""
    for application in ending.applications:
        off = [vm for vm in application.machines if _ran(vm)]
        if application.ended and application.broken and off:
            groups = enumerate_some([f"{group.label} {group.stage}" for group in application.broken])
            text = (
                f"{_count(off, 'VM')} off that ran at backup: {_names(off)}. Power on no group before it is whole, as"
                f" it would start without what is missing: {groups}."
            )
            yield _step(ending, text, off)


def _step(
    ending: Ending,
    advice: str,
    about: Iterable[Result | VmResult],
    *,
    commands: tuple[str, ...] = (),
    again: bool = False,
) -> NextStep:
    keys = list(dict.fromkeys(item.key for item in about))[:_NAMED]
    return NextStep(words=advice, about=tuple(keys), commands=(*commands, ending.run.again) if again else commands)


def _holds(ending: Ending, vms: Iterable[VmResult]) -> bool:
    """Say whether any of these VMs holds back an object for which the restore has to be repeated."""
    return any(vm.key in ending.held_back for vm in vms)


def _held(ending: Ending, vms: Iterable[VmResult]) -> str:
    """Return which objects these VMs hold back, as a clause; '' for none."""
    held = {result.key: result for vm in vms for result in ending.held_back.get(vm.key, ())}
    objects = [f"{result.label} ({result.stage})" for result in held.values() if result.kind != VMS_ALONE.name]
    return f", which holds back {enumerate_some(objects, most=_NAMED)}" if objects else ""


def _check(run: RestoreRun, vm: VmResult) -> str:
    """Return the command that shows what to check for a VM in its state."""
    names = f"-n {shlex.quote(vm.namespace)} --vm {shlex.quote(vm.name)}"
    topic = vm.topic or ("" if vm.registered else Topic.NOT_TRIGGERED)
    return f"velero-vmservice registration explain {shlex.quote(topic)} {names}" if topic else f"{_status(run)} {names}"


def _status(run: RestoreRun) -> str:
    of_velero = run.of_velero and run.capture is None
    return shlex.join(
        ("velero-vmservice", "registration", "status", *(("--restore", run.name) if of_velero else run.source))
    )


def _names(vms: Iterable[VmResult]) -> str:
    return enumerate_some([f"{vm.namespace}/{vm.name}" for vm in vms], most=_NAMED)


def _ran(vm: VmResult) -> bool:
    """Say whether a VM is off that ran at backup."""
    return vm.power_after == "PoweredOff" and vm.power_before == "PoweredOn" and not vm.deleting


def _count(items: Sequence[object], noun: str) -> str:
    return f"1 {noun} is" if len(items) == 1 else f"{len(items)} {noun}s are"
