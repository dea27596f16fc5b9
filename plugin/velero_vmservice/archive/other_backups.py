"""A backup found by its captures where its object is gone, and others that could be restored instead."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.archive.schema import BackupRun
from velero_vmservice.errors import ForeignStorage, MissingBackup, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, BACKUP_STORAGE_LOCATION, Manifest, sequence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

MOST_NAMED: Final = 3
MOST_LOOKED_AT: Final = 20
"""Backups whose capture is looked for: one request to a bucket each, while a person waits."""

_SCHEDULE: Final = "velero.io/schedule-name"
"""The label that Velero gives to the backups of a schedule (pkg/apis/velero/v1/labels_annotations.go)."""
_STARTED: Final = re.compile(r"captures/[^/]+/(\d{8}T\d{6}Z)/.+")
RESTORABLE: Final = frozenset({"Completed", "PartiallyFailed"})
"""Phases of a Backup whose capture may be whole: it has ended, and has an archive."""


def other_backups(cluster: Cluster, locations: StorageLocations, run: RestoreRun) -> Sequence[BackupRun]:
    """Return backups with a sealed capture, newest first: of the same schedule or of common namespaces.

    If this restore's Backup is gone, any backup counts. Never raises: the answer goes into the hint of an error.
    """
    try:
        backups = cluster.list(BACKUP, run.namespace)
    except VmServiceError as error:
        log.info("other backups not looked for", cause=error.message)
        return ()
    this = next((backup for backup in backups if backup.name == run.backup), None)
    sealed = list[BackupRun]()
    for backup in _newest_first(backups, this, run)[:MOST_LOOKED_AT]:
        if len(sealed) == MOST_NAMED:
            break
        if _is_sealed(locations, backup):
            sealed.append(backup)
    return sealed


def described(backups: Sequence[BackupRun]) -> str:
    """Return the backups as a clause, '' for none."""
    if not backups:
        return ""
    names = ", ".join(f"{backup.name} ({backup.started})" for backup in backups)
    return f"others with a sealed capture, newest first: {names}"


def _newest_first(backups: Sequence[Manifest], this: Manifest | None, run: RestoreRun) -> Sequence[BackupRun]:
    likely = (
        backup
        for backup in backups
        if backup.name != run.backup
        and backup.status.get("phase") in RESTORABLE
        and backup.status.get("startTimestamp")
        and (this is None or _are_alike(backup, this))
    )
    return sorted(_read(likely), key=lambda backup: (backup.started, backup.name), reverse=True)


def _read(backups: Iterator[Manifest]) -> Iterator[BackupRun]:
    for backup in backups:
        try:
            yield BackupRun.read(backup)
        except VmServiceError as error:
            log.info("backup passed over", backup=f"{backup.namespace}/{backup.name}", cause=error.message)


def _are_alike(left: Manifest, right: Manifest) -> bool:
    schedule = left.labels.get(_SCHEDULE)
    if schedule and schedule == right.labels.get(_SCHEDULE):
        return True
    mine, theirs = (
        [str(name) for name in sequence(backup.spec.get("includedNamespaces"))] or ["*"] for backup in (left, right)
    )
    return any(fnmatchcase(a, b) or fnmatchcase(b, a) for a in mine for b in theirs)


def _is_sealed(locations: StorageLocations, backup: BackupRun) -> bool:
    try:
        return locations.open(backup.location, namespace=backup.namespace).exists(backup.seal_key)
    except VmServiceError as error:
        log.info("backup passed over", backup=f"{backup.namespace}/{backup.name}", cause=error.message)
        return False


def captured_run(cluster: Cluster, locations: StorageLocations, run: RestoreRun, *, own_bucket: bool) -> BackupRun:
    """Return the run of a Backup that the cluster no longer has, without its filters and annotations.

    It may be deleted while a restore of it runs. The Restore has the backup's name, keys have its start time, and only
    the object named the location of its captures: every one is searched, and one capture has to be found.
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
