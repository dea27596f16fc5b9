"""Remove a backup's capture when the backup is deleted: each call its item's object, the last one the rest.

A backup that holds neither groups nor services has facts and a seal all the same. Its call comes with the item that
every backup of a namespace has, the ServiceAccount `default`, or with a VM that an older Velero stored.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.archive.schema import BackupRun, captured_kind
from velero_vmservice.errors import ForeignStorage
from velero_vmservice.kube.manifest import (
    CAPTURED_KINDS,
    DEFAULT_SERVICE_ACCOUNT,
    SERVICE_ACCOUNT,
    VIRTUAL_MACHINE,
    Manifest,
    ObjectRef,
)
from velero_vmservice.velero.actions import ResourceSelector
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.clock import Clock

log = structlog.get_logger()

REMEMBERED: Final = 64
REMEMBERED_SECONDS: Final = 600.0
"""A deletion is over by then."""


class PurgeAction:
    """Velero's delete action `purge`."""

    def __init__(self, *, locations: StorageLocations, clock: Clock) -> None:
        self._locations = locations
        self._tried: TTLCache[str, bool] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def applies_to(self) -> ResourceSelector:
        """Return the selector: the two captured kinds, and an item of a backup without them."""
        kinds = (*CAPTURED_KINDS, VIRTUAL_MACHINE, SERVICE_ACCOUNT)
        return ResourceSelector(included_resources=tuple(kind.resource for kind in kinds))

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> None:
        """Remove the item's capture; with the last one, the namespaces' facts and the seal.

        The key is derived from the item and the Backup, never taken from the item's link.
        """
        run, manifest = BackupRun.read(Manifest.read(dict(backup))), Manifest.read(dict(item))
        if manifest.kind_name in (VIRTUAL_MACHINE.name, SERVICE_ACCOUNT.name):
            if manifest.kind_name == VIRTUAL_MACHINE.name or manifest.name == DEFAULT_SERVICE_ACCOUNT:
                self._purge_without_objects(run)
            return
        if marks.CAPTURE_ANNOTATION not in manifest.annotations:
            return
        key = run.object_key(ObjectRef(captured_kind(manifest), manifest.namespace, manifest.name))
        store = self._locations.open(run.location, namespace=run.namespace)
        store.delete(key)
        log.info("purged", key=key)
        _purge_rest(store, run)

    def _purge_without_objects(self, run: BackupRun) -> None:
        """Remove the facts and the seal of a backup without objects; tried once per deletion, not at each VM."""
        with self._lock:
            if run.prefix in self._tried:
                return
            self._tried[run.prefix] = True
        try:
            _purge_rest(self._locations.open(run.location, namespace=run.namespace), run)
        except ForeignStorage as error:  # nothing of ours can lie there
            log.info("nothing to purge", backup=f"{run.namespace}/{run.name}", cause=error.message)
        except BaseException:
            with self._lock:
                self._tried.pop(run.prefix, None)
            raise


def _purge_rest(store: ObjectStore, run: BackupRun) -> None:
    """Remove facts, then the seal, if no object is left; a failure keeps the seal but not the other documents."""
    if next(iter(store.list(f"{run.prefix}objects/")), None) is not None:
        return
    rest, failed = list(store.list(run.prefix)), None
    for key in (key for key in rest if key != run.seal_key):
        try:
            store.delete(key)
        except Exception as error:  # noqa: BLE001 - raised below, when the others are gone
            failed = failed or error
    if failed is not None:
        raise failed
    if rest:
        store.delete(run.seal_key)
        log.info("capture purged", key=run.prefix)
