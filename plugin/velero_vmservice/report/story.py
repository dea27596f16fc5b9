"""The story of a restore that was resumed: what its runs have come to, and how each went on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.report.model import EarlierEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from velero_vmservice.report.model import Result, VmResult


def continued(*runs: Iterable[Result]) -> list[Result]:
    """Return each object once: as the last run with it left it, with its course in all of them.

    The runs are in their order. Done twice it comes to the same.
    """
    latest: dict[str, Result] = {}
    for run in runs:
        after = {result.key: result for result in run}
        went_on = {key: _continued(latest[key], result) if key in latest else result for key, result in after.items()}
        latest = went_on | {key: result for key, result in latest.items() if key not in after}
    return list(latest.values())


def _continued(before: Result, after: Result) -> Result:
    vms = {vm.key: vm for vm in before.machines}
    ended = EarlierEnd(stage=before.stage, reason=before.reason, ended=before.ended)
    ends = after.earlier_ends or (*before.earlier_ends, ended)
    return after.model_copy(
        update={
            "earlier": ends[-1],
            "earlier_ends": ends,
            "started": min(filter(None, (before.started, after.started)), default=""),
            "replayed": before.replayed or after.replayed,
            "timeline": _course(before.timeline, after.timeline),
            "machines": tuple(_with_course(vm, vms) for vm in after.machines),
        }
    )


def _with_course(vm: VmResult, before: dict[str, VmResult]) -> VmResult:
    if vm.key not in before:
        return vm
    return vm.model_copy(update={"timeline": _course(before[vm.key].timeline, vm.timeline)})


def _course(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return both courses as one, in the order of time; what is said twice at one time is said once."""
    return tuple(sorted({*before, *after}, key=lambda entry: entry[0]))
