"""The registration part of the plugin: sources that say whether a VM is registered, and the RegisterVM caller."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.adapters.vcenter import inventory as vcenter
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.registervm.attempt_store import Attempts
from velero_vmservice.registervm.coordinator import Registering
from velero_vmservice.registervm.tracker import AttemptTracker
from velero_vmservice.registervm.trigger import Trigger
from velero_vmservice.registration.model import Source
from velero_vmservice.registration.poller import SourcePoller
from velero_vmservice.registration.sources import KubernetesRegistration, VCenterRegistration, VsphereLooks
from velero_vmservice.supervisor.observe import SupervisorViews
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from velero_vmservice.app.foundation import Foundation
    from velero_vmservice.clock import Clock
    from velero_vmservice.registration.poller import RegistrationSource
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


def connect(
    settings: Settings, *, clock: Clock, adapters: ExitStack
) -> tuple[Vsphere | None, RegistrationSource | None]:
    """Return the vCenter and the registration engine that the settings name; `adapters` closes their connections."""
    vsphere = vcenter.connect(settings.vcenter, clock=clock) if settings.vcenter else None
    if vsphere is not None:
        adapters.callback(vsphere.close)
    return vsphere, RegistrationEngine(settings.engine, clock) if settings.engine else None


def assemble(foundation: Foundation, *, vsphere: Vsphere | None, engine: RegistrationSource | None) -> Registering:
    """Put together the sources that the settings name beside Kubernetes, and the RegisterVM caller."""
    cluster, clock, settings = foundation.cluster, foundation.clock, foundation.settings
    others: dict[Source, RegistrationSource | None] = {Source.VCENTER: None, Source.ENGINE: engine}
    trigger = None
    attempts = Attempts(cluster=cluster, clock=clock, velero_namespace=foundation.velero_namespace)
    tracker = AttemptTracker(
        cluster=cluster,
        clock=clock,
        attempts=attempts,
        register=vsphere.register_vm if vsphere else None,
        holder=uuid4().hex,
    )
    if vsphere:
        views, in_vcenter = _looks(foundation, vsphere)
        others[Source.VCENTER] = VCenterRegistration(looks=in_vcenter, clock=clock)
        trigger = Trigger(
            clock=clock,
            tracker=tracker,
            attempts=attempts,
            looks=in_vcenter,
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


def looks(foundation: Foundation, vsphere: Vsphere | None) -> VsphereLooks | None:
    """Return looks at the VMs in vCenter; None where the settings name none."""
    return _looks(foundation, vsphere)[1] if vsphere else None


def _looks(foundation: Foundation, vsphere: Vsphere) -> tuple[SupervisorViews, VsphereLooks]:
    views = SupervisorViews(cluster=foundation.cluster, generation=foundation.capabilities.generation)
    return views, VsphereLooks(inventory=vsphere.inventory, supervisor=views.look)


def questions(
    foundation: Foundation, *, vsphere: Vsphere | None, engine: RegistrationSource | None
) -> Mapping[str, Callable[[], str]]:
    """Return a question for each server that the settings name beside the cluster and its buckets, for `doctor`."""

    def ask(source: RegistrationSource) -> str:
        source.observe(foundation.velero_namespace, [ExpectedVm(name=PLUGIN_NAME)])  # no VM, so any answer will do
        return ""

    by_server: dict[str, Callable[[], str]] = {}
    if vsphere is not None:
        by_server["vCenter"] = vsphere.inventory.about
    if engine is not None:
        by_server["registration engine"] = partial(ask, engine)
    return by_server
