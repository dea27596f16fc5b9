"""Where no sidecar answers and a runtime lies beside it, the launcher starts the daemon: once, and not as Velero's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.rpc.runtimes import daemons, keepers, put_runtime, state
from tests.rpc.small_actions import table
from tests.rpc.test_calls import BACKUP, CAPTURE, RESTORE, config_map
from tests.rpc.velero_host import Listed, PluginProcess
from tests.waiting import wait_until
from velero_vmservice.pb import velero_generated_pb2 as generated
from velero_vmservice.pb import velero_v2_pb2 as v2
from velero_vmservice.rpc.launcher import install_launcher
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAUNCHES = 200
LOG = f"{PLUGIN_NAME}.log"
LEAVE = f"{PLUGIN_NAME}/leave"


@pytest.fixture(name="plugins")
def _plugins() -> Iterator[Path]:
    """A plugins directory with launcher and runtime; what runs of it at the end is ended."""
    directory = Path(tempfile.mkdtemp(prefix="plugins-"))
    install_launcher(directory)
    put_runtime(directory)
    yield directory
    for pid in [*keepers(directory), *daemons(directory)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(state(pid) in {"", "Z"} for pid in daemons(directory)), 10, "the daemon is gone")
    shutil.rmtree(directory)


def only_daemon(plugins: Path) -> int:
    (pid,) = daemons(plugins)
    return pid


def test_the_first_launch_starts_a_daemon_that_later_ones_use(
    plugins: Path, launch: Callable[..., PluginProcess]
) -> None:
    first = launch()
    started = only_daemon(plugins)
    assert "serving" in [line["@message"] for line in first.log.lines], "its log stands in the log of this launch"
    assert '"serving"' in (plugins / LOG).read_text()
    assert first.shutdown().returncode == 0
    with launch() as second:
        assert only_daemon(plugins) == started
        assert second.log.lines == []


def test_two_hundred_launches_at_once_start_one_daemon(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    with ThreadPoolExecutor(LAUNCHES) as launches:
        processes = list(launches.map(lambda _: launch(), range(LAUNCHES)))
    assert len(daemons(plugins)) == 1
    assert (plugins / LOG).read_text().count('"serving"') == 1
    assert {process.shutdown().returncode for process in processes} == {0}


def test_the_daemon_is_not_velero_s(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    with launch() as first:
        daemon, (keeper,) = only_daemon(plugins), keepers(plugins)
        pipes = {Path(f"/proc/{first.pid}/fd/{number}").readlink() for number in (1, 2)}
        held = [link.readlink() for pid in (daemon, keeper) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert not pipes & set(held)
        assert os.getsid(daemon) == keeper != os.getsid(first.pid)
        assert Path(f"/proc/{daemon}/cwd").readlink() == Path("/")


def test_no_file_but_the_launcher_has_an_execute_bit(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    with launch():
        entries = [path for path in plugins.rglob("*") if not path.is_dir() and not path.is_symlink()]
        assert [path.name for path in entries if path.stat().st_mode & 0o111] == [PLUGIN_NAME]


def test_a_daemon_killed_between_calls_is_started_again(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    first = launch()
    killed, (keeper,) = only_daemon(plugins), keepers(plugins)
    os.kill(killed, signal.SIGKILL)
    assert first.wait(10) == 0
    (line,) = [line for line in first.log.lines if line["@level"] == "warn"]
    assert "lost the process that serves it" in line["@message"]

    with launch() as second:
        assert second.back_up(CAPTURE, config_map(""), BACKUP)[1] == "op-1"
        assert only_daemon(plugins) != killed
        assert keepers(plugins) == [keeper]
        assert state(killed) == "", "its keeper has reaped it"
    assert "the daemon was ended by signal 9" in (plugins / LOG).read_text()


def test_a_call_that_the_daemon_dies_in_fails_and_the_next_launch_works(
    plugins: Path, launch: Callable[..., PluginProcess]
) -> None:
    os.mkfifo(plugins / "pipe", 0o600)
    first = launch()
    with ThreadPoolExecutor() as calls:
        call = calls.submit(first.back_up, CAPTURE, config_map(f"wait {plugins / 'pipe'}"), BACKUP)
        first.log.wait_for("waiting")
        os.kill(only_daemon(plugins), signal.SIGKILL)
        with pytest.raises(grpc.RpcError) as failed:
            call.result(10)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert first.wait(10) == 0
    assert "a call that ran then has failed" in first.log.lines[-1]["@message"]
    with launch() as second:
        assert len(second.list_plugins()) == 4


def test_daemons_that_die_leave_no_zombies(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    killed = []
    for _ in range(4):
        with launch():
            killed.append(only_daemon(plugins))
            os.kill(killed[-1], signal.SIGKILL)
    with launch():
        assert [state(pid) for pid in killed] == [""] * 4


def test_a_killed_keeper_takes_its_daemon_with_it(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    with launch():
        (keeper,), daemon = keepers(plugins), only_daemon(plugins)
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: state(daemon) in {"", "Z"}, 10, "the daemon has ended")
    with launch():
        assert len(daemons(plugins)) == 1


@pytest.fixture(name="broken")
def _broken(plugins: Path, monkeypatch: pytest.MonkeyPatch, launch: Callable[..., PluginProcess]) -> PluginProcess:
    """A launch whose daemon ends before it serves."""
    assert plugins.is_dir()
    monkeypatch.setenv("DAEMON", "broken")
    return launch()


def test_velero_starts_without_the_daemon_and_learns_why(broken: PluginProcess, plugins: Path) -> None:
    whole = table()
    listed = [(line.kind, line.name) for line in broken.list_plugins()]
    assert set(listed) > {(line.kind, line.name) for line in whole.listed("")}
    assert {line.command for line in broken.list_plugins()} == {str(plugins / PLUGIN_NAME)}
    assert [line["@message"].partition(":")[0] for line in broken.log.lines] == [
        "cannot serve",
        f"{PLUGIN_NAME} cannot work",
    ]
    assert broken.shutdown().by_itself
    assert keepers(plugins) == []


def test_without_the_daemon_its_items_fail_and_operations_go_on(broken: PluginProcess) -> None:
    calls = {
        "BackupItemActionV2": (broken.backup_items, v2.BackupItemActionAppliesToRequest),
        "RestoreItemActionV2": (broken.restore_items, v2.RestoreItemActionAppliesToRequest),
        "DeleteItemAction": (broken.delete_items, generated.DeleteItemActionAppliesToRequest),
    }
    ours = generated.ResourceSelector(
        includedResources=[
            "virtualmachinegroups.vmoperator.vmware.com",
            "virtualmachineservices.vmoperator.vmware.com",
        ]
    )
    for listed in broken.list_plugins():
        stub, request = calls[listed.kind]
        if listed.name != LEAVE:
            assert stub.AppliesTo(request(plugin=listed.name)).ResourceSelector == ours, listed.name
    large = {**config_map(""), "data": {"text": "x" * 200_000}}
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as failed:
            broken.back_up(CAPTURE, large, BACKUP)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the daemon ended before it served" in failed.value.details()
    for operation in ("seal-v1:a", "replay-v1:" + "b" * 900):
        progress = broken.backup_progress(CAPTURE, operation, BACKUP)
        assert (progress.completed, progress.err) == (False, "")
        assert "the daemon ended before it served" in progress.description


def test_without_the_daemon_a_restore_ends_before_it_begins(broken: PluginProcess) -> None:
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as failed:
            broken.restore_items.AppliesTo(v2.RestoreItemActionAppliesToRequest(plugin=LEAVE))
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the daemon ended before it served" in failed.value.details()


def test_without_the_daemon_a_restore_that_has_begun_creates_no_item(broken: PluginProcess) -> None:
    machine = {
        "apiVersion": "vmoperator.vmware.com/v1alpha3",
        "kind": "VirtualMachine",
        "metadata": {"namespace": "shop", "name": "db-0"},
    }
    large = {**config_map(""), "data": {"text": "x" * 200_000}}
    for item in [machine, large, config_map("")] * 200:  # more than the stand-in remembers calls
        with pytest.raises(grpc.RpcError) as failed:
            broken.restore(LEAVE, item, item, RESTORE)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the daemon ended before it served" in failed.value.details()


def test_a_daemon_that_is_mended_serves_the_next_launch(
    broken: PluginProcess, monkeypatch: pytest.MonkeyPatch, launch: Callable[..., PluginProcess]
) -> None:
    broken.shutdown()
    monkeypatch.delenv("DAEMON")
    with launch() as mended:
        assert mended.back_up(CAPTURE, config_map(""), BACKUP)[1] == "op-1"


def test_the_stand_in_lists_the_actions_of_the_daemon(broken: PluginProcess, plugins: Path) -> None:
    command = str(plugins / PLUGIN_NAME)
    names = {
        "BackupItemActionV2": ["capture", "withhold"],
        "RestoreItemActionV2": ["replay", "pods", "leave", "vms"],
        "DeleteItemAction": ["purge"],
    }
    assert broken.list_plugins() == [
        Listed(kind=kind, name=f"{PLUGIN_NAME}/{name}", command=command) for kind in names for name in names[kind]
    ]


def test_a_runtime_that_cannot_be_read_is_explained(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    for loader in plugins.rglob("loader"):
        loader.unlink()
    process = launch()
    assert process.log.lines[-1]["@level"] == "error"
    assert "the plugin's files cannot be read" in process.log.lines[-1]["@message"]


@pytest.mark.parametrize(
    ("call", "cause", "remedy"),
    [
        ("memfd_create", "this container may make no executable file in memory", "allow memfd_create"),
        ("execveat", "this container may execute no file in memory", "allow execveat"),
    ],
)
def test_velero_starts_where_a_seccomp_profile_denies_what_the_daemon_needs(
    launch: Callable[..., PluginProcess], plugins: Path, call: str, cause: str, remedy: str
) -> None:
    process = launch(through=(sys.executable, "-m", "tests.seccomp", call))
    (line,) = process.log.lines
    assert line["@level"] == "error"
    assert f"{PLUGIN_NAME} cannot work: the daemon cannot start: {cause}; {remedy}" in line["@message"]
    assert len(process.list_plugins()) == 7
    assert process.shutdown().by_itself
    assert (keepers(plugins), daemons(plugins)) == ([], [])


def test_the_log_file_is_bounded(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    with launch() as process:
        for _ in range(3):
            process.back_up(CAPTURE, config_map("chat 1000"), BACKUP)
    sizes = [path.stat().st_size for path in plugins.glob(f"{LOG}*")]
    assert len(sizes) == 2
    assert max(sizes) <= 1024 * 1024
