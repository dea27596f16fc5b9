"""What made captures lately: Backups that have ended, and runs of the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.archive import schema
from velero_vmservice.archive.other_backups import RESTORABLE
from velero_vmservice.archive.schema import BackupRun
from velero_vmservice.errors import VmServiceError, as_ours
from velero_vmservice.kube.manifest import BACKUP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from velero_vmservice.captures.catalogue import Catalogue
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The runs that began lately, and what could not be asked about them."""

    runs: Sequence[BackupRun] = ()
    """The newest first; whether they have a seal is not known."""
    backups_unread: VmServiceError | None = None
    """Why Velero's Backups could not be listed."""
    buckets_unread: Sequence[VmServiceError] = field(default=())
    """Why buckets could not be listed."""


class RecentRuns:
    """Lists the runs of both makers."""

    def __init__(self, *, cluster: Cluster, catalogue: Catalogue, velero_namespace: str) -> None:
        self._cluster = cluster
        self._catalogue = catalogue
        self._namespace = velero_namespace

    def read(self, *, since: datetime) -> Recent:
        """Return the runs that began since then; without Velero's CRDs there are no Backups. Never raises."""
        backups, taken = list[BackupRun](), list[BackupRun]()
        backups_unread, buckets_unread = None, list[VmServiceError]()
        try:
            ended = self._cluster.read_all(BACKUP, self._namespace, _ended_run)
            backups += [run for run in ended if run is not None and schema.moment(run.started) >= since]
        except Exception as raised:  # noqa: BLE001 - handed back; the other runs are of use without these
            backups_unread = as_ours(raised, "the list of Backups")
        try:
            listed = self._catalogue.taken(since=since)
            taken += listed.runs
            buckets_unread += listed.unread
        except Exception as raised:  # noqa: BLE001 - handed back; the other runs are of use without these
            buckets_unread.append(as_ours(raised, "the list of captures"))
        return Recent(
            runs=sorted((*backups, *taken), key=lambda run: (run.started, run.name), reverse=True),
            backups_unread=backups_unread,
            buckets_unread=buckets_unread,
        )


def _ended_run(backup: Manifest) -> BackupRun | None:
    """Return the run of a backup that has ended; None for any other, and for one that cannot be read."""
    if backup.status.get("phase") not in RESTORABLE:
        return None
    try:
        return BackupRun.read(backup)
    except VmServiceError:
        return None
