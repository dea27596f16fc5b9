"""The HTTP endpoint, asked over HTTP; health itself is asked for in `tests/rpc/test_monitoring.py`."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from structlog.testing import capture_logs

from tests.scraped import parsed
from velero_vmservice.monitoring import endpoint
from velero_vmservice.monitoring.health import Health
from velero_vmservice.reachability import LATELY_SECONDS, Reachability

if TYPE_CHECKING:
    from collections.abc import Iterator

OVERLAY = Path(__file__).parents[3] / "charts" / "velero-values.yaml"


@pytest.fixture(name="health")
def _health(tmp_path: Path) -> Health:
    return Health(tmp_path, settings_problem=str, stores=Reachability())


@pytest.fixture(name="bound")
def _bound(health: Health) -> Iterator[tuple[str, int]]:
    with endpoint.serving("127.0.0.1:0", health) as bound:
        assert bound is not None
        yield bound


def ask(bound: tuple[str, int], path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(*bound, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_metrics_are_what_prometheus_reads(bound: tuple[str, int]) -> None:
    status, kind, body = ask(bound, "/metrics")
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    assert parsed(body).value("vmservice_build_info", version="0.1.0") == 1
    assert parsed(body).value("process_resident_memory_bytes") > 0
    assert "_created" not in body


def test_a_process_without_a_control_socket_says_so_to_both_probes(bound: tuple[str, int]) -> None:
    for path in ("/healthz", "/readyz"):
        status, _, body = ask(bound, path)
        assert status == 503
        assert "the control socket does not answer: No such file or directory" in body.splitlines()


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/healthz", "POST", 405)])
def test_anything_else_is_refused(bound: tuple[str, int], path: str, method: str, status: int) -> None:
    assert ask(bound, path, method)[0] == status


def test_a_port_that_is_taken_is_a_warning(health: Health) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with capture_logs() as lines, endpoint.serving(address, health) as bound:
            assert bound is None
    (line,) = [line for line in lines if line["event"] == "metrics not served"]
    assert line["log_level"] == "warning"
    assert line["endpoint"] == address
    assert line["cause"] == "Address already in use"


def test_an_empty_address_serves_nothing(health: Health) -> None:
    with capture_logs() as lines, endpoint.serving("", health) as bound:
        assert bound is None
    assert lines == []


def test_without_a_host_every_address_is_served(health: Health) -> None:
    with endpoint.serving(":0", health) as bound:
        assert bound is not None
        assert ask(("127.0.0.1", bound[1]), "/metrics")[0] == 200


def test_silent_clients_keep_no_other_from_an_answer(bound: tuple[str, int]) -> None:
    silent = [socket.create_connection(bound) for _ in range(endpoint.CONNECTIONS - 1)]
    try:
        assert ask(bound, "/metrics")[0] == 200
    finally:
        for connection in silent:
            connection.close()


def test_clients_that_drip_are_cut_off_and_keep_no_other_from_an_answer(health: Health) -> None:
    with endpoint.serving("127.0.0.1:0", health, connection_seconds=1.0) as bound:
        assert bound is not None
        dripping = [socket.create_connection(bound, timeout=30) for _ in range(endpoint.CONNECTIONS)]
        over = threading.Event()
        drips = threading.Thread(target=drip, args=(dripping, over))
        drips.start()
        try:
            assert {hung_up(connection) for connection in dripping} == {True}
            assert ask(bound, "/metrics")[0] == 200
        finally:
            over.set()
            drips.join()
            for connection in dripping:
                connection.close()


def drip(connections: list[socket.socket], over: threading.Event) -> None:
    """Send one byte of a request on each connection, again and again."""
    while not over.wait(0.1):
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"G")


def hung_up(connection: socket.socket) -> bool:
    """Say whether the other side ends a connection, unanswered or with the answer to a broken request."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            pass
    return True


def test_more_connections_than_are_served_are_closed(bound: tuple[str, int]) -> None:
    silent = [socket.create_connection(bound) for _ in range(endpoint.CONNECTIONS)]
    try:
        with socket.create_connection(bound, timeout=30) as one_more:
            assert one_more.recv(1) == b""
    finally:
        for connection in silent:
            connection.close()


def test_a_store_that_failed_lately_is_reported_until_it_answers() -> None:
    now = 0.0
    stores = Reachability(timer=lambda: now)
    stores.failed("BackupStorageLocation velero/default", "unavailable")
    assert stores.failures() == {"BackupStorageLocation velero/default": "unavailable"}
    stores.answered("BackupStorageLocation velero/default")
    assert stores.failures() == {}
    stores.failed("BackupStorageLocation velero/default", "forbidden")
    now = LATELY_SECONDS + 1
    assert stores.failures() == {}


def test_kubernetes_restarts_the_sidecar_by_its_control_socket_alone() -> None:
    containers = yaml.safe_load(OVERLAY.read_text())["initContainers"]
    sidecar = next(container for container in containers if container.get("restartPolicy") == "Always")
    assert sidecar["livenessProbe"]["exec"] == {"command": ["velero-vmservice", "probe", "/plugins"]}
    assert sidecar["startupProbe"]["exec"] == sidecar["livenessProbe"]["exec"]
    assert "readinessProbe" not in sidecar  # it would take Velero's own metrics out of their Service
