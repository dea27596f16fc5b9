"""Look at Velero's plugins directory from outside: the files in it, and a launch like Velero's own."""

from __future__ import annotations

import os
import platform
import socket
import sys
from pathlib import Path
from typing import Final

from velero_vmservice.doctor.plugins_directory import Answer, LauncherState, PluginsDirectory
from velero_vmservice.errors import VmServiceError
from velero_vmservice.rpc.bundle import CURRENT, RUNTIMES
from velero_vmservice.rpc.handshake import CONTROL, MOST_HELLO_BYTES
from velero_vmservice.rpc.launcher import launcher_for
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

_ANSWER_SECONDS: Final = 5.0


def look(directory: Path) -> PluginsDirectory | None:
    """Return the content of the directory; None if it is not one. A launch is begun, and ended once it is answered."""
    if not directory.is_dir():
        return None
    return PluginsDirectory(
        path=str(directory),
        executables=sorted(file.name for file in directory.iterdir() if _is_executable(file)),
        launcher=_launcher(directory / PLUGIN_NAME),
        runtime=_runtime(directory / RUNTIMES / CURRENT),
        own_runtime=_own_runtime(directory),
        answer=_launch(directory),
    )


def _is_executable(file: Path) -> bool:
    try:
        return file.is_file() and bool(file.stat().st_mode & 0o111)
    except OSError:
        return False


def _launcher(file: Path) -> LauncherState:
    if not file.is_file():
        return LauncherState.ABSENT
    if not _is_executable(file):
        return LauncherState.NOT_EXECUTABLE
    try:
        same = file.read_bytes() == launcher_for(platform.machine())
    except (OSError, VmServiceError):
        same = False
    return LauncherState.SAME if same else LauncherState.OTHER


def _runtime(pointer: Path) -> str:
    try:
        return pointer.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _own_runtime(directory: Path) -> str:
    """Return the runtime that this process runs from, if it lies in the directory."""
    prefix = Path(sys.prefix)
    return prefix.name if prefix.parent == (directory / RUNTIMES).absolute() else ""


def _launch(directory: Path) -> Answer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(os.fspath(directory / CONTROL))
        except FileNotFoundError:
            return Answer.NO_SOCKET
        except PermissionError:
            return Answer.DENIED
        except OSError:
            return Answer.NOT_SERVED
        try:
            connection.sendall(f"{directory.absolute()}\n".encode())
            answer = connection.recv(MOST_HELLO_BYTES)
        except OSError:
            return Answer.SILENT
    return Answer.HANDSHAKE if answer.startswith(b"1|2|unix|") else Answer.SILENT
