"""Which capture fits the VMs that a VADP product has brought back: decided on backup versions and UUIDs, never guessed.

VM Operator counts the versions of a VM's record and writes the number on the VirtualMachine. It goes on counting while
the VM lives, so after a restore a capture is usually older than its VMs, and the newest such capture fits best. A
capture that is newer than its VMs describes what they have not been yet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.facts import difference
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.velero.runs import CaptureRef
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

VmName = tuple[str, str]
"""Namespace and name of a VM."""


class Fit(StrEnum):
    """How a capture compares with what it is to be restored for; in order of preference."""

    EXACT = "exact"
    OLDER = "older"
    """It is older than its VMs, or than the restore point: what changed since is not in it."""
    UNKNOWN = "unknown"
    """Nothing that was recorded on both sides can be compared."""
    NEWER = "newer"
    """It is newer than at least one of its VMs, or than the restore point."""
    UNRELATED = "unrelated"
    """Other VMs bear the names of its own."""


class Presence(StrEnum):
    """Whether a captured VM is there."""

    REGISTERED = "registered"
    MISSING = "missing"
    ANOTHER = "another VM"
    """A VM of that name with other UUIDs."""


class Uuids(StrEnum):
    """How the UUIDs of a VM compare with the captured ones."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sealed capture, with its VMs as it has them."""

    ref: CaptureRef
    started: datetime
    job: str = ""
    restore_point: str = ""
    vms: Mapping[VmName, VmFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class VmEvidence:
    """What one VM says about a capture."""

    name: VmName
    """In the capture."""
    presence: Presence
    captured: str
    """The backup version that the capture has; '' where it has none."""
    live: str = ""
    """The backup version on the VirtualMachine; '' where there is none."""
    uuids: Uuids = Uuids.UNKNOWN

    @property
    def age(self) -> VersionAge:
        """The version on the VirtualMachine against the captured one."""
        return compare_versions(self.live, self.captured)

    @property
    def fit(self) -> Fit:
        """What this VM alone says."""
        match self.presence, self.age:
            case Presence.ANOTHER, _:
                return Fit.UNRELATED
            case Presence.REGISTERED, VersionAge.EQUAL:
                return Fit.EXACT
            case Presence.REGISTERED, VersionAge.OLDER:
                return Fit.NEWER
            case Presence.REGISTERED, VersionAge.NEWER:
                return Fit.OLDER
            case _:
                return Fit.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A capture, and how well it fits."""

    candidate: Candidate
    fit: Fit
    vms: Sequence[VmEvidence] = ()
    """By name; none where a restore point or a time decides."""

    @property
    def compared(self) -> int:
        """How many VMs have a version on both sides."""
        return sum(vm.fit in _COMPARED for vm in self.vms)


_ORDER: Final = tuple(Fit)
_COMPARED: Final = frozenset({Fit.EXACT, Fit.OLDER, Fit.NEWER})
_WORST_FIRST: Final = (Fit.NEWER, Fit.OLDER, Fit.EXACT)


def by_vms(
    candidates: Iterable[Candidate], live: Mapping[VmName, ObservedVm], *, mapping: Mapping[str, str]
) -> Sequence[Match]:
    """Rank captures by the VMs that are registered now, the best first.

    Args:
        candidates: the captures.
        live: the VirtualMachines as they are.
        mapping: the namespaces that a restore moves, as the VMs are looked for where it brings them back.
    """
    matches = []
    for candidate in candidates:
        evidence = [
            _evidence(name, vm, live.get((mapping.get(name[0], name[0]), name[1])))
            for name, vm in sorted(candidate.vms.items())
        ]
        matches.append(Match(candidate=candidate, fit=_fit(evidence), vms=evidence))
    return _ranked(matches)


def by_restore_point(candidates: Sequence[Candidate], restore_point: str, *, job: str = "") -> Sequence[Match]:
    """Rank captures by the restore point of a VADP job that the VMs come from.

    Captures of that restore point are exact, and the others older or newer than the first of them. Where no capture
    names it, none can be compared.
    """
    exact = {
        candidate.ref
        for candidate in candidates
        if candidate.restore_point == restore_point and job in ("", candidate.job)
    }
    times = [candidate.started for candidate in candidates if candidate.ref in exact]
    return _ranked(
        Match(
            candidate=candidate,
            fit=Fit.EXACT if candidate.ref in exact else _against(candidate.started, min(times, default=None)),
        )
        for candidate in candidates
    )


def by_time(candidates: Iterable[Candidate], moment: datetime) -> Sequence[Match]:
    """Rank captures by the time of a restore point."""
    return _ranked(
        Match(candidate=candidate, fit=_against(candidate.started, moment, same=Fit.EXACT)) for candidate in candidates
    )


def best(matches: Sequence[Match], *, allow_newer: bool = False) -> Match | None:
    """Return the capture to restore from; None where none is known to fit."""
    fitting = (Fit.EXACT, Fit.OLDER, Fit.NEWER) if allow_newer else (Fit.EXACT, Fit.OLDER)
    return next((match for match in matches if match.fit in fitting), None)


def counted(vms: Iterable[VmEvidence]) -> str:
    """Return how many VMs say what, as a clause."""
    counts = Counter(str(vm.presence) if vm.presence is not Presence.REGISTERED else _CLAUSES[vm.fit] for vm in vms)
    return ", ".join(f"{count} {clause}" for clause, count in counts.most_common())


_CLAUSES: Final = {
    Fit.EXACT: "as captured",
    Fit.OLDER: "recorded since",
    Fit.NEWER: "from an older restore point",
    Fit.UNKNOWN: "without a version to compare",
    Fit.UNRELATED: str(Presence.ANOTHER),
}


def _evidence(name: VmName, captured: VmFacts, live: ObservedVm | None) -> VmEvidence:
    if live is None or live.deleting:
        return VmEvidence(name=name, presence=Presence.MISSING, captured=captured.backup_version)
    uuids = _uuids(captured, live)
    another = uuids is Uuids.DIFFERENT and not live.failed_over  # a failover to another vCenter changes them
    return VmEvidence(
        name=name,
        presence=Presence.ANOTHER if another else Presence.REGISTERED,
        captured=captured.backup_version,
        live=live.backup_version,
        uuids=uuids,
    )


def _uuids(captured: VmFacts, live: ObservedVm) -> Uuids:
    if difference(captured, instance_uuid=live.instance_uuid, bios_uuid=live.bios_uuid):
        return Uuids.DIFFERENT
    pairs = ((captured.instance_uuid, live.instance_uuid), (captured.bios_uuid, live.bios_uuid))
    return Uuids.EQUAL if any(before and now for before, now in pairs) else Uuids.UNKNOWN


def _fit(evidence: Sequence[VmEvidence]) -> Fit:
    fits = {vm.fit for vm in evidence}
    if known := next((fit for fit in _WORST_FIRST if fit in fits), None):
        return known
    return Fit.UNRELATED if Fit.UNRELATED in fits else Fit.UNKNOWN


def _against(started: datetime, moment: datetime | None, *, same: Fit = Fit.OLDER) -> Fit:
    if moment is None:
        return Fit.UNKNOWN
    if started == moment:
        return same
    return Fit.OLDER if started < moment else Fit.NEWER


def _ranked(matches: Iterable[Match]) -> Sequence[Match]:
    return sorted(matches, key=_rank)


def _rank(match: Match) -> tuple[int, int, float, str]:
    """Order by fit, then by how much was compared, then by age: of newer captures the least new is the best."""
    age = -match.candidate.started.timestamp()
    uncompared = len(match.vms) - match.compared if match.fit is Fit.EXACT else 0
    return _ORDER.index(match.fit), uncompared, -age if match.fit is Fit.NEWER else age, str(match.candidate.ref)
