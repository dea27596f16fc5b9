"""A directory for files that only this process may read: authorities, short-lived credentials, keys of Secrets.

It is removed when the process exits, but a killed process leaves its own behind. The kernel then releases the lock on
it, which shows the next process that it may be removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Final

from velero_vmservice.errors import InvalidSettings

_PREFIX: Final = "velero-vmservice-"


class PrivateDirectory(tempfile.TemporaryDirectory[str]):
    """A temporary directory with a lock on it while it is used; removed with `cleanup` or at exit."""

    def __init__(self) -> None:
        super().__init__(prefix=_PREFIX, ignore_cleanup_errors=True)

    def lock(self) -> bool:
        """Lock it until its removal; return whether it still exists: before the lock another process may remove it."""
        try:
            held = os.open(self.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        weakref.finalize(self, os.close, held)
        fcntl.flock(held, fcntl.LOCK_EX)
        return Path(self.name).is_dir()


def private_directory() -> PrivateDirectory:
    """Make a directory that only this process can read; raises `InvalidSettings` if none can be written."""
    try:
        directory = PrivateDirectory()
        while not directory.lock():
            directory.cleanup()
            directory = PrivateDirectory()
    except OSError as error:
        raise InvalidSettings(
            "no directory for temporary files can be written",
            hint="mount an emptyDir volume at /tmp, or set TMPDIR",
        ) from error
    return directory


def remove_left_behind() -> None:
    """Remove directories that killed processes of this user left behind; never raises."""
    with contextlib.suppress(OSError):
        for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            _remove_unlocked(directory)


def _remove_unlocked(directory: Path) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:  # another user's, or in use
        held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        opened.callback(os.close, held)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(held).st_uid == os.geteuid():
            shutil.rmtree(directory, ignore_errors=True)
