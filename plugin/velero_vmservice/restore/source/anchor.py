"""Which item of a namespace stands for captured objects that Velero calls no action for.

The ServiceAccount `default`, which every namespace has, where Velero calls for it. The filters of the Backup or of the
Restore may leave it out (`--selector`, `--include-resources`, `--exclude-resources`), and the archive of a backup with
errors may lack it. Then it is the namespace's first item that `replay` or `leave` is called for. Where there is none
either, no call tells that the restore exists.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.archive import backup_scope
from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import DEFAULT_SERVICE_ACCOUNT, SERVICE_ACCOUNT, ObjectRef
from velero_vmservice.restore.source import sealed_objects
from velero_vmservice.velero import selection

if TYPE_CHECKING:
    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.source.vms_alone import VmsAlone
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

REMEMBERED_NAMESPACES: Final = 10_000
REMEMBERED_SECONDS: Final = 24 * 3600.0
"""Longer than Velero takes to go through the items of a restore."""


class Anchors:
    """Chooses, for each namespace of a restore, the item whose operation stands for what Velero passes over."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints, vms: VmsAlone, clock: Clock) -> None:
        self._cluster = cluster
        self._restore_points = restore_points
        self._vms = vms
        self._settled = _remembered(clock)
        self._account_comes = _remembered(clock)
        self._lock = threading.Lock()

    def is_account(self, namespace: str, run: RestoreRun) -> bool:
        """Say whether the ServiceAccount, which Velero calls for now, is the one; raises what the store raises."""
        return self._settles(namespace, run) and self._vms.may_be_passed_over(namespace, run)

    def is_item(self, namespace: str, run: RestoreRun, *, early: bool = False) -> bool:
        """Say whether the item at hand is the one; `early` says that Velero restores its kind before ServiceAccounts.

        What cannot be read counts as yes: the operation asks again, and fails with the cause if that lasts.
        """
        if not namespace or (early and self._awaits_account(namespace, run)):
            return False
        try:
            return self._settles(namespace, run) and self._vms.may_be_passed_over(namespace, run)
        except VmServiceError as error:
            log.warning("cannot tell what Velero's archive lacks", cause=error.message, hint=error.hint)
            return True

    def _settles(self, namespace: str, run: RestoreRun) -> bool:
        """Let the item at hand settle the matter for its namespace; say whether none has done so before."""
        with self._lock:
            if (run.key, namespace) in self._settled:
                return False
            self._settled[run.key, namespace] = True
            return True

    def _awaits_account(self, namespace: str, run: RestoreRun) -> bool:
        """Say whether the filters leave the ServiceAccount in, as far as can be read."""
        with self._lock:
            comes = self._account_comes.get((run.key, namespace))
        if comes is None:
            try:
                comes = self._is_restored(namespace, run) and self._is_backed_up(namespace, run)
            except VmServiceError:
                return True
            with self._lock:
                self._account_comes[run.key, namespace] = comes
        return comes

    def _is_restored(self, namespace: str, run: RestoreRun) -> bool:
        """Say whether the Restore's filters leave the ServiceAccount in; Kubernetes gives it no labels."""
        account = ObjectRef(SERVICE_ACCOUNT, namespace, DEFAULT_SERVICE_ACCOUNT)
        served = sealed_objects.served_resources(self._cluster, run.spec)
        return selection.selected(run.spec, account, {}, served=served)

    def _is_backed_up(self, namespace: str, run: RestoreRun) -> bool:
        spec = self._restore_points.backup(run).spec
        return backup_scope.selected(spec, SERVICE_ACCOUNT, namespace, DEFAULT_SERVICE_ACCOUNT, {})


def _remembered(clock: Clock) -> TTLCache[tuple[str, str], bool]:
    return TTLCache(REMEMBERED_NAMESPACES, REMEMBERED_SECONDS, timer=clock.monotonic)
