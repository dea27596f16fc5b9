"""The backup part of the plugin: what Velero calls at backup, and when a Backup is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.backup.capture import CaptureAction
from velero_vmservice.backup.namespace_facts import NamespaceFactsOnce
from velero_vmservice.backup.purge import PurgeAction
from velero_vmservice.backup.withhold import WithholdAction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.app.foundation import Foundation
    from velero_vmservice.backup.sealing import Sealing
    from velero_vmservice.velero.actions import BackupAction, DeleteAction


def at_backup(foundation: Foundation, sealing: Sealing) -> Mapping[str, BackupAction]:
    """Return the actions for the items of a backup."""
    namespaces = NamespaceFactsOnce(cluster=foundation.cluster, locations=foundation.locations, clock=foundation.clock)
    return {
        "capture": CaptureAction(
            cluster=foundation.cluster,
            locations=foundation.locations,
            clock=foundation.clock,
            namespaces=namespaces,
            sealing=sealing,
            neighbour=foundation.neighbour,
        ),
        "withhold": WithholdAction(
            supervisor=foundation.supervisor,
            neighbour=foundation.neighbour,
            namespaces=namespaces,
            sealing=sealing,
        ),
    }


def at_deletion(foundation: Foundation) -> Mapping[str, DeleteAction]:
    """Return the actions for the items of a Backup that is deleted."""
    return {"purge": PurgeAction(locations=foundation.locations, clock=foundation.clock)}
