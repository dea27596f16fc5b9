"""Which runs in a bucket may be removed, decided on what was listed; nothing is asked or removed here.

A capture may be removed only if neither the cluster nor Velero's own archive in the bucket has a backup of its name: a
bucket may be shared with another cluster, and a backup may not be synced yet, or be uploaded at this moment. Beside the
settings' own bucket lies no archive, and a seal names neither its location nor its cluster: only an administrator can
say that the archives of this Velero's locations are all that its captures belong to.
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
"""Since the last write: what is younger may be of a backup or restore that goes on."""

ENDED_PHASES: Final = frozenset({"Completed", "PartiallyFailed", "Failed", "FailedValidation"})
"""Of a Restore (Velero, pkg/apis/velero/v1/restore_types.go): any other, and none, is of one that goes on."""

_RUN: Final = re.compile(r"(captures|restores)/([^/]+)/([^/]+)/.+")


class Area(StrEnum):
    """What a run left in the bucket."""

    CAPTURE = "capture"
    RESULTS = "results"


class Verdict(Enum):
    """What becomes of a run, and why."""

    ORPHANED = "no backup of this name exists, in the cluster or in the bucket"
    EXPIRED = "the results are older than asked for"
    BACKUP_EXISTS = "the cluster has a backup of this name"
    BACKUP_STORED = "Velero's archive in the bucket has a backup of this name"
    ARCHIVE_UNREAD = "Velero's archive could not be read, so that a backup of this name may exist"
    BEING_RESTORED = "a restore of it has not ended"
    ORIGIN_UNKNOWN = "the settings' bucket may hold captures of another cluster, or of a location that was removed"
    READ_ONLY = "its location is ReadOnly"
    RECENT = "it was written within the last 24 hours"
    RESTORE_GOES_ON = "the restore has not ended"
    NOT_EXPIRED = "the results are younger than asked for"

    @property
    def removable(self) -> bool:
        """Whether the run may be removed."""
        return self in {Verdict.ORPHANED, Verdict.EXPIRED}

    def prevails_over(self, other: Verdict) -> bool:
        """Whether this verdict holds for a run that two locations show, of which the other one comes from the second.

        What keeps a run keeps it in both locations, but for one that is ReadOnly: the other may let it be removed.
        """
        return self._weight > other._weight

    @property
    def _weight(self) -> int:
        if self is Verdict.READ_ONLY:
            return 0
        return 1 if self.removable else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """All that one run of a Backup or Restore left in a bucket."""

    area: Area
    name: str
    started: str
    """As the key spells it."""
    documents: Sequence[StoredDocument]

    @property
    def prefix(self) -> str:
        """All of its keys begin so."""
        folder = "captures" if self.area is Area.CAPTURE else "restores"
        return f"{folder}/{self.name}/{self.started}/"

    @property
    def size(self) -> int:
        """Of all its documents, in bytes."""
        return sum(document.size for document in self.documents)

    @property
    def written(self) -> datetime:
        """When the newest of its documents was written."""
        return max(document.written for document in self.documents)

    @property
    def removal_order(self) -> Sequence[str]:
        """Its keys, in the order in which they are removed."""
        return sorted((document.key for document in self.documents), key=lambda key: (self.is_index(key), key))

    def is_index(self, key: str) -> bool:
        """Whether the key is of the seal or the report, by which what is left of the run is found."""
        return key in {f"{self.prefix}capture.json", f"{self.prefix}report.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was read beside the runs, after they were listed."""

    backups: frozenset[str]
    """Names of the Backups of the cluster, of whatever phase."""
    archived: frozenset[str]
    """Names that Velero's own archive holds anything of."""
    archive_read: bool
    """Whether all archives were read that a capture's backup may lie in."""
    origin_known: bool
    """Whether those archives are of every cluster and location that the bucket may hold captures of."""
    going_on: frozenset[str]
    """Names of the Restores that have not ended."""
    being_restored: frozenset[str]
    """Names of the Backups that those restore: a restore goes on from its capture when its Backup is gone."""
    read_only: bool
    """Whether nothing can be removed from the bucket through its location."""


def runs_of(documents: Iterable[StoredDocument]) -> Sequence[StoredRun]:
    """Return the runs that documents belong to; keys of any other form are of nothing that is removed here."""
    grouped: dict[tuple[str, str, str], list[StoredDocument]] = {}
    for document in documents:
        match = _RUN.fullmatch(document.key)
        if match and is_key(document.key):
            folder, name, started = match.groups()
            grouped.setdefault((folder, name, started), []).append(document)
    return [
        StoredRun(
            area=Area.CAPTURE if folder == "captures" else Area.RESULTS,
            name=name,
            started=started,
            documents=tuple(of_run),
        )
        for (folder, name, started), of_run in grouped.items()
    ]


def decide(run: StoredRun, known: Known, *, now: datetime, older_than: timedelta) -> Verdict:
    """Say what becomes of a run."""
    age = now - run.written
    if run.area is Area.CAPTURE:
        verdict = _of_capture(run.name, known, age)
    else:
        verdict = _of_results(run.name, known, age, older_than)
    return Verdict.READ_ONLY if verdict.removable and known.read_only else verdict


def _of_results(restore: str, known: Known, age: timedelta, older_than: timedelta) -> Verdict:
    if restore in known.going_on:
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
