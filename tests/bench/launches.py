"""Launching: what Velero pays each time it starts a plugin process, which it does all day.

A round launches our launcher, answered by a sidecar that runs already, and velero-plugin-for-aws, which every Velero
on S3 has. The clock is `plugin_host.go`: go-plugin and Velero's own framework, as in the Velero of the other benches.
A Python client would add some 10 ms of its own to both. A cycle is a discovery: execute, handshake, connect (the two
streams included), health, list, Shutdown, the process' end.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.hot_sidecar import hot_sidecar
from tests.bench.processes import cpu_seconds
from tests.bench.table import Row
from tests.e2e.build import Tool, binary, build
from tests.e2e.velero import AWS_PLUGIN
from tests.rpc.velero_host import SERVER_ARGUMENTS
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HANDSHAKE_TARGET = 0.15
CYCLE_TARGET = 0.3

_HOST = Tool(name="plugin-host", module="velero118", package=str(Path(__file__).with_name("plugin_host.go")))
_WARM_UP = 3
_REST_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One launch, in seconds: up to the handshake, up to the process' end, and the processor time it used."""

    handshake: float
    whole: float
    cpu: float


def measure(rounds: int) -> list[Row]:
    """Launch both, in turns, and let both rest between."""
    build_host()
    peer = binary(AWS_PLUGIN)
    with hot_sidecar() as sidecar, host(sidecar.directory, {}) as launch:

        def rested(program: Path) -> Cycle:
            rest(sidecar.plugins)
            return launch(program)

        for program in (sidecar.launcher, peer) * _WARM_UP:
            rested(program)
        sidecar_before = cpu_seconds(sidecar.process.pid)
        ours, theirs = zip(*((rested(sidecar.launcher), rested(peer)) for _ in range(rounds)), strict=True)
        rest(sidecar.plugins)
        sidecar_cpu = cpu_seconds(sidecar.process.pid) - sidecar_before
    return _rows(ours, theirs, sidecar_cpu=sidecar_cpu / rounds)


def build_host() -> None:
    """Build what launches plugins as Velero does."""
    build(_HOST)


@contextmanager
def host(directory: Path, environment: Mapping[str, str]) -> Iterator[Callable[[Path], Cycle]]:
    """Run the host for the length of a block; yields what launches a program there, once."""
    command = [binary(_HOST.name), *SERVER_ARGUMENTS]
    variables = {"TMPDIR": str(directory), **environment}  # where plugins make their sockets
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
        requests, answers = host.stdin, host.stdout
        assert requests is not None
        assert answers is not None

        def launch(program: Path) -> Cycle:
            requests.write(f"{program}\n")
            requests.flush()
            answer = answers.readline()
            if not answer:
                raise AssertionError(f"{program.name} was not launched; the reason stands above")
            return Cycle(**json.loads(answer))

        yield launch


def rest(plugins: Path) -> None:
    """Let what a launch leaves behind be over, for both alike: the ended session, and the next one being made."""
    wait_until(lambda: len(list(plugins.glob("s-*.sock"))) <= 1, 10, "the ended session is gone")
    time.sleep(_REST_SECONDS)


def _rows(ours: Sequence[Cycle], theirs: Sequence[Cycle], *, sidecar_cpu: float) -> list[Row]:
    def row(measured: str, our_seconds: float, their_seconds: float, target: float | None = None) -> Row:
        return Row(
            part="a",
            measured=measured,
            ours=our_seconds * 1000,
            theirs=their_seconds * 1000,
            unit="ms",
            peer=AWS_PLUGIN,
            target=target,
        )

    rounds = len(ours)
    median = statistics.median
    return [
        row(
            f"exec → handshake, median of {rounds}",
            median(launch.handshake for launch in ours),
            median(launch.handshake for launch in theirs),
            HANDSHAKE_TARGET,
        ),
        row(
            f"launch, health, list, shutdown, exit, median of {rounds}",
            median(launch.whole for launch in ours),
            median(launch.whole for launch in theirs),
            CYCLE_TARGET,
        ),
        row(
            "processor time of one such cycle, mean (ours: launcher and sidecar)",
            statistics.fmean(launch.cpu for launch in ours) + sidecar_cpu,
            statistics.fmean(launch.cpu for launch in theirs),
        ),
    ]
