"""A session's end, however it comes, frees all it used and touches no other."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.rpc.test_calls import BACKUP, CAPTURE, config_map
from tests.waiting import wait_until
from velero_vmservice.rpc.running_calls import STOPPING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.rpc.velero_host import PluginProcess


THREADS_THAT_END_SESSIONS = 4
"""Started when first needed, and kept."""


@dataclass(frozen=True)
class Holdings:
    """What a process holds."""

    threads: int
    descriptors: int
    sockets: int

    @classmethod
    def of(cls, process: subprocess.Popen[bytes], plugins: Path) -> Holdings:
        return cls(
            threads=len(list(Path(f"/proc/{process.pid}/task").iterdir())),
            descriptors=len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
            sockets=len(list(plugins.glob("*.sock"))),
        )

    def within(self, other: Holdings) -> bool:
        return (
            self.threads <= other.threads + THREADS_THAT_END_SESSIONS
            and self.descriptors <= other.descriptors
            and self.sockets == other.sockets
        )


@pytest.fixture(name="pipe")
def _pipe(plugins: Path) -> Path:
    """A named pipe that a call waits for; written to, so that no thread stays behind."""
    path = plugins / "pipe"
    os.mkfifo(path, 0o600)
    return path


def release(pipe: Path) -> None:
    """Let a call that waits for the pipe go on."""
    wait_until(lambda: _written(pipe), 10, "a call waits for the pipe")


def _written(pipe: Path) -> bool:
    try:
        end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # it is not read yet
        return False
    os.write(end, b"now")
    os.close(end)
    return True


@pytest.mark.parametrize("end", ["shutdown", "kill"])
def test_ended_sessions_leave_nothing_behind(
    sidecar: subprocess.Popen[bytes], plugins: Path, launch: Callable[..., PluginProcess], end: str
) -> None:
    launch().shutdown()
    staying = launch()
    staying.list_plugins()
    before = Holdings.of(sidecar, plugins)
    for _ in range(4):
        ending = [launch() for _ in range(5)]
        for process in ending:
            process.back_up(CAPTURE, config_map("log"), BACKUP)
        assert Holdings.of(sidecar, plugins).sockets == before.sockets + 5
        for process in ending:
            getattr(process, end)()
        wait_until(lambda: Holdings.of(sidecar, plugins).within(before), 20, f"what was held before, {before}")
    assert staying.list_plugins()


@pytest.mark.usefixtures("server")
def test_a_killed_launcher_touches_no_call_of_another(launch: Callable[..., PluginProcess], pipe: Path) -> None:
    killed, other = launch(), launch()
    with ThreadPoolExecutor(1) as velero_s_worker:
        running = velero_s_worker.submit(other.back_up, CAPTURE, config_map(f"wait {pipe}"), BACKUP)
        killed.kill()
        wait_until(lambda: not killed.address.exists(), 10, "the killed session's socket is removed")
        release(pipe)
        assert running.result(10)


@pytest.mark.usefixtures("server")
def test_a_launcher_killed_in_a_call_frees_its_threads_when_the_call_ends(
    launch: Callable[..., PluginProcess], pipe: Path
) -> None:
    killed = launch()
    with ThreadPoolExecutor(1) as velero_s_worker:
        running = velero_s_worker.submit(killed.back_up, CAPTURE, config_map(f"wait {pipe}"), BACKUP)
        name = killed.address.name
        killed.log.wait_for("waiting")
        os.kill(killed.pid, signal.SIGKILL)
        with pytest.raises(grpc.RpcError):
            running.result(10)
        assert launch().list_plugins()
        release(pipe)
        wait_until(lambda: not _threads(name), 10, "the session's threads have ended")


@pytest.mark.usefixtures("server")
def test_a_poll_that_takes_too_long_is_answered_without_its_result(
    launch: Callable[..., PluginProcess], pipe: Path
) -> None:
    velero = launch()
    unanswered = velero.backup_progress(CAPTURE, f"wait {pipe}", BACKUP)
    assert not unanswered.completed
    assert unanswered.err == ""
    assert "no answer from the API server or the bucket" in unanswered.description
    assert velero.backup_progress(CAPTURE, "op", BACKUP).description == "web-2: not registered yet"
    release(pipe)


@pytest.mark.usefixtures("server")
def test_forty_processes_at_once(launch: Callable[..., PluginProcess]) -> None:
    def round_trip(number: int) -> str:
        process = launch()
        item, _ = process.back_up(CAPTURE, config_map() | {"number": number}, BACKUP)
        assert process.shutdown().by_itself
        return item["number"]

    with ThreadPoolExecutor(8) as velero_s_workers:
        assert list(velero_s_workers.map(round_trip, range(40))) == list(range(40))


def test_sigterm_lets_running_calls_finish_and_begins_nothing(
    sidecar: subprocess.Popen[bytes], plugins: Path, launch: Callable[..., PluginProcess], pipe: Path
) -> None:
    busy, idle = launch(), launch()
    with ThreadPoolExecutor(1) as velero_s_worker:
        running = velero_s_worker.submit(busy.back_up, CAPTURE, config_map(f"wait {pipe}"), BACKUP)
        busy.log.wait_for("waiting")
        sidecar.terminate()
        wait_until(lambda: not (plugins / "control.sock").exists(), 10, "no launcher can connect any more")
        refusal = wait_until(lambda: refused(idle), 10, "new calls are refused")
        assert (refusal.code(), refusal.details()) == (grpc.StatusCode.UNAVAILABLE, STOPPING)
        later = idle.backup_progress(CAPTURE, "op", BACKUP)
        assert (later.completed, later.err) == (False, "")
        assert "the plugin's sidecar is stopping" in later.description
        assert idle.list_plugins()
        release(pipe)
        assert running.result(10)
    assert sidecar.wait(10) == 0
    assert [busy.wait(5), idle.wait(5)] == [0, 0]
    assert list(plugins.glob("*.sock")) == []


def refused(process: PluginProcess) -> grpc.RpcError | None:
    """Call; the server stops listening for launchers a moment before it stops taking calls."""
    try:
        process.back_up(CAPTURE, config_map(), BACKUP)
    except grpc.RpcError as error:
        return error
    return None


def test_a_call_that_outlasts_the_grace_is_cancelled(
    serving: Callable[..., object], launch: Callable[..., PluginProcess], pipe: Path
) -> None:
    with ThreadPoolExecutor(1) as velero_s_worker:
        with serving(drain_seconds=0.1):
            process = launch()
            running = velero_s_worker.submit(process.back_up, CAPTURE, config_map(f"wait {pipe}"), BACKUP)
            process.log.wait_for("waiting")
        with pytest.raises(grpc.RpcError):
            running.result(10)
        assert process.wait(5) == 0
        release(pipe)


def test_a_sidecar_that_dies_in_a_call_ends_the_call_and_the_launcher(
    sidecar: subprocess.Popen[bytes], launch: Callable[..., PluginProcess], pipe: Path
) -> None:
    process = launch()
    with ThreadPoolExecutor(1) as velero_s_worker:
        running = velero_s_worker.submit(process.back_up, CAPTURE, config_map(f"wait {pipe}"), BACKUP)
        process.log.wait_for("waiting")
        sidecar.kill()
        with pytest.raises(grpc.RpcError) as caught:
            running.result(10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert process.wait(5) == 0, "Velero counts another exit code as an error of the backup"


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]
