"""The composition root: settings → adapters → flows → the table of actions that Velero is served."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from velero_vmservice.adapters import kubernetes, vcenter
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.modifier_yaml import read_rules
from velero_vmservice.adapters.registration_engine import RegistrationEngine
from velero_vmservice.adapters.storage_locations import BackupStorageLocations
from velero_vmservice.adapters.tcp import SocketProbe
from velero_vmservice.core.registration import Source
from velero_vmservice.flows.attempts import Attempts
from velero_vmservice.flows.capabilities import TargetCapabilities
from velero_vmservice.flows.capture import CaptureAction
from velero_vmservice.flows.course import Course
from velero_vmservice.flows.deleted import Deletions
from velero_vmservice.flows.following import Following
from velero_vmservice.flows.kubernetes_registration import KubernetesRegistration
from velero_vmservice.flows.leave import LeaveAction
from velero_vmservice.flows.looking import Looking
from velero_vmservice.flows.modifiers import Modifiers
from velero_vmservice.flows.namespace import NamespaceFactsOnce
from velero_vmservice.flows.neighbour import Neighbour
from velero_vmservice.flows.planning import Planning
from velero_vmservice.flows.pods import PodsAction
from velero_vmservice.flows.probing import Probing
from velero_vmservice.flows.purge import PurgeAction
from velero_vmservice.flows.registering import Registering
from velero_vmservice.flows.registration_sources import RegistrationSources
from velero_vmservice.flows.replay import Replays
from velero_vmservice.flows.reporting import Reporting
from velero_vmservice.flows.reports import Reports
from velero_vmservice.flows.restore import ReplayAction
from velero_vmservice.flows.restore_point import RestorePoints
from velero_vmservice.flows.results import Results
from velero_vmservice.flows.seal import Sealing
from velero_vmservice.flows.steps import Steps
from velero_vmservice.flows.strict import Strict
from velero_vmservice.flows.subjects import Subjects
from velero_vmservice.flows.supervisor import Supervisor
from velero_vmservice.flows.supervisor_view import SupervisorViews
from velero_vmservice.flows.target import Target
from velero_vmservice.flows.trigger import Trigger
from velero_vmservice.flows.vcenter_registration import VCenterRegistration
from velero_vmservice.flows.vms_action import VmsAloneAction
from velero_vmservice.flows.vms_alone import VmsAlone
from velero_vmservice.flows.vsphere_looks import VsphereLooks
from velero_vmservice.flows.withhold import WithholdAction
from velero_vmservice.report import html
from velero_vmservice.rpc.server import ActionTable

if TYPE_CHECKING:
    from velero_vmservice.core.ports import (
        Clock,
        Cluster,
        RegisterVm,
        RegistrationSource,
        StorageLocations,
        TcpProbe,
        VsphereInventory,
    )
    from velero_vmservice.settings import Settings


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
    target: Target
    planning: Planning
    reports: Reports
    replays: Replays
    registering: Registering
    actions: ActionTable


def assemble(
    settings: Settings,
    *,
    cluster: Cluster,
    locations: StorageLocations,
    clock: Clock,
    probe: TcpProbe | None = None,
    vsphere: Vsphere | None = None,
    engine: RegistrationSource | None = None,
) -> App:
    """Put the plugin together on whichever adapters are given."""
    restricted = settings.restricted
    supervisor = Supervisor(cluster=cluster, told=restricted.supervisor, add=restricted.add, remove=restricted.remove)
    namespaces = NamespaceFactsOnce(cluster=cluster, locations=locations, clock=clock)
    sealing = Sealing(locations=locations, clock=clock)
    own_bucket = settings.bucket is not None
    restore_points = RestorePoints(cluster=cluster, locations=locations, clock=clock, own_bucket=own_bucket)
    target = Target(cluster=cluster, capabilities=TargetCapabilities(cluster=cluster, clock=clock))
    vms = VmsAlone(cluster=cluster, restore_points=restore_points, clock=clock)
    modifiers = Modifiers(cluster=cluster, clock=clock, read=read_rules)
    subjects = Subjects(restore_points=restore_points, target=target, modifiers=modifiers, vms=vms)
    registering = _registering(settings, cluster=cluster, clock=clock, target=target, vsphere=vsphere, engine=engine)
    reporting = Reporting(cluster=cluster, clock=clock, page=html.render)
    results = Results(cluster=cluster, restore_points=restore_points, reporting=reporting, vms=vms)
    steps = Steps(cluster=cluster, clock=clock, probing=Probing(probe or SocketProbe()))
    strict = Strict(clock=clock)
    deletions = Deletions(cluster=cluster, clock=clock, results=results)
    replays = Replays(
        clock=clock,
        policy=settings.restore,
        subjects=subjects,
        steps=steps,
        results=results,
        looking=Looking(cluster=cluster, clock=clock, ask=registering.ask),
        course=Course(clock=clock, hand=steps, strict=strict, deletions=deletions),
    )
    planning = Planning(
        cluster=cluster,
        clock=clock,
        restore_points=restore_points,
        subjects=subjects,
        looking=Looking(cluster=cluster, clock=clock, ask=registering.foresee),
        strict=strict,
        deletions=deletions,
        vms=vms,
    )
    neighbour = Neighbour(cluster=cluster, clock=clock)
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
        velero_namespace=settings.velero_namespace,
    )
    leave = LeaveAction(
        supervisor=supervisor,
        neighbour=neighbour,
        restore_points=restore_points,
        velero_namespace=settings.velero_namespace,
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
        target=target,
        planning=planning,
        reports=Reports(
            cluster=cluster,
            locations=locations,
            velero_namespace=settings.velero_namespace,
            own_bucket=own_bucket,
        ),
        replays=replays,
        registering=registering,
        actions=actions,
    )


def _ended(sealing: Sealing, replays: Replays, caller: str) -> None:
    """Do what is left to do when a process that Velero launched is over; never raises."""
    sealing.ended(caller)
    replays.settle()


def connect(settings: Settings) -> App:
    """Put the plugin together on the real cluster and S3; connects when first used."""
    clock = SystemClock()
    cluster = kubernetes.connect(timeout_seconds=settings.kubernetes_timeout_seconds, clock=clock)
    locations = BackupStorageLocations(cluster, settings, clock=clock)
    return assemble(
        settings,
        cluster=cluster,
        locations=locations,
        clock=clock,
        vsphere=vcenter.connect(settings.vcenter, clock=clock) if settings.vcenter else None,
        engine=RegistrationEngine(settings.engine, clock) if settings.engine else None,
    )


def _registering(
    settings: Settings,
    *,
    cluster: Cluster,
    clock: Clock,
    target: Target,
    vsphere: Vsphere | None,
    engine: RegistrationSource | None,
) -> Registering:
    """Put together whoever the settings name to be asked beside Kubernetes, and to be called."""
    asked: list[RegistrationSource] = []
    trigger = None
    attempts = Attempts(cluster=cluster, velero_namespace=settings.velero_namespace)
    following = Following(
        cluster=cluster, clock=clock, attempts=attempts, register=vsphere.register_vm if vsphere else None
    )
    if vsphere:
        views = SupervisorViews(cluster=cluster, generation=target.generation)
        looks = VsphereLooks(inventory=vsphere.inventory, supervisor=views.look)
        if Source.VCENTER in settings.registration.sources:
            asked.append(VCenterRegistration(looks=looks, clock=clock))
        trigger = Trigger(
            clock=clock,
            following=following,
            attempts=attempts,
            looks=looks,
            register=vsphere.register_vm,
            supervisor=views,
            policy=settings.registration,
            holder=uuid4().hex,
        )
    if engine and Source.ENGINE in settings.registration.sources:
        asked.append(engine)
    return Registering(
        kubernetes=KubernetesRegistration(cluster=cluster, clock=clock),
        clock=clock,
        others=RegistrationSources(asked, clock=clock),
        following=following,
        trigger=trigger,
    )
