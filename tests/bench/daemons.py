"""The daemon of the self-contained plugin: what copying it, its start, a launch and its rest cost.

The bundle is copied as the init container copies it. A cold launch finds no daemon and starts one; a hot one finds it.
Both are launched by Velero's own code, see `launches`.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.hot_sidecar import CHECKED, VELERO_NAMESPACE
from tests.bench.launches import HANDSHAKE_TARGET, build_host, host, rest
from tests.bench.processes import cpu_seconds, resident_mebibytes
from tests.bench.table import Row
from tests.e2e.build import binary
from tests.e2e.containers import bundle
from tests.e2e.processes import run_command
from tests.e2e.sidecar import LAUNCHER
from tests.e2e.velero import AWS_PLUGIN
from tests.emulator.kubernetes.kmock_api import emulated_api
from tests.rpc.runtimes import daemons, keepers
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.launches import Cycle

    Launch = Callable[[Path], Cycle]

COLD_SECONDS = 2.0
COPIED_MEGABYTES = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A launch that started the daemon, in seconds: up to the handshake; the processor time of the start."""

    handshake: float
    cpu: float


def measure(*, colds: int, rounds: int, idle_seconds: float) -> list[Row]:
    """Copy the bundle, launch it cold and hot, and let its daemon rest."""
    build_host()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, emulated_api() as api:
        directory = Path(name)
        plugins = directory / "plugins"
        copies = [_copied(plugins) for _ in range(colds)]
        environment = {
            "KUBECONFIG": str(api.kubeconfig(directory / "kubeconfig")),
            "VMSERVICE_VELERO_NAMESPACE": VELERO_NAMESPACE,
            "VMSERVICE_METRICS__ADDRESS": "127.0.0.1:0",
        }
        with host(directory, environment) as launch:
            try:
                cold = [_cold(launch, plugins) for _ in range(colds)]
                hot, peers = _hot(launch, plugins, rounds)
                rest(plugins)
                idle = _idle(plugins, idle_seconds)
            finally:
                _end(plugins)
        size = sum(path.stat().st_size for path in plugins.rglob("*") if path.is_file()) / 1e6
    return [*_rows_of_copy(copies, size), *_rows_of_launches(cold, hot, peers), *idle]


def _copied(plugins: Path) -> float:
    shutil.rmtree(plugins, ignore_errors=True)
    plugins.mkdir()
    begun = time.monotonic()
    run_command([bundle() / LAUNCHER, "run", "install", plugins])
    return time.monotonic() - begun


def _cold(launch: Launch, plugins: Path) -> Start:
    """Launch with no daemon, and wait until the one that was started has done the last thing it does unasked."""
    _end(plugins)
    log = plugins / f"{LAUNCHER}.log"
    log.unlink(missing_ok=True)
    cycle = launch(plugins / LAUNCHER)
    wait_until(lambda: CHECKED in log.read_text(), 30, "the daemon has looked at the cluster")
    return Start(handshake=cycle.handshake, cpu=sum(map(cpu_seconds, daemons(plugins))))


def _hot(launch: Launch, plugins: Path, rounds: int) -> tuple[list[Cycle], list[Cycle]]:
    peer = binary(AWS_PLUGIN)
    ours, theirs = [], []
    for _ in range(rounds):
        for program, cycles in ((plugins / LAUNCHER, ours), (peer, theirs)):
            rest(plugins)
            cycles.append(launch(program))
    return ours, theirs


def _idle(plugins: Path, seconds: float) -> list[Row]:
    pids = [*keepers(plugins), *daemons(plugins)]
    before = sum(map(cpu_seconds, pids))
    time.sleep(seconds)
    used = sum(map(cpu_seconds, pids)) - before
    return [
        Row(part="h", measured=f"the daemon at rest: processor time in {seconds:.0f} s", ours=used, unit="s"),
        Row(part="h", measured="the daemon at rest: memory", ours=sum(map(resident_mebibytes, pids)), unit="MiB"),
    ]


def _end(plugins: Path) -> None:
    for pid in (*keepers(plugins), *daemons(plugins)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not daemons(plugins), 10, "the daemon has ended")


def _rows_of_copy(copies: list[float], size: float) -> list[Row]:
    median = statistics.median(copies)
    return [
        Row(part="h", measured=f"copying the plugin, median of {len(copies)}", ours=median, unit="s"),
        Row(part="h", measured="size of the copy", ours=size, unit="MB", target=COPIED_MEGABYTES),
    ]


def _rows_of_launches(cold: list[Start], hot: list[Cycle], peers: list[Cycle]) -> list[Row]:
    return [
        Row(
            part="h",
            measured=f"exec → handshake of a launch that starts the daemon, median of {len(cold)}",
            ours=statistics.median(start.handshake for start in cold),
            unit="s",
            target=COLD_SECONDS,
        ),
        Row(
            part="h",
            measured="processor time of the daemon's start, with its look at the cluster, median",
            ours=statistics.median(start.cpu for start in cold),
            unit="s",
        ),
        Row(
            part="h",
            measured=f"exec → handshake where the daemon runs, median of {len(hot)}",
            ours=statistics.median(cycle.handshake for cycle in hot) * 1000,
            unit="ms",
            peer=AWS_PLUGIN,
            theirs=statistics.median(cycle.handshake for cycle in peers) * 1000,
            target=HANDSHAKE_TARGET,
        ),
    ]
