"""The composition root: settings → adapters → rooms → the table of actions that Velero is served.

Every part is put together on one `foundation`: `backup`, `registration`, `restore` and `captures` each make one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING

from velero_vmservice.adapters.clock import SystemClock, zone_of_process
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.velero.installation import secrets_of_settings
from velero_vmservice.adapters.velero.storage_locations import BackupStorageLocations
from velero_vmservice.app import backup, registration, restore
from velero_vmservice.app import captures as stored_captures
from velero_vmservice.app.foundation import Foundation
from velero_vmservice.doctor.examination import Examination
from velero_vmservice.drill.rehearsal import DrillSite, Rehearsing
from velero_vmservice.drill.store import Drills
from velero_vmservice.preflight.before_restore import BeforeRestore
from velero_vmservice.preflight.look import Looks
from velero_vmservice.preflight.target import Targets
from velero_vmservice.report.finding import Reports
from velero_vmservice.rpc.server import ActionTable
from velero_vmservice.settings.access import AS_FOUND

if TYPE_CHECKING:
    from datetime import tzinfo

    from velero_vmservice.app.registration import Vsphere
    from velero_vmservice.archive.pruning.survey import Pruning
    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.backup.sealing import Sealing
    from velero_vmservice.captures.catalogue import Catalogue
    from velero_vmservice.captures.covering import Covering
    from velero_vmservice.captures.inspection.verification import Verification
    from velero_vmservice.captures.matching.choosing import CaptureChoice
    from velero_vmservice.captures.pruning.survey import CapturePruning
    from velero_vmservice.captures.survey import Survey
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.registervm.coordinator import Registering
    from velero_vmservice.registration.poller import RegistrationSource
    from velero_vmservice.restore.dry_run import Planning
    from velero_vmservice.restore.replay.controller import Replays
    from velero_vmservice.restore.replay.execute import TcpProbe
    from velero_vmservice.restore.source.backup_objects import BackupObjects
    from velero_vmservice.restore.verification import Verifying
    from velero_vmservice.settings.access import LoginChoice
    from velero_vmservice.settings.reading import Settings
    from velero_vmservice.supervisor.detect import Supervisor
    from velero_vmservice.supervisor.observe import TargetCapabilities
    from velero_vmservice.vadp.capturing import Capturing


@dataclass(frozen=True, kw_only=True)
class App:
    """The plugin, put together around a cluster and its stores."""

    cluster: Cluster
    clock: Clock
    supervisor: Supervisor
    locations: StorageLocations
    restore_points: RestorePoints
    capabilities: TargetCapabilities
    backup_objects: BackupObjects
    planning: Planning
    verifying: Verifying
    reports: Reports
    pruning: Pruning
    catalogue: Catalogue
    capture_choice: CaptureChoice
    capturing: Capturing
    verification: Verification
    capture_pruning: CapturePruning
    looks: Looks
    before_restore: BeforeRestore
    examination: Examination
    replays: Replays
    registering: Registering
    survey: Survey
    covering: Covering
    drills: Drills
    rehearsing: Rehearsing
    actions: ActionTable
    adapters: ExitStack = field(default_factory=ExitStack)
    """What `close` closes."""

    def drill_site(self, *, other: bool = False) -> DrillSite:
        """Return the Supervisor of this plugin as one to drill against."""
        return DrillSite(
            cluster=self.cluster,
            before_restore=self.before_restore,
            planning=self.planning,
            backup_objects=self.backup_objects,
            replays=self.replays,
            other=other,
        )

    def close(self) -> None:
        """End the sessions of the adapters and close their connections; the plugin cannot be used afterwards."""
        self.adapters.close()


def connect(settings: Settings, *, login: LoginChoice = AS_FOUND.login) -> App:
    """Put the plugin together on the real cluster and S3; connects when first used."""
    clock = SystemClock()
    adapters = ExitStack()
    cluster = kubernetes.connect(timeout_seconds=settings.kubernetes_timeout_seconds, clock=clock, login=login)
    locations = BackupStorageLocations(cluster, settings, clock=clock)
    adapters.callback(cluster.close)
    adapters.callback(locations.close)
    vsphere, engine = registration.connect(settings, clock=clock, adapters=adapters)
    return assemble(
        settings,
        cluster=cluster,
        locations=locations,
        clock=clock,
        vsphere=vsphere,
        engine=engine,
        zone=zone_of_process(os.environ),
        adapters=adapters,
    )


def towards(plugin: App, settings: Settings, *, login: LoginChoice) -> App:
    """Put the plugin together on another cluster, with the stores of this one; for what writes nothing there."""
    cluster = kubernetes.connect(timeout_seconds=settings.kubernetes_timeout_seconds, clock=plugin.clock, login=login)
    adapters = ExitStack()
    adapters.callback(cluster.close)
    return assemble(settings, cluster=cluster, locations=plugin.locations, clock=plugin.clock, adapters=adapters)


def assemble(
    settings: Settings,
    *,
    cluster: Cluster,
    locations: StorageLocations,
    clock: Clock,
    probe: TcpProbe | None = None,
    vsphere: Vsphere | None = None,
    engine: RegistrationSource | None = None,
    zone: tzinfo = UTC,
    adapters: ExitStack | None = None,
) -> App:
    """Put the plugin together on whichever adapters are given."""
    foundation = Foundation(settings=settings, cluster=cluster, locations=locations, clock=clock)
    registering = registration.assemble(foundation, vsphere=vsphere, engine=engine)
    restoring = restore.assemble(foundation, registering, probe=probe)
    backing_up = backup.assemble(foundation)
    captures = stored_captures.assemble(foundation, restoring, zone=zone)
    looks = Looks(cluster=cluster, clock=clock, vsphere=registration.looks(foundation, vsphere))
    velero_namespace = foundation.velero_namespace
    reports = Reports(
        cluster=cluster, locations=locations, velero_namespace=velero_namespace, own_bucket=foundation.own_bucket
    )
    targets = Targets(cluster=cluster, clock=clock, capabilities=foundation.capabilities)
    return App(
        cluster=cluster,
        clock=clock,
        supervisor=foundation.supervisor,
        locations=locations,
        restore_points=foundation.restore_points,
        capabilities=foundation.capabilities,
        backup_objects=restoring.backup_objects,
        planning=restoring.planning,
        verifying=restoring.verifying,
        reports=reports,
        pruning=captures.pruning_of_backups,
        catalogue=captures.catalogue,
        capture_choice=captures.choice,
        capturing=backing_up.capturing,
        verification=captures.verification,
        capture_pruning=captures.pruning,
        looks=looks,
        before_restore=BeforeRestore(cluster=cluster, clock=clock, targets=targets),
        examination=_examination(foundation, vsphere=vsphere, engine=engine),
        replays=restoring.replays,
        registering=registering,
        covering=captures.covering,
        drills=Drills(catalogue=captures.catalogue, locations=locations),
        rehearsing=Rehearsing(clock=clock, looks=looks, reports=reports, velero_namespace=velero_namespace),
        survey=captures.survey,
        actions=ActionTable(
            backup=backing_up.actions,
            restore=restoring.actions,
            delete=backup.at_deletion(foundation),
            ended=partial(_ended, backing_up.sealing, restoring.replays),
        ),
        adapters=adapters or ExitStack(),
    )


def _examination(foundation: Foundation, *, vsphere: Vsphere | None, engine: RegistrationSource | None) -> Examination:
    settings = foundation.settings
    return Examination(
        cluster=foundation.cluster,
        locations=foundation.locations,
        supervisor=foundation.supervisor,
        capabilities=foundation.capabilities,
        connections=registration.questions(foundation, vsphere=vsphere, engine=engine),
        velero_namespace=foundation.velero_namespace,
        own_bucket=foundation.own_bucket,
        calls_register_vm=settings.registration.mode == "trigger",
        policy=settings.restore,
        vsphere_plugin=settings.vsphere_plugin,
        secrets_of_settings=partial(secrets_of_settings, foundation.cluster, foundation.velero_namespace),
    )


def _ended(sealing: Sealing, replays: Replays, caller: str) -> None:
    """Do what is left to do when a process that Velero launched is over; never raises."""
    sealing.ended(caller)
    replays.settle()
