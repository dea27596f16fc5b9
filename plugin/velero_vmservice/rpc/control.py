"""The control socket: accepts launches, and notices when launchers have gone.

One thread accepts launchers and watches their connections. Calls run on the sessions' own threads, so a slow call does
not delay a new launch.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice import metrics
from velero_vmservice.errors import InvalidSettings, VmServiceError
from velero_vmservice.rpc import handshake
from velero_vmservice.rpc.sessions import Session

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from velero_vmservice.rpc.server import ActionTable

log = structlog.get_logger()

_HELLO_SECONDS: Final = 5.0
"""A launcher sends its line at once; a connection that stays silent this long is closed."""


_PAUSE_SECONDS: Final = 0.1


@dataclass(slots=True)
class _Stranger:
    """A connection that has not yet sent its first line."""

    accepted: float
    received: bytearray = field(default_factory=bytearray)

    @property
    def deadline(self) -> float:
        return self.accepted + _HELLO_SECONDS


class PluginServer:
    """Serves every process that Velero launches from one plugins directory.

    Launchers can connect as soon as the server exists; `serve` answers them. Raises the errors of `SocketDirectory`.
    It is a context manager: the end of the block lets running calls finish and frees everything.

    Args:
        directory: the plugins volume, as this process sees it.
        actions: the actions to list and serve.
        group_access: let the directory's group use the sockets too, in addition to the plugin's user.
        drain_seconds: time limit for running calls when the server ends.
        claim: a descriptor of the directory, already locked for this process.
    """

    def __init__(
        self,
        directory: Path,
        actions: ActionTable,
        *,
        group_access: bool = False,
        drain_seconds: float = 20.0,
        claim: int | None = None,
    ) -> None:
        self._sockets = handshake.SocketDirectory(directory, group_access=group_access, claim=claim)
        self._actions = actions
        self._drain_seconds = drain_seconds
        self._stop, self._stopped = socket.socketpair()
        self._stopped.setblocking(False)  # noqa: FBT003 - its only parameter
        self._connections: dict[socket.socket, _Stranger | Session] = {}
        self._spare: Session | None = None
        self._selector = selectors.DefaultSelector()
        self._closing = ThreadPoolExecutor(4, thread_name_prefix="session-end")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drain()
        self._selector.close()
        self._stop.close()
        self._stopped.close()

    def stop(self) -> None:
        """Let `serve` return; can be repeated, from any thread or a signal handler."""
        with contextlib.suppress(OSError):
            self._stop.shutdown(socket.SHUT_WR)

    def serve(self) -> None:
        """Answer launchers until `stop`."""
        self._watch(self._sockets.listener)
        self._watch(self._stopped)
        while True:
            self._prepare()
            ready = [key.data for key, _ in self._selector.select(self._silence())]
            if self._stopped in ready:
                return
            for source in ready:
                if source is self._sockets.listener:
                    self._accept()
                else:
                    self._hear(source)

    def _watch(self, source: socket.socket) -> None:
        self._selector.register(source, selectors.EVENT_READ, data=source)

    def _accept(self) -> None:
        try:
            connection, _ = self._sockets.listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # out of descriptors or memory: the launcher waits until others end
            metrics.LAUNCHES_FAILED.inc()
            log.error("launch not accepted", cause=str(error))
            time.sleep(_PAUSE_SECONDS)
            return
        if refusal := self._sockets.refusal(connection):
            metrics.LAUNCHES_FAILED.inc()
            log.warning("launch refused", cause=refusal, code=InvalidSettings.code)
            connection.close()
            return
        connection.setblocking(False)  # noqa: FBT003 - its only parameter
        self._connections[connection] = _Stranger(accepted=time.monotonic())
        self._watch(connection)

    def _hear(self, connection: socket.socket) -> None:
        """Read the one line of a launcher, and later notice that it has gone."""
        try:
            data = connection.recv(handshake.MOST_HELLO_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        known = self._connections[connection]
        if not data:
            self._forget(connection)
        elif isinstance(known, _Stranger):
            known.received += data
            if b"\n" in known.received or len(known.received) > handshake.MOST_HELLO_BYTES:
                self._answer(connection, bytes(known.received.partition(b"\n")[0]), known.accepted)

    def _answer(self, connection: socket.socket, hello: bytes, accepted: float) -> None:
        if hello != handshake.QUESTION:
            self._begin(connection, hello, accepted)
            return
        with contextlib.suppress(OSError):
            connection.sendall(handshake.SERVING)
        self._forget(connection)

    def _begin(self, connection: socket.socket, hello: bytes, accepted: float) -> None:
        try:
            directory = handshake.read_hello(hello)
            session = self._spare or Session(self._actions, self._sockets)
            self._spare = None
            self._connections[connection] = session
            session.begin(connection, directory)
            metrics.LAUNCHES.observe(time.monotonic() - accepted)
        except VmServiceError as error:
            metrics.LAUNCHES_FAILED.inc()
            log.warning("launch refused", cause=str(error), code=error.code)
            self._forget(connection)
        except Exception:  # a failed launch must not end the thread that all others need
            metrics.LAUNCHES_FAILED.inc()
            log.exception("launch failed; the launcher will try again")
            self._forget(connection)

    def _prepare(self) -> None:
        """Have a session ready for the next launch."""
        try:
            self._spare = self._spare or Session(self._actions, self._sockets)
        except Exception:  # the next launch tries again, and logs
            log.exception("no session could be prepared")

    def _silence(self) -> float | None:
        """Drop connections that never spoke; return how long the next one may stay silent."""
        now = time.monotonic()
        strangers = {peer: known for peer, known in self._connections.items() if isinstance(known, _Stranger)}
        for connection in [peer for peer, known in strangers.items() if known.deadline <= now]:
            self._forget(connection)
            del strangers[connection]
        return min((known.deadline - now for known in strangers.values()), default=None)

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        known = self._connections.pop(connection)
        if isinstance(known, Session):
            self._closing.submit(known.close)
        else:
            connection.close()

    def _drain(self) -> None:
        """Begin nothing, let running calls finish, end every session."""
        self._sockets.stop_listening()
        end = time.monotonic() + self._drain_seconds
        sessions = [known for known in self._connections.values() if isinstance(known, Session)]
        if sessions:
            log.info("draining", session_count=len(sessions))
        for session in sessions:
            session.refuse()
        for session in sessions:  # no server stops before the last call has ended: until then new calls get the reason
            session.wait_for_calls(max(0.0, end - time.monotonic()))
        for finished in [session.drain(max(0.0, end - time.monotonic())) for session in sessions]:
            finished.wait(max(0.0, end - time.monotonic()))
        for connection in list(self._connections):
            self._forget(connection)
        if self._spare is not None:
            self._spare.close()
        self._closing.shutdown(wait=True)
        self._sockets.release()
