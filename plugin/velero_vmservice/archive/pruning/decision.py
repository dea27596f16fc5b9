"""Which runs in a bucket may be removed: a decision on what was listed, without requests.

A capture may be removed only if neither the cluster nor Velero's own archive in the bucket has a backup of its name: a
bucket may be shared with another cluster, and a backup may not be synced yet, or be uploaded at this moment. The
settings' own bucket has no archive beside the captures, and a seal names neither its location nor its cluster. Only an
administrator can confirm that all its captures belong to the archives of this Velero's locations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.pruning.stored_runs import Area
from velero_vmservice.archive.pruning.unended import MINIMUM_AGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from velero_vmservice.archive.pruning.stored_runs import StoredRun
    from velero_vmservice.archive.pruning.unended import UnendedRestore

ENDED_PHASES: Final = frozenset({"Completed", "PartiallyFailed", "Failed", "FailedValidation"})
"""Final phases of a Restore (Velero, pkg/apis/velero/v1/restore_types.go); in any other it is still running."""


class Verdict(Enum):
    """Whether a run is removed, and why."""

    ORPHANED = "no backup of this name exists, in the cluster or in the bucket"
    EXPIRED = "the results are older than the given age"
    NEVER_ENDED = "the restore never ended, and nothing was stored of it for longer than the given age"
    BACKUP_EXISTS = "the cluster has a backup of this name"
    BACKUP_STORED = "Velero's archive in the bucket has a backup of this name"
    ARCHIVE_UNREAD = "Velero's archive could not be read, so a backup of this name may exist"
    BEING_RESTORED = "a restore of it has not ended"
    RESTORE_STALE = "a restore of it has not ended, of which nothing was stored for a week"
    ORIGIN_UNKNOWN = "the settings' bucket may hold captures of another cluster, or of a location that was removed"
    NO_VELERO = "the cluster has no Velero that could tell which backups exist"
    READ_ONLY = "its location is ReadOnly"
    RECENT = "it was written within the last 24 hours"
    NEWEST_DRILL = "it is the newest drill of its capture's name"
    RESTORE_GOES_ON = "the restore has not ended"
    NOT_EXPIRED = "the results are younger than the given age"

    @property
    def removable(self) -> bool:
        """Whether the run may be removed."""
        return self in {Verdict.ORPHANED, Verdict.EXPIRED, Verdict.NEVER_ENDED}

    def prevails_over(self, other: Verdict) -> bool:
        """Whether this verdict, not `other`, holds for a run that is listed in two locations.

        A reason to keep a run holds in both locations, unless the reason is that one is ReadOnly: the other may be
        writable.
        """
        return self._weight > other._weight

    @property
    def _weight(self) -> int:
        if self is Verdict.READ_ONLY:
            return 0
        return 1 if self.removable else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was read after the runs were listed."""

    velero: bool = True
    """Whether there is a Velero whose backups are known."""
    backups: frozenset[str]
    """Names of all Backups of the cluster, in any phase."""
    archived: frozenset[str]
    """Names with any object in Velero's own archive."""
    archive_read: bool
    """Whether every archive that may hold a capture's backup was read."""
    origin_known: bool
    """Whether those archives cover every cluster and location with captures in the bucket."""
    going_on: frozenset[str]
    """Names of the Restores that have not ended."""
    being_restored: frozenset[str]
    """Names of the Backups of those Restores; a restore continues from its capture when its Backup is gone."""
    unended: Sequence[UnendedRestore] = ()
    """The restores that the bucket says have begun and not ended, of Velero or of the command line."""
    newest_drills: frozenset[tuple[str, str]] = frozenset()
    """Name and start of the newest drill of each name: its age is a metric."""
    read_only: bool
    """Whether the location of the bucket forbids removal."""


def newest_drills(runs: Iterable[StoredRun]) -> frozenset[tuple[str, str]]:
    """Return name and start of the newest drill of each name."""
    started = dict[str, str]()
    for run in runs:
        if run.area is Area.DRILL:
            started[run.name] = max(run.started, started.get(run.name, ""))
    return frozenset(started.items())


def decide(run: StoredRun, known: Known, *, now: datetime, older_than: timedelta) -> Verdict:
    """Decide whether a run may be removed."""
    if run.area is Area.CAPTURE:
        verdict = _of_capture(run, known, now)
    elif run.area is Area.DRILL and (run.name, run.started) in known.newest_drills:
        verdict = Verdict.NEWEST_DRILL
    else:
        verdict = _of_results(run, known, now, older_than)
    return Verdict.READ_ONLY if verdict.removable and known.read_only else verdict


def _of_results(run: StoredRun, known: Known, now: datetime, older_than: timedelta) -> Verdict:
    age = now - run.written
    unended = [restore for restore in known.unended if restore.name == run.name and run.area is Area.RESULTS]
    if run.area is Area.RESULTS and run.name in known.going_on:
        return Verdict.RESTORE_GOES_ON
    if not all(restore.is_stale(now) for restore in unended):
        return Verdict.RESTORE_GOES_ON
    if age < MINIMUM_AGE:
        return Verdict.RECENT
    if age < older_than:
        return Verdict.NOT_EXPIRED
    return Verdict.NEVER_ENDED if run.started in {restore.started for restore in unended} else Verdict.EXPIRED


def _of_capture(run: StoredRun, known: Known, now: datetime) -> Verdict:
    age = now - run.written
    unended = [restore for restore in known.unended if restore.reads(run.prefix)]
    if not known.velero:
        return Verdict.NO_VELERO
    if run.name in known.backups:
        return Verdict.BACKUP_EXISTS
    if run.name in known.archived:
        return Verdict.BACKUP_STORED
    if run.name in known.being_restored or not all(restore.is_stale(now) for restore in unended):
        return Verdict.BEING_RESTORED
    if not known.archive_read:
        return Verdict.ARCHIVE_UNREAD
    if age < MINIMUM_AGE:
        return Verdict.RECENT
    if unended:
        return Verdict.RESTORE_STALE
    return Verdict.ORPHANED if known.origin_known else Verdict.ORIGIN_UNKNOWN
