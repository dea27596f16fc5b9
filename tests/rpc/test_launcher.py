"""The launcher outlives a sidecar that is late, and no Velero."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rpc.velero_host import PluginProcess, StartError
from tests.waiting import wait_until
from velero_vmservice.rpc.handshake import FAREWELL
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIDECAR_DEAD, SOCKET_ABSENT, ACCESS_DENIED, NO_HANDSHAKE, LOCATION_UNKNOWN = 4, 3, 5, 6, 2


@pytest.fixture(name="control")
def _control(plugins: Path) -> Iterator[socket.socket]:
    """A control socket that the test itself answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plugins / "control.sock"))
        listener.listen()
        listener.settimeout(10)
        yield listener


def accept(control: socket.socket) -> socket.socket:
    connection, _ = control.accept()
    connection.settimeout(10)
    return connection


def start(command: Path, **options: int) -> subprocess.Popen[bytes]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([command, "--any", "argument"], **pipes | options)


def test_a_sidecar_that_is_late_goes_unnoticed(plugins: Path, serving: Callable[..., object]) -> None:
    with start(plugins / PLUGIN_NAME) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        with serving():
            assert waiting.stdout is not None
            assert waiting.stdout.readline().startswith(b"1|2|unix|")
            waiting.kill()


def test_a_sidecar_that_closes_before_the_handshake_is_asked_again(plugins: Path, control: socket.socket) -> None:
    with start(plugins / PLUGIN_NAME) as launcher:
        for half in (b"", b"1|2|unix|/half"):
            with accept(control) as connection:
                assert connection.recv(4096) == f"{plugins}\n".encode()
                connection.sendall(half)
        with accept(control) as connection:
            connection.sendall(b"the handshake\n")
            assert launcher.stdout is not None
            assert launcher.stdout.readline() == b"the handshake\n"
        assert launcher.wait(5) == 0


def test_lines_come_through_in_whatever_pieces(plugins: Path, control: socket.socket) -> None:
    with start(plugins / PLUGIN_NAME) as launcher, accept(control) as connection:
        assert launcher.stdout is not None
        connection.sendall(b"hand")
        connection.sendall(b"shake\nfirst ")
        assert launcher.stdout.readline() == b"handshake\n"
        with _sending(connection, b"line\n" + b"x" * 500_000 + b"\n" + FAREWELL):
            out, log = launcher.communicate(timeout=10)
    assert (out, launcher.returncode) == (b"", 0)
    assert log == b"first line\n" + b"x" * 500_000 + b"\n"


def test_a_session_cut_by_the_death_of_the_other_side_is_a_warning(plugins: Path, control: socket.socket) -> None:
    with start(plugins / PLUGIN_NAME) as launcher:
        with accept(control) as connection:
            assert connection.recv(4096) == f"{plugins}\n".encode()
            connection.sendall(b"handshake\n")
        _, lines = launcher.communicate(timeout=10)
    assert launcher.returncode == 0
    log = _as_velero_reads(lines)
    assert log["@level"] == "warn"
    assert "lost the process that serves it" in log["@message"]


def test_pipes_that_do_not_block_are_waited_for(plugins: Path, control: socket.socket) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with start(plugins / PLUGIN_NAME, stderr=writing) as launcher, accept(control) as connection:
        os.close(writing)
        with _sending(connection, b"handshake\n" + b"y" * 500_000 + b"\n" + FAREWELL), os.fdopen(reading, "rb") as log:
            assert log.read() == b"y" * 500_000 + b"\n"
        assert launcher.wait(5) == 0


@pytest.mark.parametrize(
    ("fault", "code", "excerpt"),
    [
        ("absent", SOCKET_ABSENT, "there is no such socket"),
        ("dead", SIDECAR_DEAD, "no process listens there"),
        ("silent", NO_HANDSHAKE, "accepted but began no session"),
        ("talkative", NO_HANDSHAKE, "accepted but began no session"),
    ],
)
def test_a_sidecar_that_never_comes_is_explained_in_one_line_of_velero_s_log(
    plugins: Path, impatient_launcher: Path, fault: str, code: int, excerpt: str
) -> None:
    path = plugins / "control.sock"
    with socket.socket(socket.AF_UNIX) as control:
        if fault != "absent":
            control.bind(str(path))
        if fault in {"silent", "talkative"}:
            control.listen()
        if fault == "talkative":
            threading.Thread(target=_babble, args=(control,), daemon=True).start()
        with start(impatient_launcher) as launcher:
            out, lines = launcher.communicate(timeout=10)
    assert (out, launcher.returncode) == (b"", code)
    assert len(lines.splitlines()) == 1
    log = _as_velero_reads(lines)
    assert log["@level"] == "error"
    assert str(path) in log["@message"]
    assert excerpt in log["@message"]


def test_a_client_of_another_user_is_refused_with_the_reason(
    plugins: Path, impatient_launcher: Path, control: socket.socket
) -> None:
    plugins.chmod(0o755)
    Path(control.getsockname()).chmod(0)
    other_user = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}  # root may open anything
    with start(impatient_launcher, **other_user) as launcher:
        _, lines = launcher.communicate(timeout=10)
    assert launcher.returncode == ACCESS_DENIED
    assert "runAsUser" in _as_velero_reads(lines)["@message"]


def test_a_directory_too_long_for_a_socket_is_refused_at_the_start(plugins: Path) -> None:
    deep = plugins / ("d" * 100)
    deep.mkdir()
    (deep / PLUGIN_NAME).write_bytes((plugins / PLUGIN_NAME).read_bytes())
    (deep / PLUGIN_NAME).chmod(0o755)
    with start(deep / PLUGIN_NAME) as launcher:
        _, lines = launcher.communicate(timeout=10)
    assert launcher.returncode == LOCATION_UNKNOWN
    assert "shorter plugin directory" in _as_velero_reads(lines)["@message"]


def test_velero_s_host_sees_a_start_that_failed(impatient_launcher: Path) -> None:
    with pytest.raises(StartError, match="exited with 3 before we could connect"):
        PluginProcess(impatient_launcher)


VELERO = """
import subprocess, sys
process = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("when", ["in a session", "while waiting"])
def test_a_velero_that_was_killed_takes_its_launcher_along(plugins: Path, control: socket.socket, when: str) -> None:
    velero = subprocess.Popen(
        [sys.executable, "-c", VELERO, plugins / PLUGIN_NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with velero:
        assert velero.stdout is not None
        pid = int(velero.stdout.readline())
        with accept(control) as connection:
            assert connection.recv(4096)
            if when == "in a session":
                connection.sendall(b"handshake\nlog\n")
            velero.send_signal(signal.SIGKILL)
            with suppress(ConnectionResetError):  # where it had not read all we sent
                assert connection.recv(1) == b"", "the sidecar sees the end"
    wait_until(lambda: not _alive(pid), 10, "the launcher has gone")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except FileNotFoundError:
        return False


@contextmanager
def _sending(connection: socket.socket, content: bytes) -> Iterator[None]:
    """Send more than the buffers on the way hold, then hang up."""

    def send() -> None:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_RDWR)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    sender.join()


def _babble(control: socket.socket) -> None:
    """Answer without ever ending a line, until the launcher hangs up."""
    connection, _ = control.accept()
    with connection:
        try:
            while True:
                connection.sendall(b"z" * 10_000)
        except OSError:
            return


def _as_velero_reads(line: bytes) -> dict[str, str]:
    entry = json.loads(line)
    assert all(isinstance(value, str) for value in entry.values())
    return entry


def test_a_probe_answers_whether_the_plugin_is_served(plugins: Path, serving: Callable[..., object]) -> None:
    probe = [plugins / PLUGIN_NAME, "run", "probe", plugins]
    assert subprocess.run(probe, check=False).returncode == SOCKET_ABSENT
    with serving():
        assert subprocess.run(probe, check=False).returncode == 0
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(plugins / "control.sock"))
        assert subprocess.run(probe, check=False).returncode == SIDECAR_DEAD
