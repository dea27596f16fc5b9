"""The plugins directory as `doctor` sees it, with the real launcher and a server that answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.waiting import wait_until
from velero_vmservice.doctor.plugins_directory import Answer, LauncherState
from velero_vmservice.rpc.bundle import CURRENT, RUNTIMES
from velero_vmservice.rpc.handshake import CONTROL
from velero_vmservice.rpc.plugins_directory import look
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rpc.velero_host import PluginProcess
    from velero_vmservice.rpc.control import PluginServer


def test_a_server_answers_and_serves_launches_as_before(
    plugins: Path, server: PluginServer, launch: Callable[..., PluginProcess]
) -> None:
    assert server
    (beside := plugins / "velero-plugin-for-aws").touch()
    beside.chmod(0o755)  # not by `touch`: the server narrows the umask while it makes a socket
    looked_at = look(plugins)
    assert looked_at is not None
    assert looked_at.answer is Answer.HANDSHAKE
    assert looked_at.launcher is LauncherState.SAME
    assert looked_at.executables == ["velero-plugin-for-aws", PLUGIN_NAME]
    assert (looked_at.runtime, looked_at.own_runtime) == ("", "")
    assert launch().handshake.startswith("1|2|unix|")
    wait_until(lambda: len(list(plugins.glob("s-*.sock"))) <= 2, 10, "the session of the look is over")


def test_a_directory_without_a_server_has_no_socket_or_one_that_none_serves(plugins: Path) -> None:
    looked_at = look(plugins)
    assert looked_at is not None
    assert looked_at.answer is Answer.NO_SOCKET
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(plugins / CONTROL))
    abandoned = look(plugins)
    assert abandoned is not None
    assert abandoned.answer is Answer.NOT_SERVED


def test_a_launcher_that_is_gone_bare_or_of_another_version(plugins: Path) -> None:
    launcher, seen = plugins / PLUGIN_NAME, []
    for change in (lambda: launcher.chmod(0o644), lambda: launcher.write_bytes(b"older"), launcher.unlink):
        change()
        looked_at = look(plugins)
        assert looked_at is not None
        seen.append(looked_at.launcher)
        if launcher.exists():
            launcher.chmod(0o755)
    assert seen == [LauncherState.NOT_EXECUTABLE, LauncherState.OTHER, LauncherState.ABSENT]


def test_the_runtime_that_the_launcher_would_start_is_named(plugins: Path) -> None:
    (plugins / RUNTIMES).mkdir()
    (plugins / RUNTIMES / CURRENT).write_text("0123456789abcdef\n")
    looked_at = look(plugins)
    assert looked_at is not None
    assert looked_at.runtime == "0123456789abcdef"


def test_a_path_that_is_no_directory_is_not_looked_at(tmp_path: Path) -> None:
    assert look(tmp_path / "none") is None
