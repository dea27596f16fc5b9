"""Which runs in a bucket may be removed: a decision on what was listed, without requests.

A capture may be removed only if neither the cluster nor Velero's own archive in the bucket has a backup of its name: a
bucket may be shared with another cluster, and a backup may not be synced yet, or be uploaded at this moment. The
settings' own bucket has no archive beside the captures, and a seal names neither its location nor its cluster. Only an
administrator can confirm that all its captures belong to the archives of this Velero's locations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.store import is_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from velero_vmservice.archive.store import StoredDocument

MINIMUM_AGE: Final = timedelta(days=1)
"""Since the last write; a younger run may be of a backup or restore that is still running."""

ENDED_PHASES: Final = frozenset({"Completed", "PartiallyFailed", "Failed", "FailedValidation"})
"""Final phases of a Restore (Velero, pkg/apis/velero/v1/restore_types.go); in any other it is still running."""

_RUN: Final = re.compile(r"(captures|restores|drills)/([^/]+)/([^/]+)/.+")


class Area(StrEnum):
    """The part of the bucket that a run wrote to."""

    CAPTURE = "capture"
    RESULTS = "results"
    DRILL = "drill"

    @property
    def folder(self) -> str:
        """The first part of its keys."""
        return _FOLDERS[self]


_FOLDERS: Final = {Area.CAPTURE: "captures", Area.RESULTS: "restores", Area.DRILL: "drills"}
_AREAS: Final = {folder: area for area, folder in _FOLDERS.items()}


class Verdict(Enum):
    """Whether a run is removed, and why."""

    ORPHANED = "no backup of this name exists, in the cluster or in the bucket"
    EXPIRED = "the results are older than the given age"
    BACKUP_EXISTS = "the cluster has a backup of this name"
    BACKUP_STORED = "Velero's archive in the bucket has a backup of this name"
    ARCHIVE_UNREAD = "Velero's archive could not be read, so a backup of this name may exist"
    BEING_RESTORED = "a restore of it has not ended"
    ORIGIN_UNKNOWN = "the settings' bucket may hold captures of another cluster, or of a location that was removed"
    READ_ONLY = "its location is ReadOnly"
    RECENT = "it was written within the last 24 hours"
    NEWEST_DRILL = "it is the newest drill of its capture's name"
    RESTORE_GOES_ON = "the restore has not ended"
    NOT_EXPIRED = "the results are younger than the given age"

    @property
    def removable(self) -> bool:
        """Whether the run may be removed."""
        return self in {Verdict.ORPHANED, Verdict.EXPIRED}

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
class StoredRun:
    """All documents of one run of a Backup or Restore in a bucket."""

    area: Area
    name: str
    started: str
    """In the spelling of the key."""
    documents: Sequence[StoredDocument]

    @property
    def prefix(self) -> str:
        """The beginning of all its keys."""
        return f"{self.area.folder}/{self.name}/{self.started}/"

    @property
    def size(self) -> int:
        """The size of all its documents, in bytes."""
        return sum(document.size for document in self.documents)

    @property
    def written(self) -> datetime:
        """When the newest of its documents was written."""
        return max(document.written for document in self.documents)

    @property
    def removal_order(self) -> Sequence[str]:
        """Its keys in the order of their removal."""
        return sorted((document.key for document in self.documents), key=lambda key: (self.is_index(key), key))

    def is_index(self, key: str) -> bool:
        """Whether the key is of the seal or the report, the index of the run's other documents."""
        return key in {f"{self.prefix}capture.json", f"{self.prefix}report.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was read after the runs were listed."""

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
    newest_drills: frozenset[tuple[str, str]] = frozenset()
    """Name and start of the newest drill of each name: its age is a metric."""
    read_only: bool
    """Whether the location of the bucket forbids removal."""


def runs_of(documents: Iterable[StoredDocument]) -> Sequence[StoredRun]:
    """Return the runs that documents belong to; documents with any other key are never removed."""
    grouped: dict[tuple[str, str, str], list[StoredDocument]] = {}
    for document in documents:
        match = _RUN.fullmatch(document.key)
        if match and is_key(document.key):
            folder, name, started = match.groups()
            grouped.setdefault((folder, name, started), []).append(document)
    return [
        StoredRun(
            area=_AREAS[folder],
            name=name,
            started=started,
            documents=tuple(of_run),
        )
        for (folder, name, started), of_run in grouped.items()
    ]


def newest_drills(runs: Iterable[StoredRun]) -> frozenset[tuple[str, str]]:
    """Return name and start of the newest drill of each name."""
    started = dict[str, str]()
    for run in runs:
        if run.area is Area.DRILL:
            started[run.name] = max(run.started, started.get(run.name, ""))
    return frozenset(started.items())


def decide(run: StoredRun, known: Known, *, now: datetime, older_than: timedelta) -> Verdict:
    """Decide whether a run may be removed."""
    age = now - run.written
    if run.area is Area.CAPTURE:
        verdict = _of_capture(run.name, known, age)
    elif run.area is Area.DRILL and (run.name, run.started) in known.newest_drills:
        verdict = Verdict.NEWEST_DRILL
    else:
        verdict = _of_results(run.area, run.name, known, age, older_than)
    return Verdict.READ_ONLY if verdict.removable and known.read_only else verdict


def _of_results(area: Area, restore: str, known: Known, age: timedelta, older_than: timedelta) -> Verdict:
    if area is Area.RESULTS and restore in known.going_on:
        return Verdict.RESTORE_GOES_ON
    if age < MINIMUM_AGE:
        return Verdict.RECENT
    return Verdict.EXPIRED if age >= older_than else Verdict.NOT_EXPIRED


def _of_capture(backup: str, known: Known, age: timedelta) -> Verdict:
    if backup in known.backups:
        return Verdict.BACKUP_EXISTS
    if backup in known.archived:
        return Verdict.BACKUP_STORED
    if backup in known.being_restored:
        return Verdict.BEING_RESTORED
    if not known.archive_read:
        return Verdict.ARCHIVE_UNREAD
    if age < MINIMUM_AGE:
        return Verdict.RECENT
    return Verdict.ORPHANED if known.origin_known else Verdict.ORIGIN_UNKNOWN
