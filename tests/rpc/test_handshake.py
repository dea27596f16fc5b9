from __future__ import annotations

import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.rpc.velero_host import PluginProcess, discover
from tests.waiting import wait_until
from velero_vmservice.errors import AlreadyExists, InvalidSettings
from velero_vmservice.rpc.control import PluginServer
from velero_vmservice.rpc.server import ActionTable

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


@pytest.mark.usefixtures("server")
def test_velero_finds_the_launcher_alone_and_lists_every_action(plugins: Path) -> None:
    launcher = str(plugins / "velero-plugin-for-vmservice")
    assert [(plugin.kind, plugin.name, plugin.command) for plugin in discover(plugins)] == [
        ("BackupItemActionV2", "velero-plugin-for-vmservice/capture", launcher),
        ("BackupItemActionV2", "velero-plugin-for-vmservice/withhold", launcher),
        ("RestoreItemActionV2", "velero-plugin-for-vmservice/replay", launcher),
        ("DeleteItemAction", "velero-plugin-for-vmservice/purge", launcher),
    ]


@pytest.mark.usefixtures("server")
def test_the_handshake_names_a_socket_of_its_own_as_velero_sees_it(
    plugins: Path, launch: Callable[..., PluginProcess]
) -> None:
    first, second = launch(), launch()
    assert first.handshake == f"1|2|unix|{first.address}|grpc"
    assert first.address.parent == plugins
    assert first.address != second.address
    assert first.address.is_socket()


def test_the_directory_may_be_mounted_elsewhere_for_us(
    plugins: Path, serving: Callable[..., object], launch: Callable[..., PluginProcess]
) -> None:
    with tempfile.TemporaryDirectory(prefix="ours-") as elsewhere:
        ours = Path(elsewhere) / "mounted"
        ours.symlink_to(plugins)
        with serving(ours):
            process = launch()
            assert process.address.parent == plugins
            assert process.list_plugins()[0].command == str(plugins / "velero-plugin-for-vmservice")
            process.shutdown()


@pytest.mark.parametrize(("group_access", "mode"), [(False, 0o600), (True, 0o660)])
def test_no_socket_carries_an_execute_bit(
    plugins: Path,
    serving: Callable[..., object],
    launch: Callable[..., PluginProcess],
    group_access: bool,  # noqa: FBT001 - a parameter of the table above
    mode: int,
) -> None:
    with serving(group_access=group_access):
        process = launch()
        for path in (plugins / "control.sock", process.address):
            assert stat.S_IMODE(path.stat().st_mode) == mode
        process.shutdown()


@pytest.mark.usefixtures("server")
def test_the_streams_of_go_plugin_stay_open(launch: Callable[..., PluginProcess]) -> None:
    process = launch()
    process.list_plugins()
    assert process.broker.is_active()
    assert process.stdio.is_active()
    channel = process.channel
    assert process.shutdown().by_itself
    with pytest.raises(ValueError, match="closed channel"):
        channel.unary_unary("/any")(b"")


@pytest.mark.usefixtures("server")
def test_shutdown_is_answered_and_the_process_exits(launch: Callable[..., PluginProcess]) -> None:
    process = launch()
    ended = process.shutdown()
    assert ended.by_itself
    assert ended.returncode == 0
    wait_until(lambda: not process.address.exists(), 10, "the session's socket is removed")


@pytest.mark.usefixtures("server")
def test_a_connection_that_is_no_launchers_gets_no_answer_and_disturbs_no_other(
    plugins: Path, launch: Callable[..., PluginProcess]
) -> None:
    for junk in (b"GET / HTTP/1.1\r\n", b"relative\n", b"/a|b\n", b"\xff\n", b"\n", b"x" * 5_000, b"/\x07\n"):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(plugins / "control.sock"))
            stranger.sendall(junk)
            assert stranger.recv(100) == b""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(plugins / "control.sock"))
        assert launch().list_plugins()


@pytest.mark.usefixtures("server")
def test_one_server_at_a_time(plugins: Path, launch: Callable[..., PluginProcess]) -> None:
    with pytest.raises(AlreadyExists, match="another server is running"):
        PluginServer(plugins, ActionTable())
    assert launch().list_plugins()


def test_sockets_of_a_killed_predecessor_are_replaced(
    plugins: Path,
    sidecar: subprocess.Popen[bytes],
    launch: Callable[..., PluginProcess],
    serving: Callable[..., object],
) -> None:
    stale = launch().address
    sidecar.kill()
    sidecar.wait()
    assert stale.exists()
    assert (plugins / "control.sock").exists()
    with serving():
        assert not stale.exists()
        process = launch()
        assert process.list_plugins()
        process.shutdown()


def test_a_directory_that_takes_no_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        PluginServer(tmp_path / "absent", ActionTable())
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with pytest.raises(InvalidSettings, match="longer than 107 bytes"):
        PluginServer(long, ActionTable())


@pytest.mark.usefixtures("server")
def test_an_unknown_call_is_refused_as_such(launch: Callable[..., PluginProcess]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        launch().channel.unary_unary("/generated.ObjectStore/Init")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
