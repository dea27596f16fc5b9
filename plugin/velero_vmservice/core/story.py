"""The story of a restore that was resumed: what its first run has come to, and how the later one went on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core.report import EarlierEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from velero_vmservice.core.report import MachineResult, Result


def continued(first: Iterable[Result], later: Iterable[Result]) -> list[Result]:
    """Return each object once: as the later run left it, with the course of both; what it left out, as it was.

    Done twice it comes to the same.
    """
    before = {one.key: one for one in first}
    after = {one.key: one for one in later}
    told = [_continued(before[key], one) if key in before else one for key, one in after.items()]
    return [*told, *(one for key, one in before.items() if key not in after)]


def _continued(before: Result, after: Result) -> Result:
    machines = {one.key: one for one in before.machines}
    return after.model_copy(
        update={
            "earlier": after.earlier or EarlierEnd(stage=before.stage, reason=before.reason, ended=before.ended),
            "started": min(filter(None, (before.started, after.started)), default=""),
            "replayed": before.replayed or after.replayed,
            "timeline": _course(before.timeline, after.timeline),
            "machines": tuple(_with_course(one, machines) for one in after.machines),
        }
    )


def _with_course(machine: MachineResult, before: dict[str, MachineResult]) -> MachineResult:
    if machine.key not in before:
        return machine
    return machine.model_copy(update={"timeline": _course(before[machine.key].timeline, machine.timeline)})


def _course(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return both courses as one, in the order of time; what is said twice at one time is said once."""
    return tuple(sorted({*before, *after}, key=lambda entry: entry[0]))
