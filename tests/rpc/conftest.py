"""A plugins directory with the real launcher in it, and sidecars to answer it."""

from __future__ import annotations

import importlib.util
import io
import logging
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.rpc.small_actions import table
from tests.rpc.velero_host import PluginProcess
from tests.waiting import wait_until
from velero_vmservice import logs
from velero_vmservice.rpc.control import PluginServer
from velero_vmservice.rpc.launcher import install_launcher
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from velero_vmservice.rpc.server import ActionTable

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="own_log")
def _own_log() -> Iterator[io.StringIO]:
    """The sidecar's own log, as JSON lines."""
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    logs.configure("debug", stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before
    logging.getLogger().setLevel(level)


@pytest.fixture(name="plugins")
def _plugins() -> Iterator[Path]:
    """Velero's plugins directory with our launcher installed; its path is short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="plugins-"))
    install_launcher(directory)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(name="launch")
def _launch(plugins: Path) -> Iterator[Callable[..., PluginProcess]]:
    """Launch plugin processes as Velero does; all are ended with the test."""
    launched: list[PluginProcess] = []

    def launch(**options: Any) -> PluginProcess:
        launched.append(PluginProcess(plugins / PLUGIN_NAME, **options))
        return launched[-1]

    yield launch
    for process in launched:
        process.kill()


@pytest.fixture(name="actions")
def _actions() -> ActionTable:
    return table()


@pytest.fixture(name="serving")
def _serving(
    plugins: Path, actions: ActionTable, own_log: io.StringIO
) -> Callable[..., AbstractContextManager[PluginServer]]:
    """Serve from a thread of this process; the directory may be given by another path."""

    @contextmanager
    def serving(directory: Path = plugins, **options: float) -> Iterator[PluginServer]:
        with PluginServer(directory, actions, **options) as server:
            thread = threading.Thread(target=server.serve)
            thread.start()
            try:
                yield server
            finally:
                server.stop()
                thread.join()

    assert own_log is not None
    return serving


@pytest.fixture(name="server")
def _server(serving: Callable[..., AbstractContextManager[PluginServer]]) -> Iterator[PluginServer]:
    with serving() as server:
        yield server


@pytest.fixture(name="start_sidecar")
def _start_sidecar(plugins: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a sidecar as a process of its own, and wait until launchers can reach it."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.rpc.sidecar", str(plugins)], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        started.append(process)
        wait_until((plugins / "control.sock").is_socket, 20, "the sidecar's control socket")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(name="sidecar")
def _sidecar(start_sidecar: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    return start_sidecar()


@pytest.fixture(name="impatient_launcher")
def _impatient_launcher(plugins: Path) -> Path:
    """The launcher, built to wait one second for its sidecar."""
    specification = importlib.util.spec_from_file_location("launcher_build", ROOT / "plugin" / "launcher" / "build.py")
    assert specification is not None
    assert specification.loader is not None
    build = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(build)
    binary = plugins / "impatient"
    build.build("arm64" if platform.machine() == "aarch64" else "amd64", binary, wait_seconds=1)
    binary.chmod(0o755)
    return binary
