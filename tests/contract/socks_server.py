"""A SOCKS proxy on 127.0.0.1."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
from anyio.from_thread import start_blocking_portal
from tiny_proxy import Socks5Proxy, Socks5ProxyHandler

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def socks_proxy(url: str, *, username: str = "", password: str = "") -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Lead SOCKS connections to the server at `url`; yields the proxy's `HOST:PORT` and the hosts asked for."""
    hosts: list[tuple[str, int]] = []
    port = int(url.rpartition(":")[2])

    class Leading(Socks5Proxy):
        async def negotiate(self) -> tuple[str, int]:
            hosts.append(await super().negotiate())
            return "127.0.0.1", port

    class Handler(Socks5ProxyHandler):
        def create_proxy(self, stream: Any) -> Socks5Proxy:
            return Leading(stream, self.username, self.password)

    with start_blocking_portal() as portal:
        listener = portal.call(partial(anyio.create_tcp_listener, local_host="127.0.0.1"))
        serving = portal.start_task_soon(listener.serve, Handler(username, password).handle)
        yield f"127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}", hosts
        serving.cancel()
        portal.call(listener.aclose)
