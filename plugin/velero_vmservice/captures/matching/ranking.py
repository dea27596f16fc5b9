"""Which capture fits the VMs that a VADP product has brought back: decided on backup versions and UUIDs, never guessed.

VM Operator counts the versions of a VM's record and writes the number on the VirtualMachine. It goes on counting while
the VM lives, so after a restore a capture is usually older than its VMs, and the newest such capture fits best. A
capture that is newer than its VMs describes what they have not been yet. However well it fits, a capture that lacks
what an earlier one holds may have been taken while an application was away: it comes after those that lack nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.captures.matching import shortfall
from velero_vmservice.captures.matching.evidence import Fit, Presence, compared, evidence_of, fit_of
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.captures.matching.candidate import Candidate, VmName
    from velero_vmservice.captures.matching.evidence import VmEvidence
    from velero_vmservice.captures.matching.shortfall import Lack
    from velero_vmservice.velero.runs import CaptureRef
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm


Concerns = Callable[["Lack"], bool]
"""Says whether what a capture lacks would be restored if it were there."""


def concerns_all(_lack: Lack) -> bool:
    """Say that every lack counts."""
    return True


class Timing(StrEnum):
    """When a capture was taken, seen from the run of the VADP job that made a restore point."""

    BEFORE = "taken before the job made the restore point"
    UNCHANGED = "taken after it, and no VM was recorded in between"
    CHANGED = "taken after it, and a VM was recorded in between"
    UNSURE = "taken after it; whether a VM was changed in between is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A capture, and how well it fits."""

    candidate: Candidate
    fit: Fit
    vms: Sequence[VmEvidence] = ()
    """By name; none where a restore point or a time decides."""
    lacks: Sequence[Lack] = ()
    """What earlier captures hold and this one does not."""
    timing: Timing | None = None
    """None unless it belongs to the restore point that is asked for."""

    @property
    def captured(self) -> Sequence[VmEvidence]:
        """The VMs that it has."""
        return [vm for vm in self.vms if vm.presence is not Presence.UNCAPTURED]

    @property
    def compared(self) -> int:
        """How many of them have a version on both sides."""
        return len(compared(self.captured))

    @property
    def fewer(self) -> Sequence[Lack]:
        """What a restore from it would leave out, though an earlier capture has it."""
        return shortfall.fewer(self.lacks)

    @property
    def recovering(self) -> bool:
        """Whether it may have been taken while an application was away."""
        return any(lack.recovering for lack in self.lacks)


_CLASSES: Final = ({Fit.EXACT}, {Fit.OLDER, Fit.PARTIAL}, {Fit.UNKNOWN}, {Fit.NEWER}, {Fit.UNRELATED})
"""In order of preference; the newest of a class is its best, of newer captures the least new."""
_FITTING: Final = frozenset({Fit.EXACT, Fit.OLDER, Fit.PARTIAL})


def by_vms(
    candidates: Iterable[Candidate],
    live: Mapping[VmName, ObservedVm],
    *,
    mapping: Mapping[str, str],
    concerns: Concerns = concerns_all,
) -> Sequence[Match]:
    """Rank captures by the VMs that are registered now, the best first.

    Args:
        candidates: the captures.
        live: the VirtualMachines as they are.
        mapping: the namespaces that a restore moves, as the VMs are looked for where it brings them back.
        concerns: says which lacks count, where not all that a capture holds is to be restored.
    """
    known = list(candidates)
    lacks = _lacks(known, concerns)
    matches = []
    for candidate in known:
        evidence = evidence_of(candidate, live, mapping)
        of_live_vms = [_beside(lack, candidate, live, mapping) for lack in lacks[candidate.ref]]
        matches.append(Match(candidate=candidate, fit=fit_of(evidence), vms=evidence, lacks=of_live_vms))
    return _ranked(matches)


def by_restore_point(
    candidates: Sequence[Candidate], restore_point: str, *, job: str = "", concerns: Concerns = concerns_all
) -> Sequence[Match]:
    """Rank captures by the restore point of a VADP job that the VMs come from.

    A capture that names it was taken once the point was known, so after the state of the VMs in it. It is exact as long
    as no VM was recorded since the capture before the same run of the job, which is preferred wherever there is one.
    The others are older or newer than both. Where no capture names the point, none can be compared.
    """
    lacks = _lacks(candidates, concerns)
    belonging = dict["CaptureRef", tuple[Fit, Timing]]()
    times = list["datetime"]()
    for after in candidates:
        if after.restore_point != restore_point or job not in ("", after.job):
            continue
        before = _before_job(after, candidates)
        timing = _timing(before, after)
        belonging[after.ref] = _FIT_AFTER[timing] if before else Fit.EXACT, timing
        if before:
            belonging[before.ref] = Fit.EXACT if timing is Timing.UNCHANGED else Fit.OLDER, Timing.BEFORE
        times.append((before or after).started)
    reference = min(times, default=None)
    matches = []
    for candidate in candidates:
        fit, timing_known = belonging.get(candidate.ref, (_against(candidate.started, reference), None))
        matches.append(Match(candidate=candidate, fit=fit, lacks=lacks[candidate.ref], timing=timing_known))
    return _ranked(matches)


def by_time(candidates: Iterable[Candidate], moment: datetime, *, concerns: Concerns = concerns_all) -> Sequence[Match]:
    """Rank captures by the time of a restore point."""
    known = list(candidates)
    lacks = _lacks(known, concerns)
    return _ranked(
        Match(
            candidate=candidate,
            fit=_against(candidate.started, moment, same=Fit.EXACT),
            lacks=lacks[candidate.ref],
        )
        for candidate in known
    )


def best(matches: Sequence[Match], *, allow_newer: bool = False, allow_fewer: bool = False) -> Match | None:
    """Return the capture to restore from; None where none is known to fit.

    One that lacks what was removed beside its VMs is returned with that; one that may have been taken during a
    recovery only if fewer objects are allowed, and nothing else fits.
    """
    fitting = _FITTING | {Fit.NEWER} if allow_newer else _FITTING
    return next((match for match in matches if match.fit in fitting and (allow_fewer or not match.recovering)), None)


def passed_over(matches: Iterable[Match], chosen: Match) -> Sequence[Match]:
    """Return newer captures that fit at least as well as the chosen one and may be of a recovery, the newest first."""
    newer = [
        match
        for match in matches
        if match.recovering
        and match.fit in _FITTING
        and _class(match.fit) <= _class(chosen.fit)
        and match.candidate.started > chosen.candidate.started
    ]
    return sorted(newer, key=lambda match: match.candidate.started, reverse=True)


def _beside(lack: Lack, candidate: Candidate, live: Mapping[VmName, ObservedVm], mapping: Mapping[str, str]) -> Lack:
    """Return what a capture lacks as waited for where VMs of it are registered that were away from the capture."""
    namespace = lack.ref.namespace
    own = lack.application.vms if lack.application else ()
    back = any((mapping.get(namespace, namespace), name) in live for name in own)
    away = bool(own) and not any((namespace, name) in candidate.uids for name in own)
    return replace(lack, recovering=True) if away and back else lack


def _lacks(candidates: Iterable[Candidate], concerns: Concerns) -> Mapping[CaptureRef, Sequence[Lack]]:
    return {ref: list(filter(concerns, lacks)) for ref, lacks in shortfall.lacks_of(candidates).items()}


_FIT_AFTER: Final = {Timing.UNCHANGED: Fit.EXACT, Timing.CHANGED: Fit.NEWER, Timing.UNSURE: Fit.UNKNOWN}


def _before_job(after: Candidate, candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the newest capture before the run of the job that a capture was taken after; None where there is none."""
    earlier = [
        candidate
        for candidate in candidates
        if candidate.job == after.job
        and candidate.started < after.started
        and candidate.restore_point != after.restore_point
        and not candidate.vms.keys().isdisjoint(after.vms)
    ]
    newest = max(earlier, key=lambda candidate: candidate.started, default=None)
    return newest if newest and after.job and not newest.restore_point else None


def _timing(before: Candidate | None, after: Candidate) -> Timing:
    """Say whether a VM was recorded between two captures: only then the later one can be newer than the VMs."""
    if before is None:
        return Timing.UNSURE
    if before.vms.keys() != after.vms.keys():
        return Timing.CHANGED
    ages = {compare_versions(vm.backup_version, before.vms[name].backup_version) for name, vm in after.vms.items()}
    if ages == {VersionAge.EQUAL}:
        return Timing.UNCHANGED
    return Timing.UNSURE if ages <= {VersionAge.EQUAL, VersionAge.UNKNOWN} else Timing.CHANGED


def _against(started: datetime, moment: datetime | None, *, same: Fit = Fit.OLDER) -> Fit:
    if moment is None:
        return Fit.UNKNOWN
    if started == moment:
        return same
    return Fit.OLDER if started < moment else Fit.NEWER


def _ranked(matches: Iterable[Match]) -> Sequence[Match]:
    return sorted(matches, key=_rank)


def _rank(match: Match) -> tuple[bool, bool, int, bool, bool, float, str]:
    """Order what fits and lacks nothing first, then by fit, then by age."""
    age = -match.candidate.started.timestamp()
    foreign = any(vm.presence is Presence.ANOTHER for vm in match.vms)
    return (
        match.fit not in _FITTING,
        match.fit in _FITTING and match.recovering,
        _class(match.fit),
        foreign,
        match.timing not in (None, Timing.BEFORE),
        -age if match.fit is Fit.NEWER else age,
        str(match.candidate.ref),
    )


def _class(fit: Fit) -> int:
    return next(place for place, fits in enumerate(_CLASSES) if fit in fits)
