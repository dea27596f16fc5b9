"""Installs the launcher where Velero finds and executes it.

Velero may execute any file with an execute bit in its plugins directory at any moment. So a launcher gets its bit last,
when it is complete, closed and in place. A launcher that is already right stays untouched.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import platform
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_BUILT: Traversable = resources.files("velero_vmservice") / "launcher_bin"
"""One binary per architecture, put there by `make launcher` and into the wheel."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_MODE: Final = 0o755


class InstallOutcome(enum.StrEnum):
    """What an installation did."""

    INSTALLED = "installed"
    UNCHANGED = "unchanged"


def install_launcher(directory: Path) -> InstallOutcome:
    """Install the launcher for this processor into Velero's plugins directory.

    Can be repeated, beside other installers and a running Velero. Raises `InvalidSettings` if the directory cannot be
    written or there is no launcher for this processor, `Unavailable` if the volume is full.
    """
    wanted = launcher_for(platform.machine())
    target = directory / PLUGIN_NAME
    try:
        if _is(target, wanted):
            return InstallOutcome.UNCHANGED
        _replace(target, wanted)
    except OSError as error:
        raise _explained(error, directory) from error
    return InstallOutcome.INSTALLED


def launcher_for(machine: str) -> bytes:
    """Return the launcher for a processor as `platform` names it; raises `InvalidSettings` if there is none."""
    architecture = _ARCHITECTURES.get(machine.lower())
    if architecture is None:
        raise InvalidSettings(
            f"there is no launcher for the machine type {machine}", hint="run Velero on amd64 or arm64 nodes"
        )
    try:
        return (_BUILT / architecture).read_bytes()
    except OSError as error:
        raise InvalidSettings(
            f"this installation has no launcher for {architecture} ({error.strerror})",
            hint="install the released package or image, or run `make launcher` in a checkout",
        ) from error


def _is(target: Path, wanted: bytes) -> bool:
    try:
        return target.stat().st_mode & 0o777 == _MODE and target.read_bytes() == wanted
    except FileNotFoundError:
        return False


def _replace(target: Path, wanted: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(wanted)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)
        raise
    target.chmod(_MODE)  # after closing: a file open for writing cannot be executed ("text file busy")


def _explained(error: OSError, directory: Path) -> VmServiceError:
    what = f"the launcher cannot be installed into {directory}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Unavailable(what, hint="make room on the plugins volume")
    return InvalidSettings(what, hint="mount Velero's plugins volume there, writable for the sidecar's user")
