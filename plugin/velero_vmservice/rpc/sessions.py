"""One launched process: a gRPC server on a socket of its own, and a log that Velero reads.

A session lives as long as the launcher's control connection. Ending it frees its socket, threads and descriptors
and touches no other session; a call that is still running finishes on its own thread, unanswered.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog

from velero_vmservice import logs
from velero_vmservice.rpc import go_plugin, handshake, server

if TYPE_CHECKING:
    from collections.abc import Callable

    from velero_vmservice.rpc.server import ActionTable

    _Handler = grpc.RpcMethodHandler[Any, Any]

_CALLS: Final = 16
"""Calls of one session that run at once; Velero's item workers and operation polls stay below it, more would queue."""

_PATIENCE_SECONDS: Final = 0.25
"""How long one call may wait for a reader of its log that has stopped."""

_MOST_UNSENT_BYTES: Final = 256 * 1024


class SessionLog:
    """The session's lines on their way to Velero's log; rather loses lines than lets calls wait."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unsent = bytearray()
        self._lost = 0
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        """Send one line, whole and in order; never raises. Waits only for a reader that was not already late."""
        with self._lock:
            late = bool(self._unsent)
            if len(self._unsent) + len(line) > _MOST_UNSENT_BYTES:
                self._send(deadline=0)
            if len(self._unsent) + len(line) > _MOST_UNSENT_BYTES:
                self._lost += 1
                return
            if self._lost:
                self._unsent += logs.session_line({"event": "log lines lost", "level": "info", "lines": self._lost})
                self._lost = 0
            self._unsent += line
            self._send(deadline=0 if late else time.monotonic() + _PATIENCE_SECONDS)

    def hang_up(self) -> None:
        """End the connection: the launcher exits, and whoever waits for the connection's end is told."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; later lines vanish."""
        with self._lock:
            self._connection.close()

    def _send(self, *, deadline: float) -> None:
        while self._unsent:
            try:
                del self._unsent[: self._connection.send(self._unsent)]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not _writable(self._connection, left):
                    return
            except OSError:  # the launcher has gone, and with it every reader
                self._unsent.clear()


class Session:
    """One launched process, from its handshake to its end.

    Made on the control thread; raises `OSError` or `RuntimeError` when its socket cannot be made.
    """

    def __init__(
        self,
        connection: socket.socket,
        actions: ActionTable,
        *,
        directory: str,
        sockets: handshake.SocketDirectory,
    ) -> None:
        name = sockets.new_name()
        self._socket = sockets.path / name
        self._log = SessionLog(connection)
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(_CALLS + go_plugin.OPEN_STREAMS, thread_name_prefix=name)
        self._server = server.new_server(
            actions,
            command=handshake.inside(directory, server.LAUNCHER),
            pool=self._pool,
            interceptors=[_IntoSession(self._log.write, name)],
        )
        go_plugin.add_to(self._server, over=self._over, end=self._log.hang_up)
        with sockets.private():
            self._server.add_insecure_port(f"unix:{self._socket}")
            self._server.start()
        self._log.write(handshake.handshake_line(directory, name))

    def drain(self, grace: float) -> threading.Event:
        """Refuse new calls, let running ones finish; the event is set when they have, or `grace` seconds passed."""
        self._over.set()
        return self._server.stop(grace)

    def close(self) -> None:
        """Free everything; may wait some milliseconds for gRPC's own thread."""
        with contextlib.suppress(OSError):
            self._socket.unlink(missing_ok=True)
        self._over.set()
        self._server.stop(None)
        self._pool.shutdown(wait=False)
        self._log.close()


class _IntoSession(grpc.ServerInterceptor):
    """Lets every line logged in a call go to the call's session; gRPC gives each call a context of its own."""

    def __init__(self, send: Callable[[bytes], None], name: str) -> None:
        self._send = send
        self._name = name

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], _Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        logs.SESSION.set(self._send)
        structlog.contextvars.bind_contextvars(session=self._name)
        return continuation(handler_call_details)


def _writable(connection: socket.socket, seconds: float) -> bool:
    poll = select.poll()  # select.select() knows descriptors below 1024 only
    poll.register(connection, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
