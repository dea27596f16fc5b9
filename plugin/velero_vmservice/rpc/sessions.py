"""One launched process: a gRPC server on a socket of its own, and a log that Velero reads.

A session lives as long as the launcher's control connection. Its end frees its socket, threads and descriptors
and touches no other session. A call that is still running finishes on its own thread, without an answer.
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

from velero_vmservice import logs, metrics
from velero_vmservice.rpc import go_plugin, handshake, server
from velero_vmservice.rpc.running_calls import RunningCalls
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from collections.abc import Callable

    from velero_vmservice.rpc.server import ActionTable

    _Handler = grpc.RpcMethodHandler[Any, Any]

_CALLS: Final = 16
"""Calls of one session that run at once; more would queue, but Velero's workers and polls stay below it."""

_PATIENCE_SECONDS: Final = 0.25
"""How long a call waits if the reader of its log has stopped."""

_FAREWELL_SECONDS: Final = 0.5
"""How long an ended session waits for Velero to hang up before it cancels running calls."""

_MOST_UNSENT_BYTES: Final = 256 * 1024


class SessionLog:
    """Sends the session's lines to Velero's log; loses lines if calls would have to wait."""

    def __init__(self) -> None:
        self._connection: socket.socket | None = None
        self._unsent = bytearray()
        self._lost = 0
        self._lock = threading.Lock()

    def send_to(self, connection: socket.socket) -> None:
        """Use this connection, and close it at the end."""
        with self._lock:
            self._connection = connection

    def write(self, line: bytes) -> None:
        """Send one line, complete and in order; never raises. Does not wait for a reader that has already stopped."""
        with self._lock:
            if self._connection is None:
                return
            kept = len(self._unsent)
            self._send(self._connection, seconds=0)
            stopped = kept > 0 and len(self._unsent) == kept
            if len(self._unsent) + len(line) > _MOST_UNSENT_BYTES:
                self._lost += 1
                return
            if self._lost:
                self._unsent += logs.session_line({"event": "log lines lost", "level": "info", "lines": self._lost})
                self._lost = 0
            self._unsent += line
            self._send(self._connection, seconds=0 if stopped else _PATIENCE_SECONDS)

    def hang_up(self) -> None:
        """End the connection: the launcher exits, and waiting readers see the end."""
        with self._lock, contextlib.suppress(OSError):
            if self._connection is not None:
                self._take_leave(self._connection)
                self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; later lines are dropped."""
        with self._lock:
            if self._connection is not None:
                self._take_leave(self._connection)
                self._connection.close()
                self._connection = None

    def _take_leave(self, connection: socket.socket) -> None:
        self._unsent += handshake.FAREWELL
        self._send(connection, seconds=_PATIENCE_SECONDS)

    def _send(self, connection: socket.socket, *, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._unsent:
            try:
                del self._unsent[: connection.send(self._unsent)]
            except BlockingIOError:
                left = end - time.monotonic()
                if left <= 0 or not _writable(connection, left):
                    return
            except OSError:  # the launcher has gone, and with it the only reader
                self._unsent.clear()


class Session:
    """One launched process, from its handshake to its end.

    A session is made ahead of the launch, because making a gRPC server takes longer than the rest of a launch. Until
    `begin` no other process knows its socket. Raises `OSError` or `RuntimeError` if the socket cannot be made. Made and
    begun on the control thread.
    """

    def __init__(self, actions: ActionTable, sockets: handshake.SocketDirectory) -> None:
        self._name = sockets.new_name()
        self._socket = sockets.path / self._name
        self._command = ""
        self._begun = False
        self._log = SessionLog()
        self._ended = actions.ended
        self._over = threading.Event()
        self._calls = RunningCalls()
        self._pool = ThreadPoolExecutor(_CALLS + go_plugin.OPEN_STREAMS, thread_name_prefix=self._name)
        self._server = server.new_server(
            actions,
            command=lambda: self._command,
            pool=self._pool,
            interceptors=[_IntoSession(self._log.write, self._name, self._calls)],
        )
        go_plugin.add_to(self._server, over=self._over, end=self._log.hang_up)
        with sockets.private():
            self._server.add_insecure_port(f"unix:{self._socket}")
            self._server.start()

    def begin(self, connection: socket.socket, directory: str) -> None:
        """Hand the session to a launcher; `directory` is the plugins directory as Velero sees it."""
        self._begun = True
        metrics.SESSIONS.inc()
        self._command = handshake.inside(directory, server.LAUNCHER)
        self._log.send_to(connection)
        self._log.write(handshake.handshake_line(directory, self._name))

    def refuse(self) -> None:
        """Refuse all calls from now on; a new call gets the reason."""
        self._calls.refuse()

    def wait_for_calls(self, seconds: float) -> None:
        """Return when no call runs any more, or after `seconds`."""
        self._calls.wait(seconds)

    def drain(self, grace: float) -> threading.Event:
        """Stop the server; the event is set when its last answers have been sent, or after `grace` seconds."""
        self._over.set()
        return self._server.stop(grace)

    def close(self) -> None:
        """Free everything; waits a moment for Velero to hang up first, which ends its streams without an error."""
        if self._begun:
            metrics.SESSIONS.dec()
        with contextlib.suppress(OSError):
            self._socket.unlink(missing_ok=True)
        self._over.set()
        self._server.stop(_FAREWELL_SECONDS).wait()
        self._pool.shutdown(wait=False)
        self._log.close()
        self._ended(self._name)


class _IntoSession(grpc.ServerInterceptor):
    """Sends every line logged in a call to the call's session; gRPC gives each call a context of its own."""

    def __init__(self, send: Callable[[bytes], None], name: str, calls: RunningCalls) -> None:
        self._send = send
        self._name = name
        self._calls = calls

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], _Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        logs.SESSION.set(self._send)
        CALLER.set(self._name)
        structlog.contextvars.bind_contextvars(session=self._name)
        handler = continuation(handler_call_details)
        return handler and self._calls.guarded(handler_call_details.method, handler)


def _writable(connection: socket.socket, seconds: float) -> bool:
    poll = select.poll()  # select.select() supports only descriptors below 1024
    poll.register(connection, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
