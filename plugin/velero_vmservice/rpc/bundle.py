"""Copies the bundle that this process runs from into Velero's plugins directory.

A runtime has a folder of its own, named by the digest of its content, so an older one that is still in use stays
untouched. The file `current` names the runtime that the launcher starts. `plugin/bundle` builds bundles and describes
their layout.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.rpc.launcher import InstallOutcome, install_launcher
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNTIMES: Final = f"{PLUGIN_NAME}.runtime"
CURRENT: Final = "current"
_DIGITS: Final = 16
_MAKING: Final = "making-"


def install_bundle(directory: Path, *, runtime: Path | None = None) -> InstallOutcome:
    """Install the launcher and a runtime, by default this process's own, into Velero's plugins directory.

    Can be repeated, beside other installers and over an older version that runs. Raises `InvalidSettings` if this
    process does not run from a bundle or the directory cannot be written, `Unavailable` if the volume is full.
    """
    runtime = runtime or Path(sys.prefix)
    if runtime.parent.name != RUNTIMES:
        raise InvalidSettings(
            "this installation has no runtime to copy",
            hint="use the released image; a sidecar needs the launcher alone: velero-vmservice install-launcher",
        )
    try:
        if not (directory / RUNTIMES).is_dir():
            _make_folder(directory / RUNTIMES)
        with _alone(directory / RUNTIMES):
            copied = _copy(runtime, directory / RUNTIMES / runtime.name)
            _point_at(directory / RUNTIMES / CURRENT, runtime.name)
            launcher = install_launcher(directory)
            _remove_unused(directory / RUNTIMES, keep=runtime.name)
    except OSError as error:
        raise _explained(error, directory) from error
    return InstallOutcome.INSTALLED if copied else launcher


def digest(runtime: Path) -> str:
    """Return a runtime's name: 16 hexadecimal digits of a digest of its files' names and contents."""
    total = hashlib.sha256()
    for file in sorted(file for file in runtime.rglob("*") if file.is_file()):
        total.update(f"{file.relative_to(runtime).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while chunk := content.read(1024 * 1024):
                total.update(chunk)
    return total.hexdigest()[:_DIGITS]


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one installer work at a time; the kernel releases the lock when the process ends."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _copy(runtime: Path, target: Path) -> bool:
    """Copy a runtime unless a complete copy exists; say whether it was copied."""
    if target.is_dir() and _is_whole(target):
        return False
    with tempfile.TemporaryDirectory(prefix=_MAKING, dir=target.parent) as scratch:
        _fill(Path(scratch) / target.name, runtime)
        if target.is_dir():
            target.rename(Path(scratch) / "replaced")
        (Path(scratch) / target.name).rename(target)
    return True


def _fill(making: Path, runtime: Path) -> None:
    _make_folder(making)
    for source in sorted(runtime.rglob("*")):
        copy = making / source.relative_to(runtime)
        if source.is_dir():
            _make_folder(copy)
        else:
            shutil.copyfile(source, copy)
            copy.chmod(0o644)
    if digest(making) != making.name:
        raise OSError(errno.EIO, "the copy does not match the digest in its name")


def _make_folder(path: Path) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(0o755)  # independent of the umask: Velero may run under another user


def _is_whole(runtime: Path) -> bool:
    """Say whether a runtime matches its name, and has no file that Velero would take for a plugin."""
    plain = all(not file.stat().st_mode & 0o111 for file in runtime.rglob("*") if file.is_file())
    return plain and digest(runtime) == runtime.name


def _point_at(pointer: Path, name: str) -> None:
    descriptor, made = tempfile.mkstemp(prefix=_MAKING, dir=pointer.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{name}\n")
    Path(made).chmod(0o644)
    Path(made).replace(pointer)


def _remove_unused(runtimes: Path, *, keep: str) -> None:
    """Remove other runtimes that no process holds (`plugin/bundle/start.py`), and unfinished copies."""
    for other in runtimes.iterdir():
        if other.name in {keep, CURRENT}:
            continue
        if not other.is_dir():
            other.unlink(missing_ok=True)
            continue
        with contextlib.suppress(BlockingIOError):
            held = os.open(other, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other)
            finally:
                os.close(held)


def _explained(error: OSError, directory: Path) -> VmServiceError:
    what = f"the plugin cannot be installed into {directory}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Unavailable(what, hint="make room on the plugins volume: it takes about 120 MB")
    return InvalidSettings(what, hint="mount Velero's plugins volume there, writable for the user of this container")
