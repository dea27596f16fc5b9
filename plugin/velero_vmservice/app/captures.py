"""What finds, compares, checks and prunes the captures in the buckets, Velero's and the command's alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.archive.pruning.survey import Pruning
from velero_vmservice.captures.catalogue import Catalogue
from velero_vmservice.captures.covering import Covering
from velero_vmservice.captures.inspection.verification import Verification
from velero_vmservice.captures.matching.choosing import CaptureChoice
from velero_vmservice.captures.pruning.survey import CapturePruning
from velero_vmservice.captures.survey import Survey

if TYPE_CHECKING:
    from datetime import tzinfo

    from velero_vmservice.app.foundation import Foundation
    from velero_vmservice.app.restore import Restoring


@dataclass(frozen=True, slots=True, kw_only=True)
class Captures:
    """What works on captures that are stored."""

    catalogue: Catalogue
    choice: CaptureChoice
    verification: Verification
    pruning: CapturePruning
    pruning_of_backups: Pruning
    covering: Covering
    survey: Survey


def assemble(foundation: Foundation, restoring: Restoring, *, zone: tzinfo) -> Captures:
    """Put the part together; times of Schedules are read in `zone`."""
    cluster, locations, clock = foundation.cluster, foundation.locations, foundation.clock
    velero_namespace, own_bucket = foundation.velero_namespace, foundation.own_bucket
    catalogue = Catalogue(
        cluster=cluster, locations=locations, velero_namespace=velero_namespace, own_bucket=own_bucket
    )
    return Captures(
        catalogue=catalogue,
        choice=CaptureChoice(catalogue=catalogue, cluster=cluster),
        verification=Verification(
            planning=restoring.planning,
            backup_objects=restoring.backup_objects,
            replays=restoring.replays,
            velero_namespace=velero_namespace,
        ),
        pruning=CapturePruning(cluster=cluster, catalogue=catalogue, clock=clock, velero_namespace=velero_namespace),
        pruning_of_backups=Pruning(
            cluster=cluster,
            locations=locations,
            clock=clock,
            velero_namespace=velero_namespace,
            own_bucket=own_bucket,
        ),
        covering=Covering(
            cluster=cluster, locations=locations, catalogue=catalogue, clock=clock, velero_namespace=velero_namespace
        ),
        survey=Survey(
            cluster=cluster,
            locations=locations,
            catalogue=catalogue,
            clock=clock,
            velero_namespace=velero_namespace,
            zone=zone,
        ),
    )
