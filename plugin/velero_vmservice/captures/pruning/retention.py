"""Which captures of the command may be removed: a decision on what was listed and sealed, without asking anything.

A capture is kept for an application as long as no newer one of the same cluster, in the same bucket, holds that
application whole, with all of its VMs, and judges it no worse. Clusters that cannot be told apart, because an earlier
release wrote their seals, usually have a bucket each. This depends neither on age nor on how many are kept, so that
what is kept for an application is kept by every rule, and what one run keeps for that reason the next one keeps too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.findings import Verdict as Judgement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from velero_vmservice.velero.runs import CaptureRef

MINIMUM_AGE: Final = timedelta(days=1)
"""Since the last write: what is younger may be of a capture that goes on, or be restored at this moment."""

Parts = frozenset[str]
"""All groups, services and VMs of an application, or the one VM that belongs to none: kind, namespace and name."""
Applications = Mapping[Parts, Judgement | None]
"""The verdict on each application; None where there is none: for a VM alone, and from an earlier release."""

Origin = tuple[tuple[str, str], str]
"""A bucket and a cluster."""


class Verdict(Enum):
    """What becomes of a capture, and why."""

    EXPIRED = "it is older than asked for, and newer captures hold all of its applications"
    UNFINISHED = "it has no seal, and nothing was written to it for a day"
    RECENT = "it was written within the last 24 hours"
    NOT_EXPIRED = "it is younger than asked for"
    NOT_MEANT = "it is of another namespace or VADP job than asked for"
    OTHER_CLUSTER = "it is of another cluster, or may be"
    AMONG_LAST = "it is among the last of its VADP job and namespaces"
    LAST_GOOD = "it is the last good capture of an application"
    BEING_RESTORED = "a restore of it has not ended"
    RESTORE_STALE = "a restore of it has not ended, of which nothing was stored for a week"
    SEAL_UNUSABLE = "its seal cannot be used, so that what it holds is not known"
    INCOMPLETE = "documents that its seal names are not there (`captures verify` names them)"
    READ_ONLY = "its location is ReadOnly"

    @property
    def removable(self) -> bool:
        """Whether the capture may be removed."""
        return self in {Verdict.EXPIRED, Verdict.UNFINISHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One capture of the command, as far as retention depends on it."""

    ref: CaptureRef
    started: datetime
    written: datetime
    """When its last document was written."""
    sealed: bool
    known: bool = True
    """Whether what it holds is known: its seal could be read."""
    whole: bool = True
    """Whether every document that its seal names is there."""
    bucket: tuple[str, str] = ("", "")
    """Endpoint, and bucket with prefix, that it lies in: a copy in another bucket replaces none."""
    cluster: str = ""
    """UID of namespace kube-system of the cluster that was captured."""
    of_meant_cluster: bool = True
    job: str = ""
    namespaces: frozenset[str] = frozenset()
    applications: Applications = field(default_factory=dict)
    meant: bool = True
    """Whether it is of the namespace and VADP job that were asked for."""
    being_restored: bool = False
    restore_stale: bool = False
    """Whether a restore of it has begun and not ended, of which nothing has been stored for long."""
    read_only: bool = False

    @property
    def usable(self) -> bool:
        """Whether an application could be restored from it, as far as the list of documents shows."""
        return self.sealed and self.known and self.whole

    @property
    def origin(self) -> Origin:
        """Its bucket and its cluster: captures replace others of the same origin alone."""
        return self.bucket, self.cluster

    @property
    def series(self) -> tuple[Origin, str, frozenset[str]]:
        """The captures that it is counted among: those of one origin, one VADP job and the same namespaces."""
        return self.origin, self.job, self.namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long captures are kept."""

    older_than: timedelta
    keep_last: int
    """How many of each series are kept, however old they are."""


def decide(candidates: Iterable[Candidate], rules: Rules, *, now: datetime) -> Mapping[CaptureRef, Verdict]:
    """Say what becomes of each capture."""
    newest_first = sorted(candidates, key=_order, reverse=True)
    good = _kept_for_applications(newest_first)
    last = _last_of_series(newest_first, rules.keep_last)
    return {each.ref: _verdict(each, rules, now, good=good, last=last) for each in newest_first}


def _verdict(
    each: Candidate, rules: Rules, now: datetime, *, good: frozenset[CaptureRef], last: frozenset[CaptureRef]
) -> Verdict:
    reasons = (
        (not each.of_meant_cluster, Verdict.OTHER_CLUSTER),
        (not each.meant, Verdict.NOT_MEANT),
        (now - each.written < MINIMUM_AGE, Verdict.RECENT),
        (each.being_restored, Verdict.BEING_RESTORED),
        (each.read_only, Verdict.READ_ONLY),
        (not each.sealed, Verdict.UNFINISHED),
        (not each.known, Verdict.SEAL_UNUSABLE),
        (not each.whole, Verdict.INCOMPLETE),
        (now - each.started < rules.older_than, Verdict.NOT_EXPIRED),
        (each.ref in last, Verdict.AMONG_LAST),
        (each.ref in good, Verdict.LAST_GOOD),
        (each.restore_stale, Verdict.RESTORE_STALE),
    )
    return next((verdict for holds, verdict in reasons if holds), Verdict.EXPIRED)


def _order(candidate: Candidate) -> tuple[object, ...]:
    return candidate.started, candidate.ref.name, candidate.ref.location


def _last_of_series(newest_first: Sequence[Candidate], keep: int) -> frozenset[CaptureRef]:
    series = defaultdict[tuple[Origin, str, frozenset[str]], list["CaptureRef"]](list)
    for each in newest_first:
        if each.usable:
            series[each.series].append(each.ref)
    return frozenset(ref for refs in series.values() for ref in refs[:keep])


def _kept_for_applications(newest_first: Sequence[Candidate]) -> frozenset[CaptureRef]:
    """Return the captures with an application that no newer capture holds whole and judges no worse."""
    kept = set["CaptureRef"]()
    newer_of = defaultdict[Origin, list[tuple[Parts, Judgement | None]]](list)
    for each in newest_first:
        if not each.usable:
            continue
        applications, newer = each.applications.items(), newer_of[each.origin]
        if any(not _held(parts, judgement, newer) for parts, judgement in applications):
            kept.add(each.ref)
        newer += [entry for entry in applications if entry not in newer]
    return frozenset(kept)


def _held(parts: Parts, judgement: Judgement | None, newer: Iterable[tuple[Parts, Judgement | None]]) -> bool:
    return any(parts <= others and is_no_worse(judged, judgement) for others, judged in newer)


def is_no_worse(newer: Judgement | None, older: Judgement | None) -> bool:
    """Say whether an application is known to be as restorable by a newer verdict as by an older one."""
    return newer == older or newer is Judgement.RESTORABLE or older is Judgement.NOT_RESTORABLE
