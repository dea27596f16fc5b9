"""Warn where velero-plugin-for-vsphere, installed beside us, will refuse what was just captured.

Its backup action runs after ours and raises an error for every resource that a ConfigMap in Velero's namespace
lists, unless the backup takes no volume snapshots: the item is lost from the tarball and the backup ends as
PartiallyFailed. Nothing here can prevent that, so it is said once per backup and kind, and never fails anything.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.core.errors import NotFound, VmServiceError
from velero_vmservice.core.manifest import CAPTURED_KINDS, CONFIG_MAP, Manifest, ObjectRef, mapping

if TYPE_CHECKING:
    from velero_vmservice.core.manifest import Kind
    from velero_vmservice.core.ports import Clock, Cluster

log = structlog.get_logger()

BLOCKED_RESOURCES: Final = "velero-vsphere-plugin-blocked-resources-list"
"""The ConfigMap, `resource.group` → "true" (velero-plugin-for-vsphere, IsResourceBlocked)."""

_TRUE: Final = frozenset({"1", "t", "T", "true", "True", "TRUE"})
"""As Go's ParseBool reads it."""
_REMEMBERED_BACKUPS: Final = 256
_REMEMBERED_SECONDS: Final = 24 * 3600.0


class Neighbour:
    """Looks for the other plugin's list of blocked resources."""

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._told: TTLCache[tuple[str, str], bool] = TTLCache(
            _REMEMBERED_BACKUPS, _REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def warn(self, kind: Kind, backup: Manifest) -> None:
        """Say, at the first object of the kind in this backup, that the other plugin will refuse it, if it will."""
        if backup.spec.get("snapshotVolumes") is False:
            return
        with self._lock:
            if (backup.uid, kind.plural) in self._told:
                return
            self._told[backup.uid, kind.plural] = True
        ref = ObjectRef(CONFIG_MAP, backup.namespace, BLOCKED_RESOURCES)
        try:
            blocked = mapping(self._cluster.get(ref).content.get("data"))
        except NotFound:
            return
        except VmServiceError as error:
            log.debug("blocked resources not read", object=str(ref), cause=error.message)
            return
        if blocked.get(kind.resource) in _TRUE:
            ours = " and ".join(one.resource for one in CAPTURED_KINDS)
            log.warning(
                "velero-plugin-for-vsphere will refuse what is captured",
                resource=kind.resource,
                cause=f"{ref} lists it, so its items fail and the backup ends as PartiallyFailed",
                remedy=f"remove {ours} from the ConfigMap, or back up with --snapshot-volumes=false",
            )
