"""The backup part of the plugin: what Velero calls, and captures that are taken without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.backup.capture import CaptureAction, ObjectCapture
from velero_vmservice.backup.namespace_facts import NamespaceFactsOnce
from velero_vmservice.backup.purge import PurgeAction
from velero_vmservice.backup.sealing import Sealing
from velero_vmservice.backup.withhold import WithholdAction
from velero_vmservice.vadp.capturing import Capturing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.app.foundation import Foundation
    from velero_vmservice.velero.actions import BackupAction, DeleteAction


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingUp:
    """What captures are made with."""

    sealing: Sealing
    capturing: Capturing
    actions: Mapping[str, BackupAction]
    """The actions for the items of a backup."""


def assemble(foundation: Foundation) -> BackingUp:
    """Put the backup part together."""
    cluster, locations, clock = foundation.cluster, foundation.locations, foundation.clock
    sealing = Sealing(cluster=cluster, locations=locations, clock=clock)
    namespaces = NamespaceFactsOnce(cluster=cluster, locations=locations, clock=clock)
    capture = ObjectCapture(cluster=cluster, locations=locations, clock=clock, namespaces=namespaces, sealing=sealing)
    return BackingUp(
        sealing=sealing,
        capturing=Capturing(
            cluster=cluster,
            locations=locations,
            clock=clock,
            capture=capture,
            namespaces=namespaces,
            sealing=sealing,
            velero_namespace=foundation.velero_namespace,
            own_bucket=foundation.own_bucket,
        ),
        actions={
            "capture": CaptureAction(
                capture=capture, namespaces=namespaces, sealing=sealing, neighbour=foundation.neighbour
            ),
            "withhold": WithholdAction(
                supervisor=foundation.supervisor,
                neighbour=foundation.neighbour,
                namespaces=namespaces,
                sealing=sealing,
            ),
        },
    )


def at_deletion(foundation: Foundation) -> Mapping[str, DeleteAction]:
    """Return the actions for the items of a Backup that is deleted."""
    return {"purge": PurgeAction(locations=foundation.locations, clock=foundation.clock)}
