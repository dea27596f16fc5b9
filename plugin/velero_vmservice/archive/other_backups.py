"""Finds a backup by its captures if its object is gone, and other backups that could be restored instead."""

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
"""The most backups whose capture is looked up: each takes one request to a bucket while a user waits."""

_SCHEDULE: Final = "velero.io/schedule-name"
"""The label that Velero gives to the backups of a schedule (pkg/apis/velero/v1/labels_annotations.go)."""
_STARTED: Final = re.compile(r"captures/[^/]+/(\d{8}T\d{6}Z)/.+")
RESTORABLE: Final = frozenset({"Completed", "PartiallyFailed"})
"""Phases of a Backup whose capture may be whole: it has ended, and has an archive."""


def other_backups(cluster: Cluster, locations: StorageLocations, run: RestoreRun) -> Sequence[BackupRun]:
    """Return backups with a sealed capture, newest first: of the same schedule or of common namespaces.

    If this restore's Backup is gone, any backup counts. Never raises, because the answer goes into an error's hint.
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
    """Return the backups as a clause, or '' if there are none."""
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

    A Backup may be deleted while a restore of it runs. The Restore has its name and keys have its start time, but only
    the object named its location. So every location is searched, and exactly one capture must be found.
    Raises `MissingBackup` if no location has a capture of that name, or several have one, and the error of a location
    that cannot be searched, because the capture may be there.
    """
    runs: dict[str, BackupRun] = {}
    for location in location_names(cluster, run.namespace, own_bucket=own_bucket):
        try:
            store = locations.open(location, namespace=run.namespace)
            started = _newest(_starts(store, run), run.began or run.started)
        except ForeignStorage:
            continue  # the plugin stores nothing there
        except VmServiceError as error:
            place = location or "the bucket of the settings"
            raise type(error)(
                f"{_gone(run)}; cannot tell whether {place} has its capture: {error.message}", hint=error.hint
            ) from error
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
        reason = f"several locations have captures of that name ({', '.join(runs)})" if runs else "no location has one"
        raise MissingBackup(
            f"{_gone(run)}, and its capture cannot be found: {reason}",
            hint="wait until Velero's backup sync makes the Backup again from its location; then repeat the restore",
            goes_on=True,
        )
    ((where, backup),) = runs.items()
    log.info("backup known by its capture", backup=run.backup, key=where, location=backup.location)
    return backup


def _gone(run: RestoreRun) -> str:
    return f"Backup {run.namespace}/{run.backup} is gone"


def location_names(cluster: Cluster, velero_namespace: str, *, own_bucket: bool) -> Sequence[str]:
    """Return the names of all storage locations, or only '' for the settings' own bucket, which replaces them all."""
    if own_bucket:
        return [""]
    return [location.name for location in cluster.list(BACKUP_STORAGE_LOCATION, velero_namespace)]


def _starts(store: ObjectStore, run: RestoreRun) -> Collection[str]:
    keys = (_STARTED.fullmatch(key) for key in store.list(f"captures/{run.backup}/"))
    return {match[1] for match in keys if match}


def _newest(starts: Collection[str], restored: str) -> str:
    """Return the start of the run that a restore restores, or '': an earlier Backup of the name was deleted."""
    return max((start for start in starts if not restored or start <= restored), default="")
