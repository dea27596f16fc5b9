"""Which other backups could be restored instead: named in the error when the chosen backup cannot be restored."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.archive.schema import BackupRun
from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import BACKUP, Manifest, sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.archive.store.port import StorageLocations
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

MOST_NAMED: Final = 3
MOST_LOOKED_AT: Final = 20
"""Backups whose capture is looked for: one request to a bucket each, while a person waits."""

_SCHEDULE: Final = "velero.io/schedule-name"
"""The label that Velero gives to the backups of a schedule (pkg/apis/velero/v1/labels_annotations.go)."""
_RESTORABLE: Final = frozenset({"Completed", "PartiallyFailed"})


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
        and backup.status.get("phase") in _RESTORABLE
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
