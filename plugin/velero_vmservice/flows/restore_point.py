"""What a restore reads of its backup: the Backup object, the store it lies in, the facts of its namespaces."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from velero_vmservice.core.archive import BackupRun
from velero_vmservice.core.errors import InvalidItem, InvalidSettings, NotFound, VmServiceError
from velero_vmservice.core.facts import NamespaceFacts
from velero_vmservice.core.manifest import BACKUP, ObjectRef
from velero_vmservice.flows import documents

if TYPE_CHECKING:
    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.ports import Clock, Cluster, ObjectStore, StorageLocations

log = structlog.get_logger()

REMEMBERED = 512
REMEMBERED_SECONDS = 600.0
FAILURE_SECONDS = 15.0
"""A store that is away is asked for facts again after this long, not once per volume."""


class RestorePoints:
    """Finds the backup behind a restore; what was found is remembered for a while, as it never changes."""

    def __init__(self, *, cluster: Cluster, locations: StorageLocations, clock: Clock) -> None:
        self._cluster = cluster
        self._locations = locations
        self._backups: TTLCache[str, BackupRun] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._facts: TTLCache[str, NamespaceFacts | None] = TTLCache(
            REMEMBERED, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._failed: TTLCache[str, VmServiceError] = TTLCache(REMEMBERED, FAILURE_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def backup(self, run: RestoreRun) -> BackupRun:
        """Return the run of the backup; raises `NotFound` or `InvalidItem` when the Backup object does not tell."""
        with self._lock:
            known = self._backups.get(run.uid)
        if known is None:
            known = BackupRun.read(self._cluster.get(ObjectRef(BACKUP, run.namespace, run.backup)))
            with self._lock:
                self._backups[run.uid] = known
        return known

    def store(self, run: RestoreRun) -> ObjectStore:
        """Return the store that the backup's captures lie in."""
        return self._locations.open(self.backup(run).location)

    def facts(self, run: RestoreRun, namespace: str) -> NamespaceFacts | None:
        """Return the facts of a namespace of the backup, or None if it was taken without this plugin.

        A backup that lies where nothing of ours can lie was; a store that fails to answer is not that, and its
        failure stands for a moment.
        """
        key = f"{run.uid}/{namespace}"
        with self._lock:
            if key in self._facts:
                return self._facts[key]
            if error := self._failed.get(key):
                raise error.with_traceback(None)
        try:
            found = self._read(run, namespace)
        except VmServiceError as error:
            with self._lock:
                self._failed[key] = error
            raise
        with self._lock:
            self._facts[key] = found
        return found

    def _read(self, run: RestoreRun, namespace: str) -> NamespaceFacts | None:
        try:
            backup, store = self.backup(run), self.store(run)
        except (NotFound, InvalidItem, InvalidSettings) as error:
            log.info("no facts about machines", namespace=namespace, cause=error.message)
            return None
        try:
            return documents.read(store, backup.namespace_key(namespace), NamespaceFacts)
        except NotFound:
            return None
