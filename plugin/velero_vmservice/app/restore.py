"""The restore part of the plugin: captures fitted to the target, the rounds of a replay, and the dry run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.adapters.tcp import SocketProbe
from velero_vmservice.adapters.velero.modifier_yaml import read_rules
from velero_vmservice.report.html import page
from velero_vmservice.report.store import Reporting
from velero_vmservice.restore.actions.leave import LeaveAction
from velero_vmservice.restore.actions.pods import PodsAction
from velero_vmservice.restore.actions.replay import ReplayAction
from velero_vmservice.restore.actions.vms import VmsAloneAction
from velero_vmservice.restore.dry_run import Planning
from velero_vmservice.restore.replay.controller import Replays
from velero_vmservice.restore.replay.course import Course, Deletions, Trial
from velero_vmservice.restore.replay.execute import Steps
from velero_vmservice.restore.replay.look import Looking
from velero_vmservice.restore.replay.results import Results
from velero_vmservice.restore.source.anchor import Anchors
from velero_vmservice.restore.source.backup_objects import BackupObjects
from velero_vmservice.restore.source.fit import Modifiers, Target
from velero_vmservice.restore.source.load import Subjects
from velero_vmservice.restore.source.vms_alone import VmsAlone
from velero_vmservice.restore.verification import Verifying

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.app.foundation import Foundation
    from velero_vmservice.registervm.coordinator import Registering
    from velero_vmservice.restore.replay.execute import TcpProbe
    from velero_vmservice.velero.actions import RestoreAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What restores are made with."""

    replays: Replays
    planning: Planning
    verifying: Verifying
    backup_objects: BackupObjects
    actions: Mapping[str, RestoreAction]
    """The actions for the items of a restore."""


def assemble(foundation: Foundation, registering: Registering, *, probe: TcpProbe | None) -> Restoring:
    """Put the restore part together; `probe` tries the ports of load balancers, by a connection of its own if None."""
    cluster, clock, restore_points = foundation.cluster, foundation.clock, foundation.restore_points
    vms = VmsAlone(cluster=cluster, restore_points=restore_points, clock=clock)
    modifiers = Modifiers(cluster=cluster, clock=clock, read=read_rules)
    target = Target(cluster=cluster, capabilities=foundation.capabilities)
    subjects = Subjects(restore_points=restore_points, target=target, modifiers=modifiers, vms=vms)
    reporting = Reporting(cluster=cluster, clock=clock, page=page.render)
    results = Results(cluster=cluster, restore_points=restore_points, reporting=reporting, vms=vms)
    tcp_probe = probe or SocketProbe()
    steps = Steps(cluster=cluster, probe=tcp_probe)
    deletions = Deletions(cluster=cluster, results=results)
    replays = Replays(
        clock=clock,
        policy=foundation.settings.restore,
        subjects=subjects,
        steps=steps,
        results=results,
        looking=Looking(cluster=cluster, clock=clock, ask=registering.ask),
        course=Course(hand=steps, trial=Trial(cluster), deletions=deletions),
        can_register=registering.trigger is not None,
    )
    anchors = Anchors(cluster=cluster, restore_points=restore_points, vms=vms, clock=clock)
    return Restoring(
        replays=replays,
        planning=Planning(
            cluster=cluster,
            clock=clock,
            subjects=subjects,
            looking=Looking(cluster=cluster, clock=clock, ask=registering.foresee),
            deletions=deletions,
        ),
        verifying=Verifying(cluster=cluster, clock=clock, subjects=subjects, probe=tcp_probe),
        backup_objects=BackupObjects(cluster=cluster, restore_points=restore_points, vms=vms),
        actions={
            "replay": ReplayAction(
                restore_points=restore_points, replays=replays, modifiers=modifiers, anchors=anchors
            ),
            "pods": PodsAction(supervisor=foundation.supervisor),
            "leave": LeaveAction(
                supervisor=foundation.supervisor,
                neighbour=foundation.neighbour,
                restore_points=restore_points,
                replays=replays,
                anchors=anchors,
            ),
            "vms": VmsAloneAction(vms=vms, replays=replays, anchors=anchors),
        },
    )
