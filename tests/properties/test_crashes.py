"""Whatever dies, and whenever: every run ends with the same objects, in order, each created once, none too early."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import group, service, vm
from tests.unit.world import World
from velero_vmservice.core.errors import Unavailable
from velero_vmservice.core.manifest import CAPTURED_KINDS

if TYPE_CHECKING:
    from tests.unit.builders import Json

NAMES = ["vm-1", "vm-2", "vm-3", "vm-4"]
GROUPS = {"a": ("b", ["vm-1"]), "b": ("c", ["vm-2", "vm-3"]), "c": ("", []), "d": ("", ["vm-4"])}
"""Each group's parent and machines."""
SERVICES = {"front": ["vm-1", "vm-2"], "back": ["vm-4"], "alone": []}
METHODS = ("get", "list", "create", "dry-run create", "served_versions", "event", "put", "exists", "open")
ROUNDS = 60


class Crash(BaseException):
    """The process dies here: nothing may catch it."""


@dataclass(frozen=True)
class Fate:
    """What happens to one restore."""

    registered: dict[str, int]
    """The round in which RegisterVM makes each machine; it is paused at first."""
    released: dict[str, int]
    """How many rounds later the pause is taken away."""
    crashes: frozenset[int]
    """Numbers of the calls to the outside at which the process dies."""
    cluster_away: frozenset[int]
    store_away: frozenset[int]
    """Rounds in which nobody answers."""


COUNTS = st.fixed_dictionaries({name: st.integers(0, 6) for name in NAMES})
FATES = st.builds(
    Fate,
    registered=COUNTS,
    released=COUNTS,
    crashes=st.frozensets(st.integers(0, 200), max_size=12),
    cluster_away=st.frozensets(st.integers(0, 8), max_size=3),
    store_away=st.frozensets(st.integers(0, 8), max_size=3),
)


class Run:
    """One restore, watched at every call that leaves the process."""

    def __init__(self, fate: Fate) -> None:
        self.fate, self.world = fate, World()
        self.watching, self.count, self.now = True, 0, -1
        self.ready_since: dict[str, float] = {}
        self.created: list[str] = []
        machines = [_machine(name, f"uid-of-{name}", paused=False) for name in NAMES]
        self.items = self.world.back_up(*machines, *OBJECTS)
        self.world.lose(*machines, *OBJECTS)
        for calls in (self.world.cluster.calls, self.world.store.calls, self.world.locations.calls):
            for method in METHODS:
                calls.before(method, lambda subject, m=method, c=calls: self._watch(c, m, subject))

    def _watch(self, calls: object, method: str, subject: str) -> None:
        if not self.watching:
            return
        self.count += 1
        if self.count in self.fate.crashes:
            raise Crash
        if calls is self.world.cluster.calls:
            if self.now in self.fate.cluster_away:
                raise Unavailable("the API server is away")
        elif self.now in self.fate.store_away:
            raise Unavailable("s3 is away")
        if method == "create":
            self._check(subject)
            self.created.append(subject)

    def _check(self, subject: str) -> None:
        kind, _, name = subject.partition(" shop/")
        members = GROUPS[name][1] if kind == "VirtualMachineGroup" else SERVICES[name]
        for machine in members:
            assert self.world.clock.monotonic() - self.ready_since[machine] >= 5, f"{subject} came before its gate"
        first = [GROUPS[name][0]] if kind == "VirtualMachineGroup" and GROUPS[name][0] else []
        if kind == "VirtualMachineService":
            first = [
                one for one, (_, machines) in GROUPS.items() if set(machines) & set(members) and not self._is_stuck(one)
            ]
        assert {f"VirtualMachineGroup shop/{one}" for one in first} <= set(self.created), f"{subject} came too early"

    def _is_stuck(self, name: str) -> bool:
        """Say whether a group, or one above it, had a machine whose gate was shut at the last look."""
        above, machines = GROUPS[name]
        now = self.world.clock.monotonic()
        shut = any(now - self.ready_since.get(machine, now) < 10 for machine in machines)
        return shut or (bool(above) and self._is_stuck(above))

    def execute(self, item: Json) -> str:
        while True:
            try:
                return self.world.replay(item).operation_id
            except Crash:
                self.world.restart()

    def finish(self) -> None:
        open_ones = [self.execute(item) for item in self.items]
        for self.now in range(ROUNDS):
            self.world.clock.advance(10)
            self._arrive()
            for operation in list(open_ones):
                try:
                    progress = self.world.poll(operation)
                except Crash:
                    self.world.restart()
                    continue
                assert progress.error == ""
                if progress.completed:
                    open_ones.remove(operation)
            self._play()
            if not open_ones:
                return
        raise AssertionError([self.world.poll(one).description for one in open_ones])

    def _arrive(self) -> None:
        for name in NAMES:
            registered = self.fate.registered[name]
            released = registered + self.fate.released[name]
            if self.now == registered:
                self.world.cluster.seed(_machine(name, f"new-{name}", paused=True))
            if self.now == released:
                self.world.cluster.seed(_machine(name, f"new-{name}", paused=False))
                self.ready_since[name] = self.world.clock.monotonic()

    def _play(self) -> None:
        """Let VM Operator work: it is another process."""
        self.watching = False
        self.world.vm_operator()
        self.watching = True

    def objects(self) -> dict[str, Any]:
        self.watching = False
        found = [one for kind in CAPTURED_KINDS for one in self.world.cluster.list(kind, "shop")]
        return {f"{one.kind_name} shop/{one.name}": (one.spec, one.labels, one.annotations) for one in found}


def _machine(name: str, uid: str, *, paused: bool) -> Json:
    labels = {one: "" for one, machines in SERVICES.items() if name in machines}
    (of,) = (one for one, (_, machines) in GROUPS.items() if name in machines)
    annotations = {"vmoperator.vmware.com/paused": ""} if paused else {}
    return vm(name, labels=labels, group=of, uid=uid, meta={"annotations": annotations})


OBJECTS: list[Json] = [
    *[
        group(name, machines, [f"/{child}" for child, (of, _) in GROUPS.items() if of == name], parent=parent)
        for name, (parent, machines) in GROUPS.items()
    ],
    *[service(name, {name: ""}) for name in SERVICES],
]
EXPECTED = {f"{one['kind']} shop/{one['metadata']['name']}" for one in OBJECTS}
LABELS = {"velero.io/backup-name": "nightly", "velero.io/restore-name": "again"}


@settings(max_examples=60)
@given(FATES)
def test_every_run_ends_alike(fate: Fate) -> None:
    run = Run(fate)
    run.finish()
    assert run.objects() == {
        f"{one['kind']} shop/{one['metadata']['name']}": (one["spec"], LABELS, {}) for one in OBJECTS
    }
    assert Counter(run.created) == Counter(EXPECTED)
    assert not run.world.cluster.calls.counts["patch"]
