"""Resources that velero-plugin-for-vsphere, if it is installed too, refuses to back up and to restore.

Its actions run after this plugin's and raise an error for every key of a ConfigMap in Velero's namespace, with any
value: a key with the value "false" passes the block and is then read as a PVC, which fails the item too. A backup
without volume snapshots is exempt. Its `AppliesTo` reads the ConfigMap again for every backup and restore, after this
plugin's: at that moment the keys that this plugin captures, withholds or leaves are removed (`begin`). An annotation
keeps the keys, so the refused resources stay withheld. If the keys are not removed, one warning per backup and kind
names what will be refused. Nothing here raises.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import structlog
from cachetools import TTLCache
from pydantic import BaseModel, ValidationError

from velero_vmservice.errors import Conflict, NotFound, as_ours
from velero_vmservice.kube.manifest import CAPTURED_KINDS, CONFIG_MAP, Manifest, ObjectRef, mapping
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Collection

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.supervisor.detect import Supervisor

log = structlog.get_logger()

BLOCKED_RESOURCES: Final = "velero-vsphere-plugin-blocked-resources-list"
"""The name of the ConfigMap, `resource.group` → any value (velero-plugin-for-vsphere, IsResourceBlocked)."""
TAKEN_OVER_ANNOTATION: Final = f"{PLUGIN_NAME}/taken-over"
"""Annotation of that ConfigMap: the removed keys, the plugin that removed them, the reason, and how to undo it."""

_UNDO: Final = (
    "set vsphere_plugin: leave in the settings of velero-plugin-for-vmservice, then put the keys back into data:"
    " velero-plugin-for-vsphere writes its default list only where the ConfigMap is absent as Velero's pod starts"
)
"""Source: its pkg/cmd/utils.go, CreateBlockListConfigMap; its notes describe a reset (docs/errata.md)."""
_WHY: Final = "velero-plugin-for-vmservice captures these resources or leaves them to the Supervisor"

_REMEMBERED_BACKUPS: Final = 256
_REMEMBERED_SECONDS: Final = 24 * 3600.0
_FRESH_SECONDS: Final = 15.0
"""The lifetime of one read for all items; while the API server does not answer, the last read stays."""


class TakenOver(BaseModel):
    """The content of the annotation."""

    by: str
    why: str
    undo: str
    at: str
    keys: dict[str, str]


@dataclass(frozen=True, slots=True)
class _List:
    """The last read of the ConfigMap; without an object if there is none."""

    read_at: float = float("-inf")
    refused: frozenset[str] = frozenset()
    taken_over: frozenset[str] = frozenset()
    config_map: Manifest | None = None


class Neighbour:
    """The other plugin's list of blocked resources."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Clock,
        supervisor: Supervisor,
        velero_namespace: str,
        policy: Literal["detect", "take-over", "leave"],
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._supervisor = supervisor
        self._velero_namespace = velero_namespace
        self._policy = policy
        self._warned: TTLCache[tuple[str, str], bool] = TTLCache(
            _REMEMBERED_BACKUPS, _REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._lists: dict[str, _List] = {}
        self._unread: dict[str, str] = {}
        """The last logged reason why the list of a namespace could not be read."""
        self._lock = threading.Lock()

    def blocked(self, namespace: str, *, afresh: bool = False) -> frozenset[str]:
        """Return the `resource.group` names that the other plugin blocks, or blocked before their removal.

        Its list is in Velero's namespace. `afresh` reads it from the cluster again, as that plugin does when a backup
        or restore begins.
        """
        listed = self._list(namespace, afresh=afresh)
        return listed.refused | listed.taken_over

    def begin(self) -> frozenset[str]:
        """Take over this plugin's resources as a backup or restore begins; return all names that may be restricted.

        Call this before the other plugin reads its list. Never raises: if the keys cannot be removed, a warning has the
        reason and the consequence.
        """
        handled = self._supervisor.ever_restricted(self.blocked(self._velero_namespace, afresh=True))
        ref = ObjectRef(CONFIG_MAP, self._velero_namespace, BLOCKED_RESOURCES)
        try:
            if self._takes_over():
                self._take_over(ref, handled)
        except Exception as raised:  # noqa: BLE001 - logged; a backup must not fail for a list
            error = as_ours(raised, str(ref))
            log.warning(
                "blocked resources not taken over",
                object=str(ref),
                cause=error.message,
                hint=error.hint or "grant get and patch of this ConfigMap, or set vsphere_plugin: leave",
                consequence="velero-plugin-for-vsphere may refuse what this plugin captures or withholds",
            )
        return handled

    def _take_over(self, ref: ObjectRef, handled: Collection[str]) -> None:
        """Remove the keys of `handled`, and of the captured kinds, from the list that was just read."""
        try:
            self._remove(ref, handled, self._list(ref.namespace))
        except Conflict:  # its owner or another process has changed it since
            self._remove(ref, handled, self._list(ref.namespace, afresh=True))

    def _takes_over(self) -> bool:
        return self._supervisor.present() if self._policy == "detect" else self._policy == "take-over"

    def _remove(self, ref: ObjectRef, handled: Collection[str], listed: _List) -> None:
        ours = listed.refused & {*handled, *(kind.resource for kind in CAPTURED_KINDS)}
        if listed.config_map is None or not ours:
            return
        values = mapping(listed.config_map.content.get("data"))
        removed = {key: str(values[key]) for key in sorted(ours)}
        before = taken_over(listed.config_map)
        kept = TakenOver(
            by=PLUGIN_NAME,
            why=_WHY,
            undo=_UNDO,
            at=self._clock.now().isoformat(),
            keys={**(before.keys if before else {}), **removed},
        )
        change = {
            "metadata": {
                "resourceVersion": listed.config_map.metadata["resourceVersion"],
                "annotations": {TAKEN_OVER_ANNOTATION: kept.model_dump_json()},
            },
            "data": dict.fromkeys(removed),
        }
        changed = self._cluster.patch(ref, change, version="v1")
        with self._lock:
            self._lists[ref.namespace] = self._as_read(changed)
        log.info("blocked resources taken over", object=str(ref), blocked_count=len(removed), reason=_WHY, hint=_UNDO)
        log.debug("keys removed from the blocked resources", object=str(ref), kinds=list(removed))
        self._cluster.event(
            ref,
            uid=changed.uid,
            reason="TakenOver",
            message=f"{len(removed)} keys are removed: {_WHY}. To undo it, {_UNDO}. "
            f"The annotation {TAKEN_OVER_ANNOTATION} keeps the keys.",
        )

    def _list(self, namespace: str, *, afresh: bool = False) -> _List:
        with self._lock:
            listed = self._lists.get(namespace, _List())
            if not afresh and self._clock.monotonic() - listed.read_at < _FRESH_SECONDS:
                return listed
            ref = ObjectRef(CONFIG_MAP, namespace, BLOCKED_RESOURCES)
            try:
                listed = self._as_read(self._cluster.get(ref))
                self._unread.pop(namespace, None)
            except NotFound:
                listed = _List(read_at=self._clock.monotonic())
                self._unread.pop(namespace, None)
            except Exception as raised:  # noqa: BLE001 - logged; a backup must not fail for a list
                self._log_unread(ref, as_ours(raised, str(ref)).message, again=afresh)
                listed = replace(listed, read_at=self._clock.monotonic())
            self._lists[namespace] = listed
            return listed

    def _as_read(self, config_map: Manifest) -> _List:
        kept = taken_over(config_map) if self._policy != "leave" else None
        return _List(
            read_at=self._clock.monotonic(),
            refused=frozenset(mapping(config_map.content.get("data"))),
            taken_over=frozenset(kept.keys if kept else ()),
            config_map=config_map,
        )

    def _log_unread(self, ref: ObjectRef, cause: str, *, again: bool) -> None:
        """Log why the list is unknown, once per backup or restore, because each line counts as one of its warnings."""
        if again or self._unread.get(ref.namespace) != cause:
            self._unread[ref.namespace] = cause
            log.warning(
                "blocked resources not read",
                object=str(ref),
                cause=cause,
                consequence="what only this list blocks may fail in velero-plugin-for-vsphere",
            )

    def blocked_at(self, backup: Manifest) -> frozenset[str]:
        """Return the names that the other plugin blocks in this backup; none without volume snapshots."""
        return self.blocked(backup.namespace) if _is_minded(backup) else frozenset()

    def warn(self, kind: Kind, backup: Manifest) -> None:
        """Warn, at the first object of the kind in this backup, if the other plugin will refuse it."""
        with self._lock:
            if (backup.uid, kind.plural) in self._warned:
                return
            self._warned[backup.uid, kind.plural] = True
        if _is_minded(backup) and kind.resource in self._list(backup.namespace).refused:
            ours = " and ".join(captured.resource for captured in CAPTURED_KINDS)
            listed = ObjectRef(CONFIG_MAP, backup.namespace, BLOCKED_RESOURCES)
            log.warning(
                "velero-plugin-for-vsphere will refuse what is captured",
                kind=kind.resource,
                reason=f"{listed} lists it, so its items fail and the backup ends as PartiallyFailed",
                hint=f"set vsphere_plugin: take-over, which removes the keys {ours} from the ConfigMap, or back up with"
                " --snapshot-volumes=false",
            )


def _is_minded(backup: Manifest) -> bool:
    """Say whether the other plugin uses its list in this backup."""
    return backup.spec.get("snapshotVolumes") is not False


def taken_over(config_map: Manifest) -> TakenOver | None:
    """Return the content of the annotation; None if there is none, or it is unreadable after a change by hand."""
    try:
        return TakenOver.model_validate_json(config_map.annotations.get(TAKEN_OVER_ANNOTATION, ""))
    except ValidationError:
        return None
