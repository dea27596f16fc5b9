"""Which other backups could be restored instead: what a person needs on the day when the one at hand is of no use."""

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

    Of any, where the Backup of this restore is not there to be compared. Never raises: it is said beside an error.
    """
    try:
        backups = cluster.list(BACKUP, run.namespace)
    except VmServiceError as error:
        log.info("other backups not looked for", cause=error.message)
        return ()
    this = next((one for one in backups if one.name == run.backup), None)
    found = list[BackupRun]()
    for backup in _newest_first(backups, this, run)[:MOST_LOOKED_AT]:
        if len(found) == MOST_NAMED:
            break
        if _is_sealed(locations, backup):
            found.append(backup)
    return found


def said(found: Sequence[BackupRun]) -> str:
    """Return the backups in words, '' for none."""
    if not found:
        return ""
    return f"others with a sealed capture, newest first: {', '.join(f'{one.name} ({one.started})' for one in found)}"


def _newest_first(backups: Sequence[Manifest], this: Manifest | None, run: RestoreRun) -> Sequence[BackupRun]:
    likely = (
        backup
        for backup in backups
        if backup.name != run.backup
        and backup.status.get("phase") in _RESTORABLE
        and backup.status.get("startTimestamp")
        and (this is None or _are_alike(backup, this))
    )
    return sorted(_read(likely), key=lambda one: (one.started, one.name), reverse=True)


def _read(backups: Iterator[Manifest]) -> Iterator[BackupRun]:
    for backup in backups:
        try:
            yield BackupRun.read(backup)
        except VmServiceError as error:
            log.info("backup passed over", backup=f"{backup.namespace}/{backup.name}", cause=error.message)


def _are_alike(one: Manifest, other: Manifest) -> bool:
    schedule = one.labels.get(_SCHEDULE)
    if schedule and schedule == other.labels.get(_SCHEDULE):
        return True
    mine, theirs = (
        [str(name) for name in sequence(backup.spec.get("includedNamespaces"))] or ["*"] for backup in (one, other)
    )
    return any(fnmatchcase(a, b) or fnmatchcase(b, a) for a in mine for b in theirs)


def _is_sealed(locations: StorageLocations, backup: BackupRun) -> bool:
    try:
        return locations.open(backup.location, namespace=backup.namespace).exists(backup.seal_key)
    except VmServiceError as error:
        log.info("backup passed over", backup=f"{backup.namespace}/{backup.name}", cause=error.message)
        return False
