"""What velero-plugin-for-vsphere, where it is installed beside us, refuses to back up and to restore.

Its actions run after ours and raise an error for every key of a ConfigMap in Velero's namespace, whatever the value: a
key that says "false" passes the block and is then read as a PVC, which fails the item all the same. A backup without
volume snapshots is exempt. What is on the list is withheld, so that the backup does not end as PartiallyFailed; for the
kinds that are captured nothing can prevent that, so a warning says so once per backup and kind. Nothing here raises.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.errors import NotFound
from velero_vmservice.incidents import as_ours
from velero_vmservice.kube.manifest import CAPTURED_KINDS, CONFIG_MAP, Manifest, ObjectRef, mapping

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind

log = structlog.get_logger()

BLOCKED_RESOURCES: Final = "velero-vsphere-plugin-blocked-resources-list"
"""The ConfigMap, `resource.group` → any value (velero-plugin-for-vsphere, IsResourceBlocked)."""

_REMEMBERED_BACKUPS: Final = 256
_REMEMBERED_SECONDS: Final = 24 * 3600.0
_FRESH_SECONDS: Final = 15.0
"""One read serves all items for this long; the last one serves while the API server does not answer."""


class Neighbour:
    """Looks for the other plugin's list of blocked resources."""

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._warned: TTLCache[tuple[str, str], bool] = TTLCache(
            _REMEMBERED_BACKUPS, _REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._read: dict[str, tuple[float, frozenset[str]]] = {}
        self._unread: dict[str, str] = {}
        """Why the list of a namespace could not be read, as it was last logged."""
        self._lock = threading.Lock()

    def blocked(self, namespace: str, *, afresh: bool = False) -> frozenset[str]:
        """Return what the other plugin blocks, as `resource.group` names; Velero's namespace holds its list.

        `afresh` reads it from the cluster again, as that plugin does when a backup or restore begins.
        """
        with self._lock:
            read_at, names = self._read.get(namespace, (float("-inf"), frozenset[str]()))
            if not afresh and self._clock.monotonic() - read_at < _FRESH_SECONDS:
                return names
            ref = ObjectRef(CONFIG_MAP, namespace, BLOCKED_RESOURCES)
            try:
                names = frozenset(mapping(self._cluster.get(ref).content.get("data")))
                self._unread.pop(namespace, None)
            except NotFound:
                names = frozenset()
                self._unread.pop(namespace, None)
            except Exception as raised:  # noqa: BLE001 - logged; a backup must not fail for a list
                self._log_unread(ref, as_ours(raised, str(ref)).message, again=afresh)
            self._read[namespace] = (self._clock.monotonic(), names)
            return names

    def _log_unread(self, ref: ObjectRef, cause: str, *, again: bool) -> None:
        """Log why the list is not known, once per backup or restore, as each line counts as one of its warnings."""
        if again or self._unread.get(ref.namespace) != cause:
            self._unread[ref.namespace] = cause
            log.warning(
                "blocked resources not read",
                object=str(ref),
                cause=cause,
                consequence="what only this list blocks may fail in velero-plugin-for-vsphere",
            )

    def blocked_at(self, backup: Manifest) -> frozenset[str]:
        """Return what the other plugin refuses in this backup: nothing where no volume snapshots are taken."""
        return frozenset() if backup.spec.get("snapshotVolumes") is False else self.blocked(backup.namespace)

    def warn(self, kind: Kind, backup: Manifest) -> None:
        """Warn, at the first object of the kind in this backup, if the other plugin will refuse it."""
        with self._lock:
            if (backup.uid, kind.plural) in self._warned:
                return
            self._warned[backup.uid, kind.plural] = True
        if kind.resource in self.blocked_at(backup):
            ours = " and ".join(captured.resource for captured in CAPTURED_KINDS)
            listed = ObjectRef(CONFIG_MAP, backup.namespace, BLOCKED_RESOURCES)
            log.warning(
                "velero-plugin-for-vsphere will refuse what is captured",
                kind=kind.resource,
                reason=f"{listed} lists it, so its items fail and the backup ends as PartiallyFailed",
                hint=f"remove the keys {ours} from the ConfigMap, or back up with --snapshot-volumes=false",
            )
