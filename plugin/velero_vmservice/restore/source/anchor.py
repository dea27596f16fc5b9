"""Which item stands for captured objects that Velero calls no action for, where no ServiceAccount can.

Velero calls for the ServiceAccount `default` of each namespace, unless the filters of the Backup or of the Restore
leave it out: `--selector`, `--include-resources`, `--exclude-resources`. Then it is the namespace's first item that
`replay` or `leave` is called for. Where there is none either, no call tells that the restore exists.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from velero_vmservice.archive import backup_scope
from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import DEFAULT_SERVICE_ACCOUNT, SERVICE_ACCOUNT, ObjectRef
from velero_vmservice.restore.source import sealed_objects
from velero_vmservice.restore.source.vms_alone import REMEMBERED_SECONDS
from velero_vmservice.velero import selection

if TYPE_CHECKING:
    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.source.vms_alone import VmsAlone
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

REMEMBERED_NAMESPACES = 10_000


class Anchors:
    """Chooses, for each namespace of a restore, the item whose operation stands for what Velero passes over."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints, vms: VmsAlone, clock: Clock) -> None:
        self._cluster = cluster
        self._restore_points = restore_points
        self._vms = vms
        self._settled: TTLCache[tuple[str, str], bool] = TTLCache(
            REMEMBERED_NAMESPACES, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def chosen(self, namespace: str, run: RestoreRun) -> bool:
        """Say whether the item at hand is the one; asked of each item, and true for one of a namespace at most.

        Where that cannot be read, it is, unless the Restore asks for ServiceAccounts, whose action meets the same
        fault: the operation asks again, and fails with the cause if that lasts.
        """
        with self._lock:
            if not namespace or (run.key, namespace) in self._settled:
                return False
            self._settled[run.key, namespace] = True
        has_account = False
        try:
            has_account = self._is_restored(namespace, run)
            has_account = has_account and self._is_backed_up(namespace, run)
            return not has_account and self._vms.may_be_passed_over(namespace, run)
        except VmServiceError as error:
            if not has_account:
                log.warning("cannot tell what Velero's archive lacks", cause=error.message, hint=error.hint)
            return not has_account

    def _is_restored(self, namespace: str, run: RestoreRun) -> bool:
        """Say whether the Restore's filters leave the ServiceAccount in; Kubernetes gives it no labels."""
        account = ObjectRef(SERVICE_ACCOUNT, namespace, DEFAULT_SERVICE_ACCOUNT)
        return selection.selected(
            run.spec, account, {}, served=sealed_objects.served_resources(self._cluster, run.spec)
        )

    def _is_backed_up(self, namespace: str, run: RestoreRun) -> bool:
        spec = self._restore_points.backup(run).spec
        return backup_scope.selected(spec, SERVICE_ACCOUNT, namespace, DEFAULT_SERVICE_ACCOUNT, {})
