"""Make the report of a restore from the results of its objects: pure, so that every reader gets the same report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from velero_vmservice.core import archive, nesting, references
from velero_vmservice.core.application import applications, merged
from velero_vmservice.core.manifest import VIRTUAL_MACHINE_GROUP
from velero_vmservice.core.operation import enumerate_some
from velero_vmservice.core.plan import Stage
from velero_vmservice.core.power_commands import power_on
from velero_vmservice.core.report import Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.core.application import Application
    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.report import Deviation, MachineResult, Result

_LOST: Final = (Stage.FAILED, Stage.CANCELLED)
_LEFT_ALONE: Final = "what is there already, as captured, is left alone"
_REMEDIES: Final = {
    Stage.FAILED: f"Correct the cause, then repeat the restore: {_LEFT_ALONE}.",
    Stage.CANCELLED: f"Repeat the restore when what it waited for is there: {_LEFT_ALONE}.",
}
"""What to do about an object whose result does not say it."""
_ENDS: Final = {Stage.INCOMPLETE: Outcome.INCOMPLETE, Stage.RETAINED: Outcome.RETAINED}
"""How a restore ends of which nothing failed, the worse first."""
NOTHING_TO_DO: Final = (
    "Nothing to do: every object is back and verified, and no machine is powered off that ran at backup."
)


def compose(
    run: RestoreRun,
    results: Iterable[Result],
    *,
    policy: Mapping[str, str],
    ended: str,
    not_in_backup: Iterable[str] = (),
) -> Report:
    """Merge results into one report.

    Args:
        run: the restore.
        results: one per object, ended or not, in any order.
        policy: the effective policy, setting to value.
        ended: ISO time at which the last object ended.
        not_in_backup: what the backup left out, in sentences.
    """
    objects = _in_order(results)
    machines = merged(objects)
    held = applications(objects, machines)
    return Report(
        restore=run.name,
        restore_uid=run.uid,
        backup=run.backup,
        backup_started=_backup_started(objects),
        started=_iso(run.started),
        ended=ended,
        outcome=outcome(objects),
        policy=dict(policy),
        next_steps=tuple(_next_steps(objects, machines, held, powered=policy.get("power", "leave") != "leave")),
        warnings=tuple(dict.fromkeys(_warnings(objects, machines))),
        notes=tuple(dict.fromkeys(words for one in objects for words in one.restore_notes)),
        not_in_backup=tuple(not_in_backup),
        objects=tuple(one.model_copy(update={"machines": ()}) for one in objects),
        machines=machines,
    )


def outcome(objects: Iterable[Result]) -> Outcome:
    """Sum up how the objects ended."""
    stages = {Stage(one.stage) for one in objects}
    if not stages:
        return Outcome.EMPTY
    if not all(stage.final for stage in stages):
        return Outcome.UNFINISHED
    if stages.isdisjoint(_LOST):
        return next((found for stage, found in _ENDS.items() if stage in stages), Outcome.VERIFIED)
    if not stages.issubset(_LOST):
        return Outcome.MIXED
    return Outcome.FAILED if Stage.FAILED in stages else Outcome.CANCELLED


def _in_order(results: Iterable[Result]) -> Sequence[Result]:
    """Sort as the plan does: groups, parents first, then services; by namespace and name within."""
    every = {(one.kind, one.namespace, one.name, one.source_namespace): one for one in results}.values()
    parents = {(one.kind, one.namespace, one.name): (one.kind, one.namespace, one.parent) for one in every}

    def place(one: Result) -> tuple[bool, int, str, str]:
        level = len(nesting.ancestors((one.kind, one.namespace, one.name), parents))
        return one.kind != VIRTUAL_MACHINE_GROUP.name, level, one.namespace, one.name

    return sorted(every, key=place)


def _next_steps(
    objects: Sequence[Result], machines: Sequence[MachineResult], held: Sequence[Application], *, powered: bool
) -> Iterator[str]:
    """Yield what to do: what nothing registers, what failed, never came, ran out of time, was left, then power."""
    if by_hand := [one for one in machines if one.by_hand]:
        yield _register(by_hand)
    yield from _mend(objects, Stage.FAILED)
    absent = [f"{one.namespace}/{one.name}" for one in machines if not one.registered]
    if absent:
        words = "See in the VADP product that each is restored, and in vCenter that RegisterVM has run"
        yield f"{_count(absent, 'machine')} not registered. {words}: {enumerate_some(absent)}."
    yield from _mend(objects, Stage.CANCELLED)
    yield from (_complete(one) for one in objects if one.stage == Stage.INCOMPLETE)
    yield from (f"{one.label}: {' '.join(one.remedy)}" for one in objects if one.remedy and one.stage not in _LOST)
    if waiting := [one.label for one in objects if not Stage(one.stage).final]:
        yield f"Wait, {_count(waiting, 'object')} still under way: {enumerate_some(waiting)}."
    power = tuple(_power(held, powered=powered))
    yield from power
    if outcome(objects) is Outcome.VERIFIED and not (absent or power):
        yield NOTHING_TO_DO
    elif outcome(objects) is Outcome.EMPTY:
        yield "Nothing to do: the backup held no VirtualMachineService and no VirtualMachineGroup."


def _complete(one: Result) -> str:
    """Return the step for an object that lacks what it had at backup."""
    return f"{one.label} is incomplete: {one.reason}. Put that right, then repeat the restore: {_LEFT_ALONE}."


def _power(held: Iterable[Application], *, powered: bool) -> Iterator[str]:
    """Yield the step that powers the whole applications on, and one for each that is broken.

    Args:
        held: the applications of the restore.
        powered: the restore powers VMs on itself, by its policy.
    """
    whole = [one for one in held if one.ended and not one.broken]
    commands = () if powered else tuple(dict.fromkeys(line for one in whole for line in power_on(one)))
    off = [machine for one in whole for machine in one.machines if _ran(machine)]
    if commands or off:
        words = f"When the application may run, power it on: {_count(off, 'machine')} off that ran at backup."
        yield "\n".join((words if off else "Go on from here.", *commands))
    for one in held:
        off = [machine for machine in one.machines if _ran(machine)]
        if one.ended and one.broken and off:
            groups = enumerate_some([f"{group.label} {group.stage}" for group in one.broken])
            names = enumerate_some([f"{machine.namespace}/{machine.name}" for machine in off])
            yield (
                f"{_count(off, 'machine')} off that ran at backup: {names}. Power on no group before it is whole, as"
                f" it would start without what is missing: {groups}."
            )


def _ran(machine: MachineResult) -> bool:
    """Say whether a VM is off that ran at backup."""
    return machine.power_after == "PoweredOff" and machine.power_before == "PoweredOn" and not machine.deleting


def _register(machines: Sequence[MachineResult]) -> str:
    """Return the step for machines that a snapshot revert keeps WCP from registering (guide 7.2.1)."""
    names = enumerate_some([f"{one.namespace}/{one.name}" for one in machines])
    words = f"{_count(machines, 'machine')} reverted to a snapshot, and nothing registers that by itself"
    commands = (
        f"dcli com vmware vcenter namespaces instances register-VM --namespace {shlex.quote(name)} --vm <moid>"
        for name in sorted({one.namespace for one in machines})
    )
    return "\n".join((f"{words}. Call RegisterVM once for each that was also restored: {names}.", *commands))


def _mend(objects: Iterable[Result], stage: Stage) -> Iterator[str]:
    """Yield one step per remedy, however many objects share it."""
    by_remedy: dict[str, list[str]] = {}
    for one in (one for one in objects if one.stage == stage):
        by_remedy.setdefault(" ".join(one.remedy) or _REMEDIES[stage], []).append(one.label)
    for remedy, labels in by_remedy.items():
        many = f"{len(labels)} objects {stage}. {remedy} They are: {enumerate_some(labels)}."
        yield f"{labels[0]} {stage}. {remedy}" if len(labels) == 1 else many


def _warnings(objects: Sequence[Result], machines: Sequence[MachineResult]) -> Iterator[str]:
    """Yield what to mind: lost objects, absent machines, warnings, left objects, machines that deviate."""
    for stage in (*_LOST, Stage.INCOMPLETE, Stage.WAITING, Stage.REPLAYED, Stage.POWERING):
        yield from (f"{one.label} {stage}: {one.reason}" for one in objects if one.stage == stage)
    for machine in machines:
        if not machine.registered:
            yield f"VirtualMachine {machine.namespace}/{machine.name}: {machine.waiting_for or 'not registered'}"
    sharing: dict[str, list[str]] = {}
    for one in objects:
        for words in one.warnings:
            sharing.setdefault(words, []).append(one.label)
    for words, labels in sharing.items():
        yield f"{labels[0]}: {words}" if len(labels) == 1 else f"{words} (holds for {enumerate_some(labels, most=3)})"
    yield from _missing(machines)
    yield from (f"{one.label} retained: {one.reason}" for one in objects if one.stage == Stage.RETAINED)
    yield from _deviations(machines)


def _missing(machines: Iterable[MachineResult]) -> Iterator[str]:
    """Yield one sentence for each object that VMs refer to and that is not there, however many refer to it."""
    users: dict[tuple[str, str, str], list[str]] = {}
    for machine in machines:
        for one in machine.missing:
            users.setdefault((machine.namespace, one.kind, one.name), []).append(machine.name)
    for (namespace, kind, name), names in sorted(users.items()):
        yield references.message(kind, name, names, namespace)


def _deviations(machines: Iterable[MachineResult]) -> Iterator[str]:
    """Yield one sentence per attribute, however many machines differ in it; the values where it is one."""
    # A newer version is no oddity: VM Operator records one as soon as the machine is back.
    if names := [f"{one.namespace}/{one.name}" for one in machines if one.backup_version == "older"]:
        yield f"restored from a point that is older than the capture: {enumerate_some(names)}"
    found: dict[tuple[str, str], list[tuple[str, Deviation]]] = {}
    for machine in machines:
        for one in machine.deviations:
            name = f"{machine.namespace}/{machine.name}"
            found.setdefault((one.attribute, one.note), []).append((name, one))
    for (attribute, note), places in found.items():
        words = f"{attribute} is not as expected: {enumerate_some([name for name, _ in places])}"
        if len(places) == 1:
            name, one = places[0]
            words = f"{attribute} of {name} is {one.found or 'missing'}, expected {one.expected}"
        yield f"{words} ({note})" if note else words


def _count(things: Sequence[object], noun: str) -> str:
    return f"1 {noun} is" if len(things) == 1 else f"{len(things)} {noun}s are"


def _backup_started(objects: Iterable[Result]) -> str:
    """Read the backup's start out of a capture's key; '' where nothing was captured."""
    for one in objects:
        match one.capture.split("/"):
            case ["captures", _, started, *_]:
                return _iso(started)
    return ""


def _iso(compact: str) -> str:
    try:
        return archive.moment(compact).isoformat()
    except ValueError:
        return ""
