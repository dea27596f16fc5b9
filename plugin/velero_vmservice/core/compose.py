"""Make the report of a restore from the results of its objects: pure, so that every reader gets the same report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from velero_vmservice.core import archive, nesting
from velero_vmservice.core.manifest import VIRTUAL_MACHINE_GROUP
from velero_vmservice.core.operation import enumerate_some
from velero_vmservice.core.plan import Stage
from velero_vmservice.core.report import MachineResult, Outcome, Report, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.report import Deviation

_LOST: Final = (Stage.FAILED, Stage.CANCELLED)
_LEFT_ALONE: Final = "what is there already, as captured, is left alone"
_REMEDIES: Final = {
    Stage.FAILED: f"Correct the cause, then repeat the restore: {_LEFT_ALONE}.",
    Stage.CANCELLED: f"Repeat the restore when what it waited for is there: {_LEFT_ALONE}.",
}
"""What to do about an object whose result does not say it."""
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
    machines = _machines(objects)
    return Report(
        restore=run.name,
        restore_uid=run.uid,
        backup=run.backup,
        backup_started=_backup_started(objects),
        started=_iso(run.started),
        ended=ended,
        outcome=outcome(objects),
        policy=dict(policy),
        next_steps=tuple(_next_steps(objects, machines)),
        warnings=tuple(dict.fromkeys(_warnings(objects, machines))),
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
        return Outcome.RETAINED if Stage.RETAINED in stages else Outcome.VERIFIED
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


def _machines(objects: Iterable[Result]) -> tuple[MachineResult, ...]:
    """List each machine once, as the object that ended last saw it, with what the others add."""
    merged: dict[tuple[str, str], MachineResult] = {}
    for result in sorted(objects, key=lambda one: one.ended):
        for machine in result.machines:
            key = (machine.namespace, machine.name)
            merged[key] = _merge(machine, merged[key]) if key in merged else machine
    return tuple(merged[key] for key in sorted(merged))


def _merge(newer: MachineResult, older: MachineResult) -> MachineResult:
    """Take the newer look, and from the older one what the newer leaves open."""
    open_fields = {
        name: getattr(older, name) for name in type(newer).model_fields if getattr(newer, name) in ("", (), "unknown")
    }
    if newer.registered:
        open_fields.pop("waiting_for", None)
    told = {one.attribute for one in newer.deviations}
    return newer.model_copy(
        update={
            **open_fields,
            "deviations": (*newer.deviations, *(one for one in older.deviations if one.attribute not in told)),
            "timeline": tuple(sorted(set(newer.timeline) | set(older.timeline))),
        }
    )


def _next_steps(objects: Sequence[Result], machines: Sequence[MachineResult]) -> Iterator[str]:
    """Yield what to do: what nothing registers, what failed, never came, ran out of time, was left, then power."""
    if by_hand := [one for one in machines if one.by_hand]:
        yield _register(by_hand)
    yield from _mend(objects, Stage.FAILED)
    absent = [f"{one.namespace}/{one.name}" for one in machines if not one.registered]
    if absent:
        words = "See in the VADP product that each is restored, and in vCenter that RegisterVM has run"
        yield f"{_count(absent, 'machine')} not registered. {words}: {enumerate_some(absent)}."
    yield from _mend(objects, Stage.CANCELLED)
    yield from (f"{one.label}: {' '.join(one.remedy)}" for one in objects if one.remedy and one.stage not in _LOST)
    if waiting := [one.label for one in objects if not Stage(one.stage).final]:
        yield f"Wait, {_count(waiting, 'object')} still under way: {enumerate_some(waiting)}."
    commands = tuple(dict.fromkeys(line for one in objects if one.stage not in _LOST for line in one.next_commands))
    off = [one for one in machines if one.power_after == "PoweredOff" and one.power_before == "PoweredOn"]
    if commands or off:
        words = f"When the application may run, power it on: {_count(off, 'machine')} off that ran at backup."
        yield "\n".join((words if off else "Go on from here.", *commands))
    elif outcome(objects) is Outcome.VERIFIED and not absent:
        yield NOTHING_TO_DO
    elif outcome(objects) is Outcome.EMPTY:
        yield "Nothing to do: the backup held no VirtualMachineService and no VirtualMachineGroup."


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
    by_remedy: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in (one for one in objects if one.stage == stage):
        remedy = " ".join(one.remedy) or _REMEDIES[stage]
        by_remedy.setdefault((remedy, one.next_commands), []).append(one.label)
    for (remedy, commands), labels in by_remedy.items():
        alone = f"{labels[0]} {stage}. {remedy}"
        many = f"{len(labels)} objects {stage}. {remedy} They are: {enumerate_some(labels)}."
        yield "\n".join((alone if len(labels) == 1 else many, *commands))


def _warnings(objects: Sequence[Result], machines: Sequence[MachineResult]) -> Iterator[str]:
    """Yield what to mind: lost objects, absent machines, warnings, left objects, machines that deviate."""
    for stage in (*_LOST, Stage.WAITING, Stage.REPLAYED, Stage.POWERING):
        yield from (f"{one.label} {stage}: {one.reason}" for one in objects if one.stage == stage)
    for machine in machines:
        if not machine.registered:
            yield f"VirtualMachine {machine.namespace}/{machine.name}: {machine.waiting_for or 'not registered'}"
    for one in objects:
        yield from (f"{one.label}: {words}" for words in one.warnings)
    yield from (f"{one.label} retained: {one.reason}" for one in objects if one.stage == Stage.RETAINED)
    yield from _deviations(machines)


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
