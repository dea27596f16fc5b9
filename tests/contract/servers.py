"""HTTP servers on 127.0.0.1 that behave, misbehave, or do nothing at all."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

Application = Any
"""A WSGI application."""


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object, **__: object) -> None:
        """Requests are no news."""


@contextmanager
def served(application: Application, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve a WSGI application on a free port; yields its URL."""
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet, ssl_context=tls)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answering(status: str, content_type: str, body: bytes, **headers: str) -> Application:
    """Answer everything with the same bytes."""

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        swallow(environ)
        start(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers.items()])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    return application


@contextmanager
def silent() -> Iterator[str]:
    """Accept connections and never answer; yields a URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def breaking_off() -> Iterator[str]:
    """Promise a body and close the connection in the middle of it; yields a URL."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: x\r\nContent-Length: 100\r\n\r\nonly this"

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(head)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def pouring(
    tls: ssl.SSLContext | None, head: bytes, chunk: bytes, *, every: float = 0, first: bytes = b""
) -> Iterator[str]:
    """Answer with `head`, and then with chunk after chunk for as long as the client listens; yields a URL.

    The first request on a connection of its own gets `first` instead, if that is given; `every` is in seconds.
    """
    stop, begun = threading.Event(), threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with tls.wrap_socket(self.request, server_side=True) if tls else self.request as connection:
                    connection.recv(65536)
                    if first and not begun.is_set():
                        begun.set()
                        connection.sendall(first)
                        return
                    connection.sendall(head)
                    while not stop.wait(every):
                        connection.sendall(chunk)
            except OSError:
                return  # the client has hung up

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        stop.set()
        server.shutdown()
        thread.join()


@contextmanager
def tunnel(url: str) -> Iterator[tuple[str, list[bytes]]]:
    """Take CONNECT to any host and lead it to the server at `url`; yields the proxy's URL and the hosts asked for."""
    hosts: list[bytes] = []
    port = int(url.rpartition(":")[2])

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            hosts.append(self.request.recv(65536).split()[1])
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as behind:
                back = threading.Thread(target=_copy, args=(behind, self.request), daemon=True)
                back.start()
                _copy(self.request, behind)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", hosts
        server.shutdown()
        thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes until it ends."""
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


def refused() -> str:
    """Return a URL where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def swallow(environ: dict[str, Any]) -> None:
    """Read the request's body, or closing would reset the connection under the client."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
