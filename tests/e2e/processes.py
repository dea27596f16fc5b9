"""Start, watch and end the real programs of the stack, each with its own log file.

A program that ends on its own is a finding, not a nuisance: the test that waits for it gets the end of its log.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LOG_TAIL = 4000
_COMMAND_DEADLINE = 120


class ProcessEndedError(AssertionError):
    """A program of the stack ended although it was needed."""


class CommandFailedError(AssertionError):
    """A command line tool of the stack ended with an error; the message has its words."""


class Process:
    """One program that can be started, stopped, killed and started again; its log file is appended to."""

    def __init__(self, argv: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.argv = [str(word) for word in argv]
        self.log = log
        self._environment = dict(environment or {})
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """How the program is called in messages."""
        return Path(self.argv[0]).name

    @property
    def pid(self) -> int:
        """The process id; the program must have been started."""
        if self._running is None:
            raise ProcessEndedError(f"{self.name} was never started")
        return self._running.pid

    @property
    def alive(self) -> bool:
        """Whether the program runs now."""
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        """Start the program with a plain environment: the caller's PATH and HOME, and what it was given."""
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                self.argv, env=inherited | self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_ready(self, ready: Callable[[], bool], *, deadline: float = 60) -> None:
        """Wait until `ready` says yes; raise ProcessEndedError with the log if the program ends first."""

        def ready_or_dead() -> bool:
            if not self.alive:
                raise ProcessEndedError(f"{self.name} ended while starting:\n{self.tail()}")
            return ready()

        wait_until(ready_or_dead, deadline, f"{self.name} is ready (log: {self.log})")

    def stop(self, *, patience: float = 20) -> None:
        """Ask the program to end; kill it if it has not after `patience` seconds."""
        if self._running is None:
            return
        self._running.terminate()
        try:
            self._running.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the program with SIGKILL, as an out-of-memory kill would; its children live on."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def freeze(self) -> None:
        """Stop it where it is, see `freeze_process`."""
        freeze_process(self.pid)

    def thaw(self) -> None:
        """Let it go on."""
        thaw_process(self.pid)

    def children(self, name: str = "") -> list[int]:
        """Return the ids of the direct children, or of those whose executable has this file name."""
        return [pid for pid in _processes() if _parent(pid) == self.pid and _runs(pid, name)]

    def tail(self) -> str:
        """Return the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text[-_LOG_TAIL:]


def run_command(argv: list[str | Path], *, stdin: str | None = None, deadline: float = _COMMAND_DEADLINE) -> str:
    """Run a command to its end and return what it printed; raise CommandFailedError if it failed."""
    command = [str(word) for word in argv]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=deadline)
    if done.returncode != 0:
        shown = " ".join([Path(command[0]).name, *command[1:]])
        raise CommandFailedError(f"{shown}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def processes_running(executable: Path) -> list[int]:
    """Return the ids of all processes that run this very file, whatever their parent is."""
    return [pid for pid in _processes() if _executable(pid) == str(executable.resolve())]


def processes_called(name: str, argument: str) -> list[int]:
    """Return the ids of all processes whose executable has this file name and whose command line this argument."""
    return [pid for pid in _processes() if _runs(pid, name) and argument in _command_line(pid)]


def freeze_process(pid: int) -> None:
    """Stop a process where it is, and wait until each of its threads stands still: the signal alone promises none."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    wait_until(lambda: all(_stands(thread) for thread in threads.iterdir()), 10, f"process {pid} stands still")


def thaw_process(pid: int) -> None:
    """Let a process go on."""
    os.kill(pid, signal.SIGCONT)


def kill_process(pid: int) -> None:
    """Kill one process by id; one that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Return ports that were free on loopback just now, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stands(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def _parent(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        # pid (name) state ppid …; the name may hold spaces and brackets
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def _executable(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink())
    return ""


def _command_line(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    return []


def _runs(pid: int, name: str) -> bool:
    return not name or Path(_executable(pid)).name == name
