"""Leave what the Supervisor makes itself out of the backup, said and counted, never an error.

The skip annotation is always written: Velero leaves the item out since 1.18.1, an older one stores it and the
restore action `leave` skips it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.core import policy
from velero_vmservice.core.actions import BackupOutcome, StartsNoOperation
from velero_vmservice.core.archive import BackupRun
from velero_vmservice.core.errors import VmServiceError
from velero_vmservice.core.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.core.actions import ResourceSelector
    from velero_vmservice.flows.namespace import NamespaceFactsOnce
    from velero_vmservice.flows.seal import Sealing
    from velero_vmservice.flows.supervisor import Supervisor

log = structlog.get_logger()


class WithholdAction(StartsNoOperation):
    """Velero's backup action `withhold`."""

    def __init__(self, *, supervisor: Supervisor, namespaces: NamespaceFactsOnce, sealing: Sealing) -> None:
        self._supervisor = supervisor
        self._namespaces = namespaces
        self._sealing = sealing

    def applies_to(self) -> ResourceSelector:
        """Ask to be called for everything that may be restricted; the cluster decides at each item."""
        return policy.selected(self._supervisor.ever_restricted)

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> BackupOutcome:
        """Mark the item to be left out; write its namespace's facts if nobody has yet."""
        manifest = Manifest.read(dict(item))
        where = f"{manifest.kind_name} {manifest.namespace}/{manifest.name}"
        try:
            supervisor = self._supervisor.present()
        except VmServiceError as error:  # an error would make the backup PartiallyFailed; the restore skips the item
            log.warning("left in the backup", object=where, cause=error.message, remedy="none: the restore skips it")
            return BackupOutcome(item=item)
        resource = self._supervisor.resource_name(manifest, self._supervisor.restricted(present=supervisor))
        if not resource:
            return BackupOutcome(item=item)
        run = BackupRun.read(Manifest.read(dict(backup)))
        if manifest.namespace and supervisor:
            self._namespaces.attempt(run, manifest.namespace)
        first = self._sealing.count(run, resource) == 1
        if resource in policy.PLUGIN_RESOURCES and policy.EXCLUDE_FROM_BACKUP not in manifest.labels:
            log.warning("label missing", object=where, label=policy.EXCLUDE_FROM_BACKUP, resource=resource)
        # The seal counts them all: a line for each would be the largest part of what an item costs.
        (log.info if first else log.debug)("left to the Supervisor", object=where, resource=resource)
        return BackupOutcome(item=manifest.annotated(policy.SKIP_FROM_BACKUP, "true"))
