"""The launcher for arm64, run by an emulator of that processor."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rpc.small_actions import table
from tests.rpc.test_calls import BACKUP, CAPTURE, config_map
from tests.rpc.velero_host import PluginProcess
from tests.tools.markdown import ROOT
from velero_vmservice.rpc.control import PluginServer
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

LAUNCHER = ROOT / "plugin" / "velero_vmservice" / "launcher_bin" / "arm64"
EMULATOR = ("qemu-aarch64-static",)


@pytest.fixture(name="launcher")
def _launcher() -> Iterator[Path]:
    """The launcher in a plugins directory whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="plugins-") as directory:
        target = Path(directory, PLUGIN_NAME)
        shutil.copyfile(LAUNCHER, target)
        target.chmod(0o755)
        yield target


def test_the_launcher_for_arm64_hands_velero_over_to_what_serves(launcher: Path) -> None:
    with PluginServer(launcher.parent, table()) as server:
        serving = threading.Thread(target=server.serve)
        serving.start()
        with PluginProcess(launcher, through=EMULATOR) as process:
            assert process.list_plugins() != []
            assert process.back_up(CAPTURE, config_map(""), BACKUP)[1] == "op-1"
            ended = process.shutdown()
        server.stop()
        serving.join()
    assert (ended.by_itself, ended.returncode) == (True, 0)


def test_the_launcher_for_arm64_stands_in_where_the_runtime_cannot_be_read(launcher: Path) -> None:
    runtimes = launcher.parent / f"{PLUGIN_NAME}.runtime"
    (runtimes / "0123456789abcdef").mkdir(parents=True)
    (runtimes / "current").write_text("0123456789abcdef\n")
    process = PluginProcess(launcher, through=EMULATOR)
    assert "the plugin's files cannot be read" in process.log.lines[-1]["@message"]
    assert len(process.list_plugins()) == 7
    assert process.shutdown().by_itself
