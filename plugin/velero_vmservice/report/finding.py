"""Find the reports of restores in the buckets, also of a Restore that is gone or that Velero never had.

A writer to the bucket can store a report under any start time. So a Restore's own start time decides where Velero still
has the Restore; where it does not, a report is taken unasked only if it is the one there is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.other_backups import location_names
from velero_vmservice.errors import NotFound, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, RESTORE, ObjectRef
from velero_vmservice.report.store import REPORT
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.kube.api import Cluster

_KEY: Final = re.compile(rf"(restores/([^/]+)/(\d{{8}}T\d{{6}}Z)/){re.escape(REPORT)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """One report in a bucket."""

    restore: str
    started: str
    """Start time of its run, as keys spell it."""
    where: str
    """Where it lies, as a person reads it."""
    prefix: str
    store: ObjectStore

    def read(self, name: str) -> bytes:
        """Return the report in one of its forms; raises `NotFound` for one that is not stored."""
        return self.store.get(f"{self.prefix}{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A restore's own run, as known before any bucket is read."""

    started: str = ""
    """'' where Velero has no such Restore, or has not begun it."""
    location: str = ""
    """BackupStorageLocation of its backup; '' where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was found in the buckets that could be searched."""

    reports: Sequence[StoredReport]
    """By restore and start time."""
    unread: Sequence[VmServiceError] = ()
    """Why buckets could not be searched: a report that is not found may be there."""


class Reports:
    """Finds reports in the buckets of all BackupStorageLocations, or in the settings' own."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        locations: StorageLocations,
        velero_namespace: str,
        own_bucket: bool,
    ) -> None:
        self._cluster = cluster
        self._locations = locations
        self._velero_namespace = velero_namespace
        self._own_bucket = own_bucket

    def run(self, restore: str) -> Run:
        """Return Velero's own run of a restore, as far as the Restore and its Backup still show it."""
        try:
            run = RestoreRun.read(self._cluster.get(ObjectRef(RESTORE, self._velero_namespace, restore)))
        except NotFound:
            return Run()
        try:
            backup = self._cluster.get(ObjectRef(BACKUP, self._velero_namespace, run.backup))
        except NotFound:
            return Run(started=run.started)
        return Run(started=run.started, location=str(backup.spec.get("storageLocation", "")))

    def search(self, restore: str = "", *, location: str = "") -> Search:
        """Return every report, or those of one restore or location; two locations that are one bucket show it once."""
        reports, unread = dict[str, StoredReport](), list[VmServiceError]()
        for name in self._names(location):
            try:
                for report in _listed(self._locations.open(name), restore):
                    reports.setdefault(report.where, report)
            except VmServiceError as error:
                unread.append(error)
        return Search(
            reports=sorted(reports.values(), key=lambda stored: (stored.restore, stored.started)), unread=unread
        )

    def _names(self, location: str) -> Sequence[str]:
        if location:
            return (location,)
        return location_names(self._cluster, self._velero_namespace, own_bucket=self._own_bucket)


def _listed(store: ObjectStore, restore: str) -> Iterator[StoredReport]:
    for key in store.list(f"restores/{restore}/" if restore else "restores/"):
        if match := _KEY.fullmatch(key):
            prefix, name, started = match.groups()
            yield StoredReport(restore=name, started=started, where=store.where(key), prefix=prefix, store=store)
