"""Wait for VMs that no object of a restore needs, and stand in for objects that Velero calls no action for.

Velero asks about both with the ServiceAccount `default`. An object that another plugin refused at backup is not in the
archive, and an object whose kind the cluster does not serve is left out by Velero; the captures of both are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import DEFAULT_SERVICE_ACCOUNT, SERVICE_ACCOUNT, Manifest
from velero_vmservice.restore.source.vms_alone import replay_of
from velero_vmservice.velero import runs
from velero_vmservice.velero.actions import ResourceSelector, RestoreOutcome
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.restore.replay.controller import Replays
    from velero_vmservice.restore.source.anchor import Anchors
    from velero_vmservice.restore.source.vms_alone import VmsAlone

log = structlog.get_logger()


class VmsAloneAction:
    """Velero's restore action `vms`."""

    def __init__(self, *, vms: VmsAlone, replays: Replays, anchors: Anchors) -> None:
        self._vms = vms
        self._anchors = anchors
        self._replays = replays
        self.progress, self.cancel = replays.progress, replays.cancel  # the operation is one of the restore's

    def applies_to(self) -> ResourceSelector:
        """Return the selector: ServiceAccounts, of which each namespace has one that stands for it."""
        return ResourceSelector(included_resources=(SERVICE_ACCOUNT.resource,))

    def execute(
        self, item: Mapping[str, Any], item_from_backup: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> RestoreOutcome:
        """Return the item untouched, with an operation if its namespace has VMs or objects that it has to stand for."""
        manifest, run = Manifest.read(dict(item_from_backup)), RestoreRun.read(Manifest.read(dict(restore)))
        if manifest.name != DEFAULT_SERVICE_ACCOUNT:
            return RestoreOutcome(item=item)
        replay = replay_of(manifest.namespace, run)
        try:
            lacking = self._anchors.is_account(manifest.namespace, run)
            names = self._vms.watched(manifest.namespace, run).names
        except VmServiceError as error:  # there may be none; the operation asks again, or fails with the cause
            log.warning("VMs without an application are not known", cause=error.message, hint=error.hint)
            replay = replay.model_copy(update={"unread": True, "lacking": True})
        else:
            if not names and not lacking:
                return RestoreOutcome(item=item)
            replay = replay.model_copy(update={"lacking": lacking})
            if names:
                log.info("waiting for VMs without an application", namespace=replay.target, vms=names)
        operation_id = runs.replay_id(replay)
        self._replays.announce(operation_id, replay, run)
        return RestoreOutcome(item=item, operation_id=operation_id)
