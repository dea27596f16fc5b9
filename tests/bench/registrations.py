"""Rounds of a restore that waits for the registration of its VMs, through each source and through all of them.

The product in this process on its own adapters: a real API server, the vCenter simulator and the reference engine.
Requests are counted by those who answer: the API server's audit log, the simulator, the engine. Each source is asked
by itself; a round of all is a whole one, as Progress begins it, with the observation that decisions rest on. Beside
them a bare client reads the same. Time between rounds passes on the product's clock only.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from tests.bench import bare_reads, hostile_folder
from tests.bench.registration_site import STARTED, USER, Site, standing
from tests.e2e import audit
from tests.emulator import machines
from tests.fakes.store import MemoryLocations, MemoryStore
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.adapters.vcenter import inventory as vcenter
from velero_vmservice.app import assemble
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.registration.sources import KubernetesRegistration, VCenterRegistration, VsphereLooks
from velero_vmservice.restore.replay.session import ROUND_SECONDS
from velero_vmservice.settings.reading import Settings
from velero_vmservice.settings.registration import RegistrationSettings
from velero_vmservice.vsphere.vm import SupervisorView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.hostile_folder import Memory
    from tests.bench.registration_site import Place
    from tests.e2e.audit import Request
    from tests.emulator.kubernetes.cluster import Object

TIMEOUT_SECONDS: Final = 15.0


class Case(StrEnum):
    """Who is asked, about VMs in which state."""

    KUBERNETES = "kubernetes"
    VCENTER = "vcenter"
    ENGINE = "engine"
    ALL = "all three"
    RESTORING = "all three, no VirtualMachine yet"
    REFUSED = "all three and trigger"
    """While VADP restores run, which the preflight refuses."""
    FOLLOWED = "all three and trigger, once RegisterVM was called for each"


@dataclass(frozen=True, kw_only=True)
class Size:
    """VMs of the two restores that are compared, and rounds of each case."""

    small: int
    large: int
    rounds: int
    hostile: int
    """VMs with garbage as record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round cost: seconds, and requests to each server."""

    seconds: float
    kubernetes: Sequence[Request]
    """Without those that look for which kinds are served, which is asked afresh once a minute."""
    vcenter: int
    vcenter_pages: int
    """Those of vCenter's that asked for a further page of an answer."""
    engine: int

    @property
    def requests(self) -> int:
        return len(self.kubernetes) + self.vcenter + self.engine

    @property
    def further_pages(self) -> int:
        return self.vcenter_pages + sum(request.is_further_page for request in self.kubernetes)


@dataclass(slots=True, kw_only=True)
class Wait:
    """The rounds of one restore, and the seconds in which a bare client reads what is read in them."""

    machines: int
    rounds: dict[Case, list[Round]] = field(default_factory=dict)
    bare: dict[Case, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The two restores that are compared, and a look at a hostile folder."""

    small: Wait
    large: Wait
    hostile: Memory


class HastenedClock(SystemClock):
    """The system's clock, which is ahead by the time between rounds that is not waited for."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def pass_round(self) -> None:
        self._ahead += ROUND_SECONDS + 0.5


def measure(size: Size) -> Waits:
    """Run the rounds of both restores, one after the other."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with standing() as site:
        small, large = (_Bench(site, site.place(count), size.rounds).wait() for count in (size.small, size.large))
        hostile = hostile_folder.measure(site, size.hostile)
    return Waits(small=small, large=large, hostile=hostile)


class _Bench:
    """One restore, asked about again and again."""

    def __init__(self, site: Site, place: Place, rounds: int) -> None:
        self._site = site
        self._place = place
        self._rounds = rounds
        self._clock = HastenedClock()
        self._cluster = KubernetesCluster(site.login(), timeout_seconds=TIMEOUT_SECONDS, clock=self._clock)
        self._vcenter = vcenter.connect(site.vcenter_settings, clock=self._clock)
        self._engine = RegistrationEngine(site.engine_settings, self._clock)
        self._wanted = [
            ExpectedVm(name=vm["metadata"]["name"], **_identity(vm["spec"])) for vm in place.virtual_machines
        ]
        self._wait = Wait(machines=len(place.virtual_machines))

    def wait(self) -> Wait:
        """Measure each case, in the order in which a restore comes through the states."""
        place, site = self._place, self._site
        kubernetes = KubernetesRegistration(cluster=self._cluster, clock=self._clock)
        looks = VsphereLooks(inventory=self._vcenter.inventory, supervisor=lambda *_: SupervisorView())
        folder = VCenterRegistration(looks=looks, clock=self._clock)
        reads = {
            Case.KUBERNETES: partial(bare_reads.kubernetes, site.writer, place.registered),
            Case.VCENTER: partial(bare_reads.vcenter, site.simulator, place.folder),
            Case.ENGINE: bare_reads.Engine(site.engine_settings, place.registered, self._wanted),
        }
        for case, source in ((Case.KUBERNETES, kubernetes), (Case.VCENTER, folder), (Case.ENGINE, self._engine)):
            ask = partial(source.observe, place.registered, self._wanted)
            self._measure(case, ask, reads[case])
        self._measure(Case.ALL, self._restore(place.registered), partial(_one_after_another, list(reads.values())))
        site.restores_run(place)
        self._measure(Case.RESTORING, self._restore(place.restoring))
        self._measure(Case.REFUSED, self._restore(place.restoring, mode="trigger"))
        restore = _restore(place.restoring, mode="trigger")
        site.restores_end(place, restore["metadata"]["uid"])
        self._measure(Case.FOLLOWED, self._restore(place.restoring, mode="trigger"))
        self._vcenter.close()
        return self._wait

    def _measure(self, case: Case, ask: Callable[[], Any], read: Callable[[], Any] | None = None) -> None:
        """Let rounds pass; the first, which logs in and looks for what is served, is not kept."""
        rounds = [self._round(ask, read, case) for _ in range(self._rounds + 1)]
        self._wait.rounds[case] = rounds[1:]

    def _round(self, ask: Callable[[], Any], read: Callable[[], Any] | None, case: Case) -> Round:
        site = self._site
        requests_before, engine = len(self._audited()), len(site.engine.questions)
        simulated, pages = site.simulator.requests()
        began = time.perf_counter()
        ask()
        seconds = time.perf_counter() - began
        simulated_then, pages_then = site.simulator.requests()
        finished = Round(
            seconds=seconds,
            kubernetes=[request for request in self._audited()[requests_before:] if not request.is_discovery],
            vcenter=simulated_then - simulated,
            vcenter_pages=pages_then - pages,
            engine=len(site.engine.questions) - engine,
        )
        if read is not None:
            began = time.perf_counter()
            read()
            self._wait.bare.setdefault(case, []).append(time.perf_counter() - began)
        self._clock.pass_round()
        return finished

    def _audited(self) -> Sequence[Request]:
        return audit.requests(self._site.cluster, USER)

    def _restore(self, namespace: str, *, mode: str = "observe") -> Callable[[], None]:
        """Begin a restore in a process of its own; return what asks for a round of it."""
        settings = Settings(
            velero_namespace=USER,
            registration=RegistrationSettings.model_validate({"sources": list(Case)[:3], "mode": mode}),
            vcenter=self._site.vcenter_settings,
            engine=self._site.engine_settings,
        )
        app = assemble(
            settings,
            cluster=self._cluster,
            locations=MemoryLocations({"default": MemoryStore()}),
            clock=self._clock,
            vsphere=self._vcenter,
            engine=self._engine,
        )
        restore = _restore(namespace, mode=mode)
        item = _group(namespace, [vm.name for vm in self._wanted])
        action = app.actions.restore["replay"]
        operation = action.execute(item, item, restore).operation_id

        def ask() -> None:
            progress = action.progress(operation, restore)
            if progress.completed or not progress.description.startswith("waiting: "):
                raise AssertionError(f"the restore does not wait: {progress}")

        return ask


def _one_after_another(reads: Sequence[Callable[[], Any]]) -> None:
    for read in reads:
        read()


def _identity(spec: Mapping[str, str]) -> dict[str, str]:
    return {"instance_uuid": spec["instanceUUID"], "bios_uuid": spec["biosUUID"]}


def _group(namespace: str, names: Sequence[str]) -> Object:
    """Return a group of all VMs, as a backup without a capture has it."""
    return machines.group("everybody", namespace=namespace, order=[[("VirtualMachine", name) for name in names]])


def _restore(namespace: str, *, mode: str) -> Object:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Restore",
        "metadata": {"name": f"{namespace}-{mode}", "namespace": USER, "uid": f"uid-{namespace}-{mode}"},
        "spec": {"backupName": namespace},
        "status": {"phase": "WaitingForPluginOperations", "startTimestamp": STARTED},
    }
