"""The HTTP endpoint: `/metrics` for Prometheus, `/healthz` and `/readyz` for Kubernetes.

It has threads of its own and takes none from Velero's calls. Nothing else depends on it: if its port is taken, the
plugin serves without it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import make_wsgi_app

from velero_vmservice.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from velero_vmservice.monitoring.health import Health

log = structlog.get_logger()

CONNECTIONS: Final = 16
"""Connections that are served at once; more are closed without answer. Prometheus and the kubelet keep one or two."""
_SILENCE_SECONDS: Final = 5.0
"""How long a client may take for one part of its request."""
_CONNECTION_SECONDS: Final = 10.0
"""The longest duration of a connection; Prometheus waits no longer for an answer."""
_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, *, connection_seconds: float) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._connection_seconds = connection_seconds
        self._deadlines: dict[socket.socket, float] = {}
        self.address_family = _family(host)
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6 and not self.server_address[0]:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)  # the standard library would ask DNS for a name of the host first
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._deadlines[request] = time.monotonic() + self._connection_seconds
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def service_actions(self) -> None:
        """End the connections that have lasted too long; the server asks for this twice a second."""
        now = time.monotonic()
        for connection in [connection for connection, deadline in self._deadlines.copy().items() if deadline <= now]:
            with contextlib.suppress(OSError):  # it has already ended
                connection.shutdown(socket.SHUT_RDWR)

    def _forget(self, connection: socket.socket) -> None:
        del self._deadlines[connection]
        self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a client may hang up, and `_answer` has logged its own errors."""


class _Handler(WSGIRequestHandler):
    timeout = _SILENCE_SECONDS
    server_version, sys_version = "velero-vmservice", ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Log no request, because there is one every few seconds."""


@contextlib.contextmanager
def serving(
    address: str, health: Health, *, connection_seconds: float = _CONNECTION_SECONDS
) -> Iterator[tuple[str, int] | None]:
    """Serve until the block is left; gives host and port, or None if nothing is served.

    A port that cannot be opened is logged, never raised.
    """
    if not address:
        yield None
        return
    host, _, port = address.rpartition(":")
    try:
        server = _Server(host.strip("[]"), int(port), connection_seconds=connection_seconds)
    except OSError as error:
        log.warning(
            "metrics not served",
            endpoint=address,
            cause=error.strerror or str(error),
            hint="set metrics.address to a free port of the pod, or to nothing",
        )
        yield None
        return
    server.set_app(application(health))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    bound = server.server_address[:2]
    log.info("metrics served", endpoint=f"{address.rpartition(':')[0]}:{bound[1]}")
    try:
        yield str(bound[0]), int(bound[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def application(health: Health) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """Return the WSGI application that answers the three paths."""
    metrics = make_wsgi_app(REGISTRY)
    checks = {"/healthz": health.not_serving, "/readyz": health.not_ready}

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = metrics(environ, start)
            return body
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            start("405 Method Not Allowed", [*_TEXT, ("Allow", "GET, HEAD")])
            return [b"use GET\n"]
        if path not in checks:
            start("404 Not Found", [*_TEXT])
            return [b"there are /metrics, /healthz and /readyz\n"]
        reasons = list(checks[path]())
        start("503 Service Unavailable" if reasons else "200 OK", [*_TEXT])
        return [("\n".join(reasons or ["ok"]) + "\n").encode()]

    return answer


def _family(host: str) -> socket.AddressFamily:
    """Return IPv6 for an IPv6 address, and for all addresses of a host with both."""
    return socket.AF_INET6 if ":" in host or (not host and socket.has_dualstack_ipv6()) else socket.AF_INET
