"""The proxy for an address, and connections through SOCKS proxies.

urllib3's support for SOCKS needs PySocks, which had its last release in 2019, and botocore supports only HTTP proxies.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from urllib3 import exceptions

from velero_vmservice.adapters.transport.proxy_rules import SOCKS, SPOKEN, ProxySettings
from velero_vmservice.errors import InvalidSettings

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

_SOCKS_PORT: Final = 1080
"""Where an address names none, as in Go."""


def proxy_for(url: str, *, named: str = "") -> str:
    """Return the URL of the proxy for `url`: the `named` one, or else the environment's; '' for none.

    Raises `InvalidSettings` if its address is not a URL, or if Velero does not support its kind either.
    """
    try:
        proxy = named or ProxySettings.of_environment(os.environ).proxy_for(url)
        parts = urlsplit(proxy)
        valid = not proxy or (bool(parts.hostname) and parts.port != 0)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidSettings(
            f"cannot reach {url}: the proxy's address is not valid", hint="correct HTTPS_PROXY or HTTP_PROXY"
        )
    if proxy and parts.scheme not in SPOKEN:
        raise InvalidSettings(
            f"cannot reach {urlsplit(url).hostname} through the proxy {shown(proxy)}: "
            "only HTTP and SOCKS 5 proxies are supported",
            hint="name such a proxy in HTTPS_PROXY or HTTP_PROXY, or except the host in NO_PROXY",
        )
    return proxy


def speaks_socks(proxy: str) -> bool:
    """Say whether a URL is that of a SOCKS proxy."""
    return urlsplit(proxy).scheme in SOCKS


def proxy_shown(url: str) -> str:
    """Return the proxy for `url` without its password, for messages; '' if there is none or it is not valid."""
    try:
        return shown(proxy) if (proxy := proxy_for(url)) else ""
    except InvalidSettings:
        return ""


def shown(proxy: str) -> str:
    """Return the proxy's URL without its password."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def through_socks(pools: Mapping[str, type[Any]], proxy_of: Callable[[str], str]) -> dict[str, type[Any]]:
    """Return urllib3's kinds of pools, by scheme, with connections through the SOCKS proxy for the server, if any.

    `proxy_of` returns the proxy's URL for a server's URL, as `proxy_for` does. A connection raises what urllib3 raises.
    """
    return {scheme: _pool(scheme, pool, proxy_of) for scheme, pool in pools.items()}


def _pool(scheme: str, pool: type[Any], proxy_of: Callable[[str], str]) -> type[Any]:
    direct: type[Any] = pool.ConnectionCls

    def new_connection(self: Any) -> socket.socket:
        host = f"[{self.host}]" if ":" in self.host else self.host
        proxy = "" if self.proxy else proxy_of(f"{scheme}://{host}:{self.port}")  # its host is then the HTTP proxy's
        if not speaks_socks(proxy):
            return direct._new_conn(self)  # type: ignore[no-any-return]  # noqa: SLF001 - as urllib3.contrib.socks does
        return _connected(self, proxy)

    connection = type(direct.__name__, (direct,), {"_new_conn": new_connection})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _connected(connection: Any, proxy: str) -> socket.socket:
    import python_socks  # noqa: PLC0415 - 100 ms, and such proxies are rare
    from python_socks.sync import Proxy  # noqa: PLC0415

    parts = urlsplit(proxy)
    tunnel = Proxy(
        python_socks.ProxyType.SOCKS5,
        parts.hostname or "",
        parts.port or _SOCKS_PORT,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        rdns=True,
    )
    try:
        connected: socket.socket = tunnel.connect(connection.host, connection.port, timeout=connection.timeout)
    except python_socks.ProxyTimeoutError as error:
        raise exceptions.ConnectTimeoutError(connection, f"no answer in time, at the proxy {shown(proxy)}") from error
    except (python_socks.ProxyConnectionError, python_socks.ProxyError, OSError) as error:
        reason = getattr(error.__cause__, "strerror", None) or str(error) or type(error).__name__
        refused = f"{reason}, at the proxy {shown(proxy)}"
        raise exceptions.ProxyError(refused, OSError(refused)) from error
    for option in connection.socket_options or ():
        connected.setsockopt(*option)
    return connected
