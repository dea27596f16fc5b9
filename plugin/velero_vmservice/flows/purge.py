"""Remove a backup's capture when the backup is deleted: each call its item's object, the last one the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.core import policy
from velero_vmservice.core.actions import ResourceSelector
from velero_vmservice.core.archive import BackupRun
from velero_vmservice.core.manifest import CAPTURED_KINDS, Manifest, ObjectRef
from velero_vmservice.flows.capture import captured_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.core.ports import ObjectStore, StorageLocations

log = structlog.get_logger()


class PurgeAction:
    """Velero's delete action `purge`."""

    def __init__(self, *, locations: StorageLocations) -> None:
        self._locations = locations

    def applies_to(self) -> ResourceSelector:
        """Ask to be called for our two kinds."""
        return ResourceSelector(included_resources=tuple(kind.resource for kind in CAPTURED_KINDS))

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> None:
        """Remove the item's capture; with the last one, the namespaces' facts and the seal.

        The key is worked out from the item and the Backup: where the item's link leads does not matter.
        """
        run, manifest = BackupRun.read(Manifest.read(dict(backup))), Manifest.read(dict(item))
        if policy.CAPTURE_ANNOTATION not in manifest.annotations:
            return
        key = run.object_key(ObjectRef(captured_kind(manifest), manifest.namespace, manifest.name))
        store = self._locations.open(run.location)
        store.delete(key)
        log.info("purged", key=key)
        if next(iter(store.list(f"{run.prefix}objects/")), None) is None:
            self._purge_rest(store, run)

    def _purge_rest(self, store: ObjectStore, run: BackupRun) -> None:
        """Remove namespaces' facts, then the seal; what cannot be removed keeps the seal and none of the others."""
        failed: Exception | None = None
        for key in [key for key in store.list(run.prefix) if key != run.seal_key]:
            try:
                store.delete(key)
            except Exception as error:  # noqa: BLE001 - raised below, when the others are gone
                failed = failed or error
        if failed is not None:
            raise failed
        store.delete(run.seal_key)
        log.info("capture purged", prefix=run.prefix)
