"""The composition root: settings → adapters → rooms → the table of actions that Velero is served."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from velero_vmservice.adapters.clock import SystemClock, zone_of_process
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.adapters.tcp import SocketProbe
from velero_vmservice.adapters.vcenter import inventory as vcenter
from velero_vmservice.adapters.velero.installation import secrets_of_settings
from velero_vmservice.adapters.velero.modifier_yaml import read_rules
from velero_vmservice.adapters.velero.storage_locations import BackupStorageLocations
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.archive.pruning.survey import Pruning
from velero_vmservice.archive.restore_point import RestorePoints
from velero_vmservice.backup.capture import CaptureAction
from velero_vmservice.backup.namespace_facts import NamespaceFactsOnce
from velero_vmservice.backup.purge import PurgeAction
from velero_vmservice.backup.sealing import Sealing
from velero_vmservice.backup.survey import Survey
from velero_vmservice.backup.withhold import WithholdAction
from velero_vmservice.doctor.examination import Examination
from velero_vmservice.registervm.attempt_store import Attempts
from velero_vmservice.registervm.coordinator import Registering
from velero_vmservice.registervm.tracker import AttemptTracker
from velero_vmservice.registervm.trigger import Trigger
from velero_vmservice.registration.model import Source
from velero_vmservice.registration.poller import SourcePoller
from velero_vmservice.registration.sources import KubernetesRegistration, VCenterRegistration, VsphereLooks
from velero_vmservice.report.finding import Reports
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
from velero_vmservice.restore.source.backup_objects import BackupObjects
from velero_vmservice.restore.source.fit import Modifiers, Target
from velero_vmservice.restore.source.load import Subjects
from velero_vmservice.restore.source.vms_alone import VmsAlone
from velero_vmservice.rpc.server import ActionTable
from velero_vmservice.supervisor.detect import Supervisor
from velero_vmservice.supervisor.observe import SupervisorViews, TargetCapabilities
from velero_vmservice.supervisor.vsphere_plugin import Neighbour
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.registration.poller import RegistrationSource
    from velero_vmservice.restore.replay.execute import TcpProbe
    from velero_vmservice.settings.reading import Settings
    from velero_vmservice.vsphere.ports import RegisterVm, VsphereInventory


class Vsphere(Protocol):
    """A vCenter: what it has, and its RegisterVM."""

    @property
    def inventory(self) -> VsphereInventory:
        """Look there."""

    @property
    def register_vm(self) -> RegisterVm:
        """Call it there."""


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
    reports: Reports
    pruning: Pruning
    examination: Examination
    replays: Replays
    registering: Registering
    survey: Survey
    actions: ActionTable
    adapters: ExitStack = field(default_factory=ExitStack)
    """What `close` closes."""

    def close(self) -> None:
        """End the sessions of the adapters and close their connections; nothing may be asked of the plugin any more."""
        self.adapters.close()


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
) -> App:
    """Put the plugin together on whichever adapters are given."""
    restricted = settings.restricted
    supervisor = Supervisor(
        cluster=cluster, setting=restricted.supervisor, add=restricted.add, remove=restricted.remove
    )
    namespaces = NamespaceFactsOnce(cluster=cluster, locations=locations, clock=clock)
    sealing = Sealing(locations=locations, clock=clock)
    own_bucket = settings.bucket is not None
    restore_points = RestorePoints(cluster=cluster, locations=locations, clock=clock, own_bucket=own_bucket)
    capabilities = TargetCapabilities(cluster=cluster, clock=clock)
    target = Target(cluster=cluster, capabilities=capabilities)
    vms = VmsAlone(cluster=cluster, restore_points=restore_points, clock=clock)
    modifiers = Modifiers(cluster=cluster, clock=clock, read=read_rules)
    subjects = Subjects(restore_points=restore_points, target=target, modifiers=modifiers, vms=vms)
    registering = _registering(
        settings, cluster=cluster, clock=clock, capabilities=capabilities, vsphere=vsphere, engine=engine
    )
    reporting = Reporting(cluster=cluster, clock=clock, page=page.render)
    results = Results(cluster=cluster, restore_points=restore_points, reporting=reporting, vms=vms)
    steps = Steps(cluster=cluster, probe=probe or SocketProbe())
    deletions = Deletions(cluster=cluster, results=results)
    replays = Replays(
        clock=clock,
        policy=settings.restore,
        subjects=subjects,
        steps=steps,
        results=results,
        looking=Looking(cluster=cluster, clock=clock, ask=registering.ask),
        course=Course(hand=steps, trial=Trial(cluster), deletions=deletions),
    )
    planning = Planning(
        cluster=cluster,
        clock=clock,
        subjects=subjects,
        looking=Looking(cluster=cluster, clock=clock, ask=registering.foresee),
        deletions=deletions,
    )
    neighbour = Neighbour(
        cluster=cluster,
        clock=clock,
        supervisor=supervisor,
        velero_namespace=settings.velero_namespace,
        policy=settings.vsphere_plugin,
    )
    capture = CaptureAction(
        cluster=cluster,
        locations=locations,
        clock=clock,
        namespaces=namespaces,
        sealing=sealing,
        neighbour=neighbour,
    )
    withhold = WithholdAction(
        supervisor=supervisor,
        neighbour=neighbour,
        namespaces=namespaces,
        sealing=sealing,
    )
    leave = LeaveAction(
        supervisor=supervisor,
        neighbour=neighbour,
        restore_points=restore_points,
    )
    actions = ActionTable(
        backup={"capture": capture, "withhold": withhold},
        restore={
            "replay": ReplayAction(restore_points=restore_points, replays=replays, modifiers=modifiers),
            "pods": PodsAction(supervisor=supervisor),
            "leave": leave,
            "vms": VmsAloneAction(vms=vms, replays=replays),
        },
        delete={"purge": PurgeAction(locations=locations, clock=clock)},
        ended=partial(_ended, sealing, replays),
    )
    return App(
        cluster=cluster,
        clock=clock,
        supervisor=supervisor,
        locations=locations,
        restore_points=restore_points,
        capabilities=capabilities,
        backup_objects=BackupObjects(cluster=cluster, restore_points=restore_points, vms=vms),
        planning=planning,
        reports=Reports(
            cluster=cluster,
            locations=locations,
            velero_namespace=settings.velero_namespace,
            own_bucket=own_bucket,
        ),
        pruning=Pruning(
            cluster=cluster,
            locations=locations,
            clock=clock,
            velero_namespace=settings.velero_namespace,
            own_bucket=own_bucket,
        ),
        examination=Examination(
            cluster=cluster,
            locations=locations,
            supervisor=supervisor,
            capabilities=capabilities,
            connections=_connections(settings, vsphere=vsphere, engine=engine),
            velero_namespace=settings.velero_namespace,
            own_bucket=own_bucket,
            calls_register_vm=settings.registration.mode == "trigger",
            policy=settings.restore,
            vsphere_plugin=settings.vsphere_plugin,
            secrets_of_settings=partial(secrets_of_settings, cluster, settings.velero_namespace),
        ),
        replays=replays,
        registering=registering,
        survey=Survey(
            cluster=cluster,
            locations=locations,
            clock=clock,
            velero_namespace=settings.velero_namespace,
            zone=zone,
        ),
        actions=actions,
    )


def _connections(
    settings: Settings, *, vsphere: Vsphere | None, engine: RegistrationSource | None
) -> Mapping[str, Callable[[], str]]:
    """Return a question for each server that the settings name beside the cluster and its buckets."""

    def ask(source: RegistrationSource) -> str:
        source.observe(settings.velero_namespace, [ExpectedVm(name=PLUGIN_NAME)])  # no VM, so any answer will do
        return ""

    connections: dict[str, Callable[[], str]] = {}
    if vsphere is not None:
        connections["vCenter"] = vsphere.inventory.about
    if engine is not None:
        connections["registration engine"] = partial(ask, engine)
    return connections


def _ended(sealing: Sealing, replays: Replays, caller: str) -> None:
    """Do what is left to do when a process that Velero launched is over; never raises."""
    sealing.ended(caller)
    replays.settle()


def connect(settings: Settings) -> App:
    """Put the plugin together on the real cluster and S3; connects when first used."""
    clock = SystemClock()
    cluster = kubernetes.connect(timeout_seconds=settings.kubernetes_timeout_seconds, clock=clock)
    locations = BackupStorageLocations(cluster, settings, clock=clock)
    vsphere = vcenter.connect(settings.vcenter, clock=clock) if settings.vcenter else None
    plugin = assemble(
        settings,
        cluster=cluster,
        locations=locations,
        clock=clock,
        vsphere=vsphere,
        engine=RegistrationEngine(settings.engine, clock) if settings.engine else None,
        zone=zone_of_process(os.environ),
    )
    for close in (cluster.close, locations.close, *([vsphere.close] if vsphere else [])):
        plugin.adapters.callback(close)
    return plugin


def _registering(
    settings: Settings,
    *,
    cluster: Cluster,
    clock: Clock,
    capabilities: TargetCapabilities,
    vsphere: Vsphere | None,
    engine: RegistrationSource | None,
) -> Registering:
    """Put together the sources that the settings name beside Kubernetes, and the RegisterVM caller."""
    others: dict[Source, RegistrationSource | None] = {Source.VCENTER: None, Source.ENGINE: engine}
    trigger = None
    attempts = Attempts(cluster=cluster, clock=clock, velero_namespace=settings.velero_namespace)
    tracker = AttemptTracker(
        cluster=cluster,
        clock=clock,
        attempts=attempts,
        register=vsphere.register_vm if vsphere else None,
        override=settings.registration.subnet_mappings,
        holder=uuid4().hex,
    )
    if vsphere:
        views = SupervisorViews(cluster=cluster, generation=capabilities.generation)
        looks = VsphereLooks(inventory=vsphere.inventory, supervisor=views.look)
        others[Source.VCENTER] = VCenterRegistration(looks=looks, clock=clock)
        trigger = Trigger(
            clock=clock,
            tracker=tracker,
            attempts=attempts,
            looks=looks,
            supervisor=views,
            policy=settings.registration,
        )
    sources = [source for name, source in others.items() if source and name in settings.registration.sources]
    kubernetes = KubernetesRegistration(cluster=cluster, clock=clock)
    return Registering(
        poller=SourcePoller(kubernetes=kubernetes, others=sources, clock=clock),
        attempts=attempts,
        tracker=tracker,
        trigger=trigger,
    )
