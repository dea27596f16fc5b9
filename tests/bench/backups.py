"""A real Velero's backup of what is none of our business, with our plugin and without; and the memory in use after it.

Two servers of one version on one stack, both with velero-plugin-for-aws, one with our plugin beside it, take turns
at backing up the same ConfigMaps. Velero's own timestamps are whole seconds, so the time is taken here, from the
creation of the Backup until the API announces that it is Completed.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernetes.config import new_client_from_config
from kubernetes.dynamic import DynamicClient

from tests.bench.hot_sidecar import serve, start
from tests.bench.processes import Executions, resident_mebibytes
from tests.bench.table import Row
from tests.e2e.build import binary
from tests.e2e.sidecar import LAUNCHER
from tests.e2e.stack import Stack
from tests.e2e.velero import AWS_PLUGIN, FINAL_PHASES
from tests.rpc.velero_host import PluginProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import Process
    from tests.e2e.velero import VeleroServer

VELERO = "1.18.2"
_SPACE = "many"
_DEADLINE_SECONDS = 180
_EXECUTED = '"call":"backup Execute"'
"""Every action of ours logs what it did with an item, and every such line names the call."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Two servers, and the sidecar of one of them."""

    alone: VeleroServer
    with_ours: VeleroServer
    sidecar: Process
    idle_mebibytes: float
    """What the sidecar held before Velero knew it."""


def measure(*, backups: int, config_maps: int) -> list[Row]:
    """Run the backups by both servers, in turns; return the rows of (b) and (d)."""
    with stage() as both:
        both.alone.cluster.namespace(_SPACE)
        both.alone.cluster.create(*(config_map(_SPACE, number) for number in range(config_maps)))
        clock = BackupClock(both.alone.cluster.kubeconfig, _SPACE, at_least=config_maps)
        launches = Executions(both.with_ours.plugins / LAUNCHER)
        warm_up(clock, both)
        before = launches.count
        ours, theirs = in_turns(clock, both, backups)
        launched = (launches.count - before) / backups
        if not launched:
            raise AssertionError("a backup without a single launch of our plugin: it was not installed")
        measured = f"Velero {VELERO}: backup of {config_maps:,} ConfigMaps, median of {backups}"
        backup = Row(part="b", measured=measured, ours=ours, theirs=theirs, unit="s", peer="Velero without our plugin")
        return [backup, *_call_rows(both, launched), *_memory_rows(both)]


def warm_up(clock: BackupClock, both: Stage) -> None:
    """Back up once with each server: the first backup of a server reads what the later ones remember."""
    for server in (both.with_ours, both.alone):
        clock.time(server, "warm-up")


def in_turns(clock: BackupClock, both: Stage, backups: int) -> tuple[float, float]:
    """Back up so often with each server, neither always first; return the median seconds with ours and without."""
    servers = (both.with_ours, both.alone)
    for number in range(backups):
        for server in servers[:: -1 if number % 2 else 1]:
            clock.time(server, f"round-{number}")
    ours, theirs = (statistics.median(clock.taken[server.namespace][-backups:]) for server in servers)
    return ours, theirs


@contextmanager
def stage() -> Iterator[Stage]:
    """Run both servers on one stack for the length of a block, and the sidecar of one of them."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        stack = Stack(Path(name))
        sidecar: Process | None = None
        try:
            stack.start()
            alone, with_ours = stack.velero(VELERO, name="alone"), stack.velero(VELERO, name="with-ours")
            kubeconfig = stack.cluster.kubeconfig
            sidecar = serve(with_ours.plugins, kubeconfig=kubeconfig, namespace=with_ours.namespace)
            start(sidecar)
            idle = resident_mebibytes(sidecar.pid)
            alone.start()
            with_ours.start()
            yield Stage(alone=alone, with_ours=with_ours, sidecar=sidecar, idle_mebibytes=idle)
        finally:
            stack.stop()
            if sidecar is not None:
                sidecar.stop()


class BackupClock:
    """Creates Backups and measures how long they take, in seconds by the server's namespace."""

    def __init__(self, kubeconfig: Path, namespace: str, *, at_least: int) -> None:
        cache = str(kubeconfig.with_name("bench-discovery.json"))
        client = DynamicClient(new_client_from_config(str(kubeconfig)), cache_file=cache)
        self._backups = client.resources.get(api_version="velero.io/v1", kind="Backup")
        self._namespace = namespace
        self._at_least = at_least
        self.taken: dict[str, list[float]] = {}

    def time(self, server: VeleroServer, name: str) -> None:
        """Back the namespace up; raises if that did not end Completed and whole."""
        body = {
            "apiVersion": "velero.io/v1",
            "kind": "Backup",
            "metadata": {"name": name, "namespace": server.namespace},
            "spec": {"includedNamespaces": [self._namespace], "storageLocation": server.location, "ttl": "24h0m0s"},
        }
        began = time.perf_counter()
        created = self._backups.create(body=body)
        status = self._over(created.metadata, server.namespace)
        ended = time.perf_counter()
        if status["phase"] != "Completed" or status["progress"]["itemsBackedUp"] < self._at_least:
            raise AssertionError(f"backup {name} of {server.namespace} ended as {status}")
        self.taken.setdefault(server.namespace, []).append(ended - began)

    def _over(self, created: Any, namespace: str) -> Any:
        """Follow the Backup until it is over and return its status."""
        since = created.resourceVersion
        watched = self._backups.watch(
            namespace=namespace, name=created.name, resource_version=since, timeout=_DEADLINE_SECONDS
        )
        for event in watched:
            status = event["raw_object"].get("status", {})
            if status.get("phase") in FINAL_PHASES:
                return status
        raise AssertionError(f"backup {created.name} of {namespace} was not over after {_DEADLINE_SECONDS} s")


def config_map(namespace: str, number: int) -> dict[str, Any]:
    """Return a small ConfigMap, none of our business."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"settings-{number:05}", "namespace": namespace},
        "data": {"colour": "green", "number": str(number)},
    }


def _call_rows(stage: Stage, launched: float) -> list[Row]:
    executed = stage.sidecar.log.read_text().count(_EXECUTED)
    return [
        Row(part="b", measured="our Execute calls in all of these backups", ours=executed, target=0),
        Row(part="b", measured="launches of our plugin for each backup", ours=launched, target=1),
    ]


def _memory_rows(stage: Stage) -> list[Row]:
    with PluginProcess(binary(AWS_PLUGIN)) as plugin:
        plugin.list_plugins()
        aws = resident_mebibytes(plugin.pid)
    server = resident_mebibytes(stage.with_ours.process.pid)
    after = resident_mebibytes(stage.sidecar.pid)

    def row(moment: str, ours: float, peer: str, theirs: float) -> Row:
        return Row(
            part="d", measured=f"memory of the sidecar, {moment}", ours=ours, theirs=theirs, unit="MiB", peer=peer
        )

    return [
        row("idle", stage.idle_mebibytes, AWS_PLUGIN, aws),
        row("idle", stage.idle_mebibytes, "velero server after (b)", server),
        row("after (b)", after, AWS_PLUGIN, aws),
        row("after (b)", after, "velero server after (b)", server),
    ]
