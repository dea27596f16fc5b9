"""Find a backup by what it has captured, where its Backup object is gone: deleted while a restore of it runs, say.

The Restore has the backup's name, and keys have its start time. Only the object names the location of its
captures: so every location is searched, and a capture is used only if exactly one is found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.archive.schema import BackupRun
from velero_vmservice.errors import ForeignStorage, MissingBackup, VmServiceError
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from velero_vmservice.archive.store.port import ObjectStore, StorageLocations
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

_STARTED: Final = re.compile(r"captures/[^/]+/(\d{8}T\d{6}Z)/.+")


def captured_run(cluster: Cluster, locations: StorageLocations, run: RestoreRun, *, own_bucket: bool) -> BackupRun:
    """Return the run of a Backup that the cluster no longer has, without its filters and annotations.

    Raises `MissingBackup` if no location has a capture of that name, or several have one, and the error of a location
    that cannot be searched: the capture may lie there.
    """
    runs: dict[str, BackupRun] = {}
    for location in _names(cluster, run, own_bucket=own_bucket):
        try:
            store = locations.open(location, namespace=run.namespace)
            started = _newest(_starts(store, run), run.began or run.started)
        except ForeignStorage:
            continue  # nothing of ours can lie there
        except VmServiceError as error:
            unsearched = (
                f"whether {location or 'the bucket of the settings'} has its capture is not known: {error.message}"
            )
            raise type(error)(f"{_gone(run)}; {unsearched}", hint=error.hint) from error
        if started:
            backup = BackupRun(
                name=run.backup,
                namespace=run.namespace,
                uid="",
                started=started,
                location=location,
                annotations={},
                object_gone=True,
                lacks_items=True,
            )
            runs.setdefault(store.where(backup.seal_key), backup)
    if len(runs) != 1:
        reason = f"captures of that name lie in several places ({', '.join(runs)})" if runs else "no location has one"
        raise MissingBackup(
            f"{_gone(run)}, and where its capture lies is not known: {reason}",
            hint="let Velero make the Backup again from its location, as its backup sync does; then repeat the restore",
            goes_on=True,
        )
    ((where, backup),) = runs.items()
    log.info("backup known by its capture", backup=run.backup, key=where, location=backup.location)
    return backup


def _gone(run: RestoreRun) -> str:
    return f"Backup {run.namespace}/{run.backup} is gone"


def _names(cluster: Cluster, run: RestoreRun, *, own_bucket: bool) -> Sequence[str]:
    """Return the names of all storage locations, '' for the settings' own bucket, which every location stands for."""
    return [""] if own_bucket else [location.name for location in cluster.list(BACKUP_STORAGE_LOCATION, run.namespace)]


def _starts(store: ObjectStore, run: RestoreRun) -> Collection[str]:
    keys = (_STARTED.fullmatch(key) for key in store.list(f"captures/{run.backup}/"))
    return {match[1] for match in keys if match}


def _newest(starts: Collection[str], restored: str) -> str:
    """Return the start of the run that a restore is of, '' for none: an earlier Backup of the name was deleted."""
    return max((start for start in starts if not restored or start <= restored), default="")
