"""The directory that Velero, the launcher and the plugin share, and the lines exchanged at a launch.

A launched process connects to `control.sock` and names the directory as Velero sees it, which may differ from the path
that the plugin sees. The answer is go-plugin's handshake line, which names a socket for this launch alone. The launcher
passes all later lines into Velero's log.

Velero executes every file of this directory with an execute bit, so no socket has one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import struct
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import AlreadyExists, InvalidItem, InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTROL: Final = "control.sock"
FAREWELL: Final = b"\x04"
"""The last byte to a launcher; a connection without it was cut because this process died."""
QUESTION: Final = b"serving?"
"""The line of a health check; it is not an absolute path, so no launcher sends it."""
SERVING: Final = b"serving\n"
MOST_HELLO_BYTES: Final = 4096
_SESSIONS: Final = "s-?????.sock"
"""As long as the control socket's name, so a directory with room for that one has room for these."""

_MOST_PATH_BYTES: Final = 107
"""A socket's path fits 108 bytes with its final NUL (unix(7))."""

_ROOT: Final = 0
_CREDENTIALS: Final = "iII"
"""Process, user and group (unix(7), SO_PEERCRED)."""
_SO_PEERGROUPS: Final = 59
"""From asm-generic/socket.h; Python has no name for it."""
_MOST_GROUPS: Final = 256
"""The number that Python asks the kernel for; a process in a pod has a handful."""

_BACKLOG: Final = 128
"""Launches that may wait while the plugin starts or makes a session; further launchers try again by themselves."""


class SocketDirectory:
    """The plugins directory, held by one server at a time, and its control socket.

    Sockets are for the plugin's user (0600), with `group_access` for the directory's group as well (0660).
    Raises `AlreadyExists` while another server uses the directory, and `InvalidSettings` if the directory cannot be
    written or its name is too long for a socket.

    `claim` is a descriptor of the directory that the launcher locked before it started this process.
    """

    def __init__(self, path: Path, *, group_access: bool = False, claim: int | None = None) -> None:
        self.path = path.absolute()
        self._group_access = group_access
        self._umask = 0o117 if group_access else 0o177
        if len(os.fsencode(self.path / CONTROL)) > _MOST_PATH_BYTES:
            raise InvalidSettings(
                f"the socket path {self.path / CONTROL} is longer than {_MOST_PATH_BYTES} bytes",
                hint="mount the plugins volume at a shorter path",
            )
        with contextlib.ExitStack() as undo:
            try:
                self._claim = _opened(self.path, claim)
                undo.callback(os.close, self._claim)
                fcntl.flock(
                    self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB
                )  # the kernel releases the lock when this process ends
                for left_by_a_predecessor in (self.path / CONTROL, *self.path.glob(_SESSIONS)):
                    left_by_a_predecessor.unlink(missing_ok=True)
                self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                undo.callback(self.listener.close)
                with self.private():
                    self.listener.bind(os.fspath(self.path / CONTROL))
                self.listener.listen(_BACKLOG)
            except BlockingIOError as error:
                raise AlreadyExists(
                    f"another server is running on {self.path}",
                    hint="stop it first: one sidecar serves one plugins directory",
                ) from error
            except OSError as error:
                raise InvalidSettings(
                    f"the plugins directory {self.path} cannot be used: {error.strerror}",
                    hint="mount a volume there that is shared with Velero and writable for the sidecar's user",
                ) from error
            self._release = undo.pop_all()

    @contextlib.contextmanager
    def private(self) -> Iterator[None]:
        """Make sockets without execute bit. The umask is the process's, so only the control thread may use this."""
        before = os.umask(self._umask)
        try:
            yield
        finally:
            os.umask(before)

    def new_name(self) -> str:
        """Return an unused name for a session's socket.

        At random, so that a Velero process that outlived its session never meets another session under that name.
        """
        while True:
            name = _SESSIONS.replace("?????", secrets.token_hex(3)[:5])
            if not (self.path / name).exists():
                return name

    def refusal(self, connection: socket.socket) -> str:
        """Return why the process at the other end is not a launcher of Velero's; '' if it may be one.

        The kernel enforces the same by the sockets' modes, but the volume's owner can change a mode.
        """
        _, user, group = struct.unpack(_CREDENTIALS, connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user in {os.geteuid(), _ROOT}:
            return ""
        if self._group_access and os.fstat(self._claim).st_gid in {group, *_other_groups(connection)}:
            return ""
        members = " or a member of the plugins directory's group" if self._group_access else ""
        return f"its user is {user}, and only {os.geteuid()}, root{members} may launch"

    def stop_listening(self) -> None:
        """Let new launchers wait for the next server; can be repeated."""
        self.listener.close()
        with contextlib.suppress(OSError):
            (self.path / CONTROL).unlink(missing_ok=True)

    def release(self) -> None:
        """Release the directory; can be repeated."""
        self.stop_listening()
        self._release.close()


def _opened(path: Path, claim: int | None) -> int:
    if claim is None:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.set_inheritable(claim, False)  # noqa: FBT003 - a credential helper must not hold it after this process has died
    return claim


def _other_groups(connection: socket.socket) -> tuple[int, ...]:
    """Return the supplementary groups of the process at the other end; a pod's fsGroup is one of them."""
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS * 4)
    except OSError:  # before Linux 4.13, or too many
        return ()
    return struct.unpack(f"{len(packed) // 4}I", packed)


def read_hello(line: bytes) -> str:
    """Return the directory that a launcher names; raises `InvalidItem` for anything but an absolute path."""
    try:
        directory = line.decode()
    except UnicodeDecodeError as error:
        raise _no_launcher(line) from error
    if not directory.startswith("/") or "|" in directory or not directory.isprintable():
        raise _no_launcher(line)
    return directory.rstrip("/") or "/"


def handshake_line(directory: str, name: str) -> bytes:
    """Return the line that go-plugin waits for: its protocol 1, Velero's 2, and the socket as Velero sees it."""
    return f"1|2|unix|{inside(directory, name)}|grpc\n".encode()


def inside(directory: str, name: str) -> str:
    """Return the path of a file as Velero sees it."""
    return f"{directory.rstrip('/')}/{name}"


def _no_launcher(line: bytes) -> InvalidItem:
    return InvalidItem(
        f"a connection to the control socket began with {line[:40]!r}, not with an absolute path",
        hint="find the other process that connects to the control socket; only the launcher beside it may",
    )
