"""Health and metrics of a process that serves Velero, asked over HTTP while launchers and calls come in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest

from tests.scraped import scrape
from tests.waiting import wait_until
from velero_vmservice.monitoring import endpoint
from velero_vmservice.monitoring.health import Health
from velero_vmservice.reachability import Reachability
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.rpc.velero_host import PluginProcess
    from velero_vmservice.rpc.control import PluginServer

BACKUP = {"metadata": {"namespace": "velero", "name": "nightly"}}


class Monitored:
    """The endpoint of one process, and what its answers rest on."""

    def __init__(self, bound: tuple[str, int], stores: Reachability) -> None:
        self.bound = bound
        self.stores = stores
        self.settings_problem = ""

    def ask(self, path: str) -> tuple[int, str]:
        host, port = self.bound
        try:
            with urlopen(f"http://{host}:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(name="monitored")
def _monitored(plugins: Path) -> Iterator[Monitored]:
    stores = Reachability()
    health = Health(plugins, settings_problem=lambda: monitored.settings_problem, stores=stores)
    with endpoint.serving("127.0.0.1:0", health) as bound:
        assert bound is not None
        monitored = Monitored(bound, stores)
        yield monitored


def test_a_process_that_serves_is_alive_and_ready(monitored: Monitored, server: PluginServer) -> None:
    assert server is not None
    assert monitored.ask("/healthz") == (200, "ok\n")
    assert monitored.ask("/readyz") == (200, "ok\n")


def test_a_process_that_has_stopped_is_not_alive(
    monitored: Monitored, serving: Callable[..., object], plugins: Path
) -> None:
    with serving():  # type: ignore[attr-defined] # a context manager
        assert monitored.ask("/healthz")[0] == 200
    assert not (plugins / "control.sock").exists()
    status, body = monitored.ask("/healthz")
    assert status == 503
    assert body == "the control socket does not answer: No such file or directory\n"


def test_an_outage_elsewhere_never_counts_against_the_process(monitored: Monitored, server: PluginServer) -> None:
    assert server is not None
    monitored.stores.failed("BackupStorageLocation velero/default", "unavailable")
    monitored.settings_problem = "invalid-settings"
    assert monitored.ask("/healthz") == (200, "ok\n")
    status, body = monitored.ask("/readyz")
    assert status == 503
    assert body.splitlines() == [
        "the settings in the cluster are not used [invalid-settings]",
        "BackupStorageLocation velero/default cannot be used [unavailable]",
    ]


def test_a_plugins_directory_without_the_launcher_is_not_ready(
    monitored: Monitored, server: PluginServer, plugins: Path
) -> None:
    assert server is not None
    (plugins / PLUGIN_NAME).unlink()
    assert monitored.ask("/healthz")[0] == 200
    assert monitored.ask("/readyz") == (
        503,
        "the launcher velero-plugin-for-vmservice is not installed in the plugins directory\n",
    )


def test_launches_and_calls_are_measured(
    monitored: Monitored, server: PluginServer, launch: Callable[[], PluginProcess]
) -> None:
    assert server is not None
    before = scrape(*monitored.bound)
    process = launch()
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "a"}}
    process.back_up(f"{PLUGIN_NAME}/capture", item, BACKUP)
    with pytest.raises(grpc.RpcError):
        process.back_up(f"{PLUGIN_NAME}/capture", item | {"data": {"do": "raise Forbidden"}}, BACKUP)
    during = scrape(*monitored.bound)
    process.shutdown()
    wait_until(
        lambda: scrape(*monitored.bound).value("vmservice_sessions") == before.value("vmservice_sessions"), 30, ""
    )
    assert _rise("vmservice_sessions", before, during) == 1
    assert _rise("vmservice_launch_duration_seconds_count", before, during) == 1
    assert 0 < _rise("vmservice_launch_duration_seconds_sum", before, during) < 30
    assert _rise("vmservice_call_duration_seconds_count", before, during, call="backup Execute") == 2
    assert _rise("vmservice_calls_failed_total", before, during, call="backup Execute", code="forbidden") == 1


def test_a_connection_that_is_no_launcher_is_a_failed_launch(
    monitored: Monitored, server: PluginServer, plugins: Path
) -> None:
    assert server is not None
    before = scrape(*monitored.bound)
    _say(plugins, b"GET / HTTP/1.1\r\n\r\n")
    after = scrape(*monitored.bound)
    assert _rise("vmservice_launches_failed_total", before, after) == 1
    monitored.ask("/healthz")
    assert _rise("vmservice_launches_failed_total", after, scrape(*monitored.bound)) == 0


def _say(plugins: Path, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(plugins / "control.sock"))
        connection.sendall(text)
        assert connection.recv(1) == b""


def _rise(name: str, before: object, after: object, **labels: str) -> float:
    return after.value(name, **labels) - before.value(name, **labels)  # type: ignore[attr-defined]


def test_the_command_serves_velero_and_prometheus(served_by_command: Callable[[str], Command]) -> None:
    command = served_by_command("127.0.0.1:0")
    host, _, port = command.line("metrics served")["endpoint"].rpartition(":")
    with urlopen(f"http://{host}:{port}/healthz", timeout=30) as answer:
        assert answer.read() == b"ok\n"
    assert scrape(host, int(port)).value("vmservice_build_info") == 1
    assert command.stop() == 0


def test_a_port_that_is_taken_keeps_no_command_from_serving(
    served_by_command: Callable[[str], Command], launch: Callable[[], PluginProcess]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = served_by_command(f"127.0.0.1:{other.getsockname()[1]}")
        assert command.line("metrics not served")["@level"] == "warn"
        assert launch().list_plugins()
        assert command.stop() == 0


class Command:
    """`velero-vmservice serve` beside an API server that is away."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def line(self, message: str) -> dict[str, str]:
        """Return the first line of its log with this message."""
        assert self._process.stderr is not None
        for written in self._process.stderr:
            line: dict[str, str] = json.loads(written)
            if line["@message"] == message:
                return line
        raise AssertionError(message)

    def stop(self) -> int:
        """Return the exit code after a SIGTERM."""
        self._process.terminate()
        assert self._process.stderr is not None
        self._process.stderr.read()
        return self._process.wait(30)


@pytest.fixture(name="served_by_command")
def _served_by_command(plugins: Path, tmp_path: Path) -> Iterator[Callable[[str], Command]]:
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "kubeconfig").write_text(KUBECONFIG, "utf-8")

    def start(address: str) -> Command:
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
            "VMSERVICE_VELERO_NAMESPACE": "velero",
            "VMSERVICE_METRICS__ADDRESS": address,
        }
        arguments = [sys.executable, "-m", "velero_vmservice.cli", "serve", "--plugins-dir", str(plugins)]
        started.append(subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE))
        return Command(started[-1])

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: away
contexts: [{name: away, context: {cluster: away, user: away}}]
clusters: [{name: away, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: away, user: {}}]
"""
