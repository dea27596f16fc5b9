"""What the kernel knows about processes: memory, processor time, and how often a file was executed."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_IN_OPEN = 0x20
_EVENT_BYTES = 16
"""An event about a watched file itself carries no name: inotify(7)."""


def resident_mebibytes(pid: int) -> float:
    """Return the memory a process holds (VmRSS)."""
    return _mebibytes(pid, "VmRSS")


def peak_mebibytes(pid: int) -> float:
    """Return the most memory a process has held, since `reset_peak` if that was called (VmHWM)."""
    return _mebibytes(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Let the peak count from now: proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used, its threads' included."""
    # pid (name) state …; the name may hold spaces; utime and stime are the 14th and 15th field
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Executions:
    """Counts from now on how often a program file is opened, which is how often it is executed.

    The kernel merges equal events that were not read yet, so a thread reads them as they come.
    """

    def __init__(self, file: Path) -> None:
        self.count = 0
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_CLOEXEC)
        if self._events < 0 or libc.inotify_add_watch(self._events, os.fsencode(file), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {file}")
        threading.Thread(target=self._read, name="executions", daemon=True).start()

    def _read(self) -> None:
        while events := os.read(self._events, 64 * _EVENT_BYTES):
            self.count += len(events) // _EVENT_BYTES


def _mebibytes(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))
