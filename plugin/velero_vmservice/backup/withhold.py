"""Leave objects that the Supervisor makes itself out of the backup: logged and counted, never an error.

The skip annotation is always written: Velero leaves the item out since 1.18.1, an older one stores it and the restore
action `leave` skips it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.archive.schema import BackupRun
from velero_vmservice.errors import as_ours
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, Manifest
from velero_vmservice.velero.actions import BackupOutcome, StartsNoOperation
from velero_vmservice.vmoperator import marks, restricted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.backup.namespace_facts import NamespaceFactsOnce
    from velero_vmservice.backup.sealing import Sealing
    from velero_vmservice.supervisor.detect import Supervisor
    from velero_vmservice.supervisor.vsphere_plugin import Neighbour
    from velero_vmservice.velero.actions import ResourceSelector

log = structlog.get_logger()


class WithholdAction(StartsNoOperation):
    """Velero's backup action `withhold`."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        neighbour: Neighbour,
        namespaces: NamespaceFactsOnce,
        sealing: Sealing,
    ) -> None:
        self._supervisor = supervisor
        self._neighbour = neighbour
        self._namespaces = namespaces
        self._sealing = sealing

    def applies_to(self) -> ResourceSelector:
        """Return the selector: everything that may be restricted; the cluster decides at each item.

        A backup begins with this call, before velero-plugin-for-vsphere reads its list.
        """
        return restricted.selected(self._neighbour.begin())

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> BackupOutcome:
        """Mark the item to be left out; write its namespace's facts if they are not written yet."""
        manifest, of_backup = Manifest.read(dict(item)), Manifest.read(dict(backup))
        where = f"{manifest.kind_name} {manifest.namespace}/{manifest.name}"
        try:
            supervisor = self._supervisor.present()
        except Exception as raised:  # noqa: BLE001 - logged; an error would make the backup PartiallyFailed
            error = as_ours(raised, where)
            log.warning(
                "left in the backup",
                object=where,
                cause=error.message,
                hint="leave it on a Supervisor: a restore there skips it",
            )
            return BackupOutcome(item=item)
        blocked = self._neighbour.blocked_at(of_backup)
        names = self._supervisor.restricted(present=supervisor, blocked=blocked)
        resource = self._supervisor.resource_name(manifest, names)
        if not resource:
            return BackupOutcome(item=item)
        run = BackupRun.read(of_backup)
        if manifest.namespace and supervisor:
            self._namespaces.attempt(run, manifest.namespace)
        first = self._sealing.count(run, resource) == 1
        if resource == VIRTUAL_MACHINE.resource:
            self._sealing.holds(run, manifest)
        if first and restricted.is_declared(resource):
            log.warning(
                "not backed up",
                kind=resource,
                reason=self._why(resource, blocked),
                hint="keep the manifests of these objects elsewhere, and create them again after a restore",
            )
        if resource in restricted.PLUGIN_RESOURCES and marks.EXCLUDE_FROM_BACKUP not in manifest.labels:
            log.warning("label missing", object=where, label=marks.EXCLUDE_FROM_BACKUP, kind=resource)
        # The seal counts them all: a line for each would be the largest part of what an item costs.
        log.log(logging.INFO if first else logging.DEBUG, "left to the Supervisor", object=where, kind=resource)
        return BackupOutcome(item=manifest.annotated(marks.SKIP_FROM_BACKUP, "true"))

    def _why(self, resource: str, blocked: Collection[str]) -> str:
        """Return why a resource that people declare is left out: by the settings, the other plugin or our list."""
        if resource in self._supervisor.add:
            return "the setting restricted.add lists it"
        if resource in blocked:
            return "velero-plugin-for-vsphere refuses it in this backup"
        return "it is on the list of resources that a Supervisor does not take from a backup"
