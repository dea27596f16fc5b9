"""Launching: what Velero pays each time it starts a plugin process, which it does all day.

A round launches our launcher, answered by a sidecar that runs already, and velero-plugin-for-aws, which every
Velero on S3 has; the same code measures both. A cycle is what Velero's server does at its start: execute, read the
handshake, connect, check health, open the two streams, list the plugins, Shutdown, hang up, wait for the end. The
client is Python, and slower than Velero's: that part is the same for both, and makes our ratio look worse.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.bench.hot_sidecar import hot_sidecar
from tests.bench.processes import cpu_seconds
from tests.bench.table import Row
from tests.e2e.build import binary
from tests.e2e.velero import AWS_PLUGIN
from tests.rpc.velero_host import ENVIRONMENT, SERVER_ARGUMENTS
from tests.waiting import wait_until
from velero_vmservice.pb import go_plugin_pb2, go_plugin_pb2_grpc
from velero_vmservice.pb import velero_generated_pb2 as generated
from velero_vmservice.pb import velero_generated_pb2_grpc as generated_services

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.bench.hot_sidecar import HotSidecar

HANDSHAKE_TARGET = 0.15
CYCLE_TARGET = 0.3

_WARM_UP = 3
_REST_SECONDS = 0.2
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One launch, in seconds: up to the handshake, up to the process' end, and the processor time it used."""

    handshake: float
    whole: float
    cpu: float


def measure(rounds: int) -> list[Row]:
    """Launch both, in turns."""
    with hot_sidecar() as sidecar:
        peer = binary(AWS_PLUGIN)
        environment = os.environ | ENVIRONMENT | {"TMPDIR": str(sidecar.directory)}
        ours: list[Cycle] = []
        theirs: list[Cycle] = []
        for number in range(_WARM_UP + rounds):
            if number == _WARM_UP:
                sidecar_before = cpu_seconds(sidecar.process.pid)
                ours.clear()
                theirs.clear()
            _rest(sidecar)
            ours.append(cycle(sidecar.launcher, environment))
            _rest(sidecar)
            theirs.append(cycle(peer, environment))
        _rest(sidecar)
        sidecar_cpu = cpu_seconds(sidecar.process.pid) - sidecar_before
    return _rows(ours, theirs, sidecar_cpu=sidecar_cpu / rounds)


def cycle(command: Path, environment: Mapping[str, str]) -> Cycle:
    """Launch a plugin process, do what Velero does with it, and see it end by itself; raises if it misbehaves."""
    out, their_out = os.pipe()
    err, their_err = os.pipe()
    started = time.perf_counter()
    pid = os.posix_spawn(
        command,
        [os.fspath(command), *SERVER_ARGUMENTS],
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, their_out, 1), (os.POSIX_SPAWN_DUP2, their_err, 2)],
    )
    os.close(their_out)
    os.close(their_err)
    line = os.read(out, _LONGEST_LINE).decode()
    handshake = time.perf_counter()
    if not (line.startswith("1|2|unix|/") and line.endswith("\n")):
        raise AssertionError(f"{command.name} answered {line!r}")
    _converse(line.split("|")[3])
    _, status, used = os.wait4(pid, 0)
    ended = time.perf_counter()
    os.close(out)
    os.close(err)
    if status:
        raise AssertionError(f"{command.name} ended with status {status}")
    return Cycle(handshake=handshake - started, whole=ended - started, cpu=used.ru_utime + used.ru_stime)


def _converse(address: str) -> None:
    """Connect, check, open the streams, list, shut down, hang up."""
    over = threading.Event()

    def silent() -> Iterator[go_plugin_pb2.ConnInfo]:
        over.wait()
        yield from ()

    with grpc.insecure_channel(f"unix:{address}") as channel:
        check = health_pb2.HealthCheckRequest(service="plugin")
        health = health_pb2_grpc.HealthStub(channel).Check(check, timeout=10)
        _streams = (
            go_plugin_pb2_grpc.GRPCBrokerStub(channel).StartStream(silent()),
            go_plugin_pb2_grpc.GRPCStdioStub(channel).StreamStdio(Empty()),
        )
        listed = generated_services.PluginListerStub(channel).ListPlugins(generated.Empty(), timeout=10)
        if health.status != health_pb2.HealthCheckResponse.SERVING or not listed.plugins:
            raise AssertionError(f"no healthy plugins at {address}")
        with contextlib.suppress(grpc.RpcError):  # a Go plugin may be gone before it has answered; Velero ignores it
            go_plugin_pb2_grpc.GRPCControllerStub(channel).Shutdown(go_plugin_pb2.Empty(), timeout=10)
        over.set()


def _rest(sidecar: HotSidecar) -> None:
    """Let what a launch leaves behind be over, for both alike: the ended session, and the next one being made."""
    wait_until(lambda: sidecar.sessions <= 1, 10, "the ended session is gone")
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
            median(one.handshake for one in ours),
            median(one.handshake for one in theirs),
            HANDSHAKE_TARGET,
        ),
        row(
            f"launch, health, list, shutdown, exit, median of {rounds}",
            median(one.whole for one in ours),
            median(one.whole for one in theirs),
            CYCLE_TARGET,
        ),
        row(
            "processor time of one such cycle, mean (ours: launcher and sidecar)",
            statistics.fmean(one.cpu for one in ours) + sidecar_cpu,
            statistics.fmean(one.cpu for one in theirs),
        ),
    ]
