"""A waiting restore on a real API server: its requests, the time of its calls, its rounds and its memory.

The sidecar over its own sockets, called as Velero calls it: Execute for each item of a backup and of a restore into
another namespace, then rounds of Progress for each operation, one after the other. Requests are counted by the API
server's audit log. Beside the calls a bare client reads what a round has to read, with the same page size.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import crowds
from tests.bench.crowds import Crowd, Writer, collection
from tests.bench.hot_sidecar import serve, start
from tests.bench.processes import peak_mebibytes, reset_peak, resident_mebibytes
from tests.e2e import audit
from tests.e2e.sidecar import LAUNCHER
from tests.e2e.stack import Stack
from tests.emulator import machines
from tests.rpc.velero_host import PluginProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.audit import Request
    from tests.e2e.cluster import Cluster
    from tests.e2e.processes import Process
    from tests.e2e.velero import VeleroServer
    from tests.emulator.kubernetes.cluster import Object

VELERO: Final = "1.18.2"
USER: Final = "velero"
"""Namespace of the Velero that is not started, and the account of the sidecar beside it."""
PAUSE_SECONDS: Final = 5.5
"""Between two rounds. The plugin looks again 5 s after a look; Velero, which asks every 10 s, waits longer."""
_GIVEN_UP: Final = 8
_CAPTURE, _REPLAY = (f"velero-plugin-for-vmservice/{name}" for name in ("capture", "replay"))
_STARTED: Final = "2026-01-02T03:04:05Z"
_OBSERVED: Final = (
    crowds.VM,
    crowds.GROUP,
    crowds.SERVICE,
    crowds.CLAIM,
    "cnsregistervolumes",
    "services",
    "endpoints",
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is compared: requests at `small` with those at `large`; memory at `huge`; rounds that are measured."""

    small: Crowd
    large: Crowd
    huge: Crowd
    rounds: int


@dataclass(slots=True, kw_only=True)
class Wait:
    """What was measured of one restore."""

    crowd: Crowd
    rounds: list[Sequence[Request]] = field(default_factory=list)
    """The requests of each waiting round."""
    calls: list[list[float]] = field(default_factory=list)
    """Seconds of each Progress call of each waiting round."""
    lists: list[float] = field(default_factory=list)
    """Seconds in which a bare client reads what a round has to."""
    gets: list[float] = field(default_factory=list)
    """Seconds in which it reads one VM."""
    replaying: list[list[float]] = field(default_factory=list)
    """Seconds of each call of each round from the last VM's registration to the last object's replay."""
    while_backed_up: float = 0.0
    """MiB that the sidecar of the backup held at most."""
    while_reading: float = 0.0
    """The same of the sidecar of the restore in its first round, which reads the captures."""
    while_waiting: float = 0.0
    at_rest: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The three restores, and the memory of a Velero server that is not asked for anything."""

    small: Wait
    large: Wait
    huge: Wait
    velero: float


def measure(size: Size) -> Waits:
    """Run the three restores, one after the other."""
    with _stage() as stage:
        small, large = (_Bench(stage, crowd).wait(size.rounds) for crowd in (size.small, size.large))
        huge = _Bench(stage, size.huge).wait(size.rounds, replay=False)
        stage.idle.start()
        velero = resident_mebibytes(stage.idle.process.pid)
    return Waits(small=small, large=large, huge=huge, velero=velero)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The programs, and who writes into them."""

    cluster: Cluster
    writer: Writer
    plugins: Path
    kubeconfig: Path
    idle: VeleroServer
    """One that is not asked for anything; not started yet."""


@contextmanager
def _stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        stack = Stack(Path(name), audited=True)
        cluster = stack.cluster
        try:
            stack.start()
            server, idle = stack.velero(VELERO, name=USER), stack.velero(VELERO, name="idle")
            cluster.controller_manager.stop()  # it would unbind the claims: no volume is behind them
            yield Stage(
                cluster=cluster,
                writer=Writer(cluster),
                plugins=server.plugins,
                kubeconfig=server.kubeconfig,
                idle=idle,
            )
        finally:
            stack.stop()


class _Bench:
    """One backup of a crowd, and the restore that waits for it."""

    def __init__(self, stage: Stage, crowd: Crowd) -> None:
        self._stage = stage
        self._writer = stage.writer
        self._measured = Wait(crowd=crowd)
        self._source = f"crowd-{crowd.machines}"
        self._target = f"{self._source}-b"

    def wait(self, rounds: int, *, replay: bool = True) -> Wait:
        """Back up, bring the VMs back but for the last, wait for so many rounds, and let the restore end."""
        vms = self._measured.crowd.vms(self._source)
        self._writer.create("/api/v1/namespaces", map(machines.namespace, (self._source, self._target)))
        crowds.populate(self._writer, self._source, vms)
        late = set(self._measured.crowd.late)
        back = [crowds.restored(vm, n, self._target, paused=n in late) for n, vm in enumerate(vms)]
        crowds.populate(self._writer, self._target, back)
        for namespace in (self._source, self._target):
            self._writer.settle(collection(crowds.VM, namespace), len(vms))
        with self._sidecar() as (process, plugin):
            items = self._back_up(plugin)
            self._measured.while_backed_up = peak_mebibytes(process.pid)
        # another process: a restore is rarely asked about where its backup was made
        with self._sidecar() as (process, plugin):
            operations = [
                plugin.restore(_REPLAY, _bare(manifest), manifest, self._restore).operationID for manifest in items
            ]
            self._round(plugin, operations)
            self._measured.while_reading = peak_mebibytes(process.pid)
            reset_peak(process.pid)
            self._waiting(plugin, operations, rounds, compare=replay)
            self._measured.while_waiting = peak_mebibytes(process.pid)
            self._measured.at_rest = resident_mebibytes(process.pid)
            if replay:
                self._replaying(plugin, operations)
        return self._measured

    @contextmanager
    def _sidecar(self) -> Iterator[tuple[Process, PluginProcess]]:
        process = serve(self._stage.plugins, kubeconfig=self._stage.kubeconfig, namespace=USER)
        try:
            start(process)
            with PluginProcess(self._stage.plugins / LAUNCHER) as plugin:
                yield process, plugin
        finally:
            process.stop()
            process.log.unlink()  # a start is known by its line in the log

    @property
    def _backup(self) -> Object:
        return {
            "apiVersion": "velero.io/v1",
            "kind": "Backup",
            "metadata": {"name": self._source, "namespace": USER},
            "spec": {"includedNamespaces": [self._source], "storageLocation": "default"},
            "status": {"phase": "Completed", "startTimestamp": _STARTED},
        }

    @property
    def _restore(self) -> Object:
        return {
            "apiVersion": "velero.io/v1",
            "kind": "Restore",
            "metadata": {"name": self._target, "namespace": USER, "uid": f"uid-{self._target}"},
            "spec": {"backupName": self._source, "namespaceMapping": {self._source: self._target}},
            "status": {"phase": "WaitingForPluginOperations", "startTimestamp": _STARTED},
        }

    def _back_up(self, plugin: PluginProcess) -> list[Object]:
        """Back every object up; return the items as they are in the backup."""
        (backup,) = self._writer.create(collection("backups", USER), [self._backup])
        by_kind = list(self._measured.crowd.objects(self._source))
        items = [
            item
            for plural in (crowds.GROUP, crowds.SERVICE)
            for item in self._writer.create(
                collection(plural, self._source), (backed_up for kind, backed_up in by_kind if kind == plural)
            )
        ]
        return [plugin.back_up(_CAPTURE, item, backup)[0] for item in items]

    def _waiting(self, plugin: PluginProcess, operations: Sequence[str], rounds: int, *, compare: bool) -> None:
        bounds: list[str] = []
        for _ in range(rounds):
            bounds.append(_now())
            self._measured.calls.append(self._round(plugin, operations, compare=compare))
        bounds.append(_now())
        requests = audit.requests(self._stage.cluster, USER)
        self._measured.rounds = [
            [request for request in requests if first <= request.received < last]
            for first, last in itertools.pairwise(bounds)
        ]
        if not all(self._measured.rounds):
            raise AssertionError("a waiting round without a request: the restore did not wait, or was not audited")

    def _replaying(self, plugin: PluginProcess, operations: Sequence[str]) -> None:
        """Bring the last VMs back and ask until every object is replayed."""
        crowds.release(self._writer, self._target, self._measured.crowd.late)
        for _ in range(_GIVEN_UP):
            self._measured.replaying.append(self._round(plugin, operations))
            if self._replayed() == len(operations):
                return
        raise AssertionError(f"{self._replayed()} of {len(operations)} objects replayed after {_GIVEN_UP} rounds")

    def _replayed(self) -> int:
        return sum(self._writer.list(collection(plural, self._target)) for plural in (crowds.GROUP, crowds.SERVICE))

    def _round(self, plugin: PluginProcess, operations: Sequence[str], *, compare: bool = False) -> list[float]:
        """Ask for each operation, one after the other, as Velero does; return the seconds of each call."""
        calls = []
        for operation in operations:
            began = time.perf_counter()
            plugin.restore_progress(_REPLAY, operation, self._restore)
            calls.append(time.perf_counter() - began)
        over = time.perf_counter() + PAUSE_SECONDS
        if compare:
            self._compare()
        time.sleep(max(0.0, over - time.perf_counter()))
        return calls

    def _compare(self) -> None:
        began = time.perf_counter()
        for plural in _OBSERVED:
            self._writer.list(collection(plural, self._target))
        listed = time.perf_counter()
        self._writer.get(f"{collection(crowds.VM, self._target)}/machine-00001")
        self._measured.lists.append(listed - began)
        self._measured.gets.append(time.perf_counter() - listed)


def _bare(item: Object) -> Object:
    """Return what Velero hands a restore action: without what the API server and the controllers own."""
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: value for key, value in item["metadata"].items() if key in kept}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata, "spec": item["spec"]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
