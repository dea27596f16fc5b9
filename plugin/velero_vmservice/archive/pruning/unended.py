"""Restores that have begun and not ended, by what lies in the bucket: what they read is kept for them.

A restore that was stopped goes on when its command is repeated, so its capture stays until the restore's own results
are pruned. A restore that was given up looks the same: once nothing has been stored of it for a while it is named.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.pruning.marker import MARKER, RestoreMarker
from velero_vmservice.archive.pruning.stored_runs import REPORT, Area
from velero_vmservice.archive.store import read_document
from velero_vmservice.errors import Corrupt, NotFound
from velero_vmservice.velero.runs import Maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from velero_vmservice.archive.pruning.stored_runs import StoredRun
    from velero_vmservice.archive.store import ObjectStore

MINIMUM_AGE: Final = timedelta(days=1)
"""Since the last write; a younger run may be of a backup or restore that is still running."""
STALE_AGE: Final = timedelta(days=7)
"""Since the last write: from then on a restore without an end is named to the person who prunes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnendedRestore:
    """A restore without a report."""

    name: str
    started: str
    capture: str
    """How the keys of what it reads begin; '' where that is not known, so that it may be any capture."""
    written: datetime
    """When the last of its documents was written."""
    where: str
    """Where they lie, as a person reads it."""

    def reads(self, capture: str) -> bool:
        """Say whether the capture whose keys have this prefix is what it reads, or may be."""
        return capture.startswith(self.capture)

    def is_stale(self, now: datetime) -> bool:
        """Say whether nothing has been stored of it for so long that a person may have given it up."""
        return now - self.written >= STALE_AGE


def unended_restores(store: ObjectStore, runs: Iterable[StoredRun], *, now: datetime) -> Sequence[UnendedRestore]:
    """Return the restores among the runs that have not ended; raises what reading their markers raises.

    Without a marker, as earlier releases left it, a restore counts for a day after its last write: it is of a backup
    or capture of its own name, or of a Velero Restore.
    """
    by_name = defaultdict[str, list["StoredRun"]](list)
    for run in runs:
        if run.area is Area.RESULTS:
            by_name[run.name].append(run)
    return [
        restore
        for of_name in by_name.values()
        if not all(run.has(REPORT) for run in of_name)
        for restore in _unended(store, of_name, now)
    ]


def _unended(store: ObjectStore, runs: Iterable[StoredRun], now: datetime) -> Iterator[UnendedRestore]:
    """Yield the runs without an end of one name, but for those that a later run of the same restore goes on with."""
    markers = {run.started: _marker(store, run) for run in runs if run.has(MARKER)}
    for run in runs:
        if run.has(REPORT):
            continue
        marker = markers.get(run.started)
        if marker is not None:
            if not any(later is not None and marker.is_continued_by(later) for later in markers.values()):
                yield _restore(store, run, marker.capture)
        elif run.has(MARKER):
            yield _restore(store, run, "")
        elif now - run.written < MINIMUM_AGE:
            for maker in Maker:
                yield _restore(store, run, f"{maker.root}/{run.name}/")


def _marker(store: ObjectStore, run: StoredRun) -> RestoreMarker | None:
    """Return the marker; None for one that is damaged or gone, which hides none of the others."""
    try:
        return read_document(store, f"{run.prefix}{MARKER}", RestoreMarker)
    except (Corrupt, NotFound):
        return None


def _restore(store: ObjectStore, run: StoredRun, capture: str) -> UnendedRestore:
    where = store.where(f"{run.prefix}*")
    return UnendedRestore(name=run.name, started=run.started, capture=capture, written=run.written, where=where)
