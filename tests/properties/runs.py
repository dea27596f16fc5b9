"""One restore of an application, watched at every call that leaves the process, through crashes and outages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.properties.applications import VMS
from tests.unit.power import SET_AT
from tests.unit.world import World
from velero_vmservice.errors import Unavailable
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VIRTUAL_MACHINE, condition, is_true

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.properties.applications import Application
    from tests.unit.builders import Json

READS = ("get", "list", "exists", "open", "served_versions", "serves_group", "plural")
WRITES = ("create", "dry-run create", "patch", "dry-run patch", "event", "put")
ROUNDS = 80
SETTLED = 30
"""Seconds after a crash or an outage in which a process may not have looked at everything twice."""


class Crash(BaseException):
    """The process dies here: nothing may catch it."""


@dataclass(frozen=True)
class Fate:
    """What happens to one restore."""

    registered: Mapping[str, int] = field(default_factory=dict)
    """The round in which RegisterVM makes each VM; it is paused at first."""
    released: Mapping[str, int] = field(default_factory=dict)
    """How many rounds later the pause is taken away."""
    crashes: frozenset[int] = frozenset()
    """Numbers of the calls to the outside at which the process dies."""
    cluster_away: frozenset[int] = frozenset()
    store_away: frozenset[int] = frozenset()
    """Rounds in which no source answers."""
    second: frozenset[int] = frozenset()
    """Rounds in which another process is asked, which lives beside the first."""


def fates(*, processes: int = 1) -> st.SearchStrategy[Fate]:
    counts = st.fixed_dictionaries({name: st.integers(0, 6) for name in VMS})
    rounds = st.frozensets(st.integers(0, 8), max_size=3)
    return st.builds(
        Fate,
        registered=counts,
        released=counts,
        crashes=st.frozensets(st.integers(0, 250), max_size=12),
        cluster_away=rounds,
        store_away=rounds,
        second=st.frozensets(st.integers(0, 20)) if processes > 1 else st.just(frozenset()),
    )


class Run:
    """One restore from Execute to its last operation."""

    def __init__(self, application: Application, fate: Fate) -> None:
        self.application, self.fate, self.world = application, fate, World()
        self.watching, self.count, self.now, self.disturbed_at = True, 0, -1, float("-inf")
        self.ready_since: dict[str, float] = {}
        self.created: list[str] = []
        self.errors: list[str] = []
        machines, objects = application.machines(), application.objects()
        self.items = self.world.back_up(*machines, *objects)
        lost = [vm for vm in machines if vm["metadata"]["name"] not in application.kept]
        self.world.lose(*lost, *objects)
        self.world.cluster.seed(*application.there_before())
        self.world.vm_operator()
        self.ready_since = dict.fromkeys(application.kept, float("-inf"))
        self.world.cluster.calls.made.clear()
        self.apps = [self.world.app, self.world.start()]
        for calls in (self.world.cluster.calls, self.world.store.calls, self.world.locations.calls):
            for method in (*READS, *WRITES):
                calls.before(method, lambda subject, m=method, c=calls: self._watch(c, m, subject))

    # What is watched.

    def _watch(self, calls: object, method: str, subject: str) -> None:
        if not self.watching:
            return
        self.count += 1
        if self.count in self.fate.crashes:
            raise Crash
        if calls is self.world.cluster.calls:
            if self.now in self.fate.cluster_away:
                self.disturbed_at = self.world.clock.monotonic()
                raise Unavailable("the API server is away")
        elif self.now in self.fate.store_away:
            self.disturbed_at = self.world.clock.monotonic()
            raise Unavailable("s3 is away")
        self.watching = False
        if method == "create":
            self._check_create(*_parted(subject))
            self.created.append(subject)
        if method == "patch":
            self._check_patch(*_parted(subject))
        self.watching = True

    def _check_create(self, kind: str, name: str) -> None:
        app, now = self.application, self.world.clock.monotonic()
        for machine in app.needed() if app.strict else app.needs(name):
            assert machine in self.ready_since, f"{name} came before {machine}"
            assert now - self.ready_since[machine] >= 5, f"{name} came before the gate of {machine} was open for long"
        if kind == "VirtualMachineGroup" and (parent := app.parents[name]):
            assert self.world.exists(kind, parent), f"{name} came before its parent"
        if kind == "VirtualMachineService" and now - self.disturbed_at > SETTLED:
            for of in {app.grouped[machine] for machine in app.needs(name)} - {""}:
                if not self._is_stuck(of):
                    assert self.world.exists("VirtualMachineGroup", of), f"{name} came before the group {of}"

    def _is_stuck(self, name: str) -> bool:
        """Say whether a group, or one above it, had a VM whose gate was shut at the last look."""
        now = self.world.clock.monotonic()
        machines = [
            machine for group_name in self.application.chain(name) for machine in self.application.members(group_name)
        ]
        return any(now - self.ready_since.get(machine, now) < 2 * SETTLED for machine in machines)

    def _check_patch(self, kind: str, name: str) -> None:
        app = self.application
        if name in app.different and app.policy["conflict"] == "update" and not self._is_updated(kind, name):
            return
        assert app.policy["power"] != "leave", f"power was asked of {name}, and this restore was not to ask"
        if kind == "VirtualMachine":
            assert name in app.needed(), f"{name} is none of this restore's"
            return
        for group_name in app.tree(name):
            live = self.world.live("VirtualMachineGroup", group_name)
            linked = {
                entry["name"] for entry in live.status.get("members", ()) if is_true(condition(entry, "GroupLinked"))
            }
            listed = {member["name"] for boot in live.spec.get("bootOrder", ()) for member in boot["members"]}
            assert linked == listed, f"power was asked of {name} before {group_name} was whole"

    def _is_updated(self, kind: str, name: str) -> bool:
        return "velero.io/restore-name" in self.world.live(kind, name).labels

    # What happens.

    def execute(self, item: Json) -> str:
        while True:
            try:
                return self.world.replay(item, **self.application.spec).operation_id
            except Crash:
                self._restart()

    def _restart(self) -> None:
        self.disturbed_at = self.world.clock.monotonic()
        self.apps[self.apps.index(self.world.app)] = fresh = self.world.start()
        self.world.app = fresh

    def finish(self) -> Run:
        open_ones = [self.execute(item) for item in self.items]
        for self.now in range(ROUNDS):
            self.world.clock.advance(10)
            self._arrive()
            self.world.app = self.apps[self.now in self.fate.second]
            for operation in list(open_ones):
                try:
                    progress = self.world.poll(operation, **self.application.spec)
                except Crash:
                    self._restart()
                    continue
                if progress.completed:
                    self.errors += [progress.error] if progress.error else []
                    open_ones.remove(operation)
            self._play()
            if not open_ones:
                return self
        raise AssertionError(
            [self.world.poll(open_operation, **self.application.spec).description for open_operation in open_ones]
        )

    def _arrive(self) -> None:
        for name in set(self.application.grouped) - self.application.kept:
            registered = self.fate.registered.get(name, 0)
            released = registered + self.fate.released.get(name, 0)
            if self.now == registered:
                self.world.cluster.seed(self.application.vm(name, uid=f"new-{name}", paused=True))
            if self.now == released:
                self.world.cluster.seed(self.application.vm(name, uid=f"new-{name}"))
                self.ready_since[name] = self.world.clock.monotonic()

    def _play(self) -> None:
        """Let VM Operator work: it is another process."""
        self.watching = False
        self.world.vm_operator()
        self.watching = True

    # How it ended.

    def objects(self) -> dict[str, Any]:
        self.watching = False
        manifests = [manifest for kind in CAPTURED_KINDS for manifest in self.world.cluster.list(kind, "shop")]
        return {
            manifest.name: (_timeless(manifest.spec), manifest.labels, _timeless(manifest.annotations))
            for manifest in manifests
        }

    def running(self) -> set[str]:
        self.watching = False
        machines = self.world.cluster.list(VIRTUAL_MACHINE, "shop")
        return {vm.name for vm in machines if vm.status.get("powerState") == "PoweredOn"}

    def report(self) -> Json:
        self.watching = False
        return self.world.document("restores/again/20260301T120000Z/report.json")

    def stages(self) -> dict[str, str]:
        return {result["name"]: result["stage"] for result in self.report()["objects"]}

    def methods(self) -> set[str]:
        """Return all that was called, from the backup on."""
        calls = (self.world.cluster.calls, self.world.store.calls, self.world.locations.calls)
        return {method for call in calls for method in call.counts}


def _parted(subject: str) -> tuple[str, str]:
    kind, _, name = subject.partition(" shop/")
    return kind, name


def _timeless(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out when power was set: it is another time in every run."""
    return {key: value for key, value in fields.items() if key not in (SET_AT, "nextForcePowerStateSyncTime")}
