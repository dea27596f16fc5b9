"""The proxy to ask for an address, if the plugin can go through it."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from velero_vmservice.core.errors import InvalidSettings
from velero_vmservice.core.proxy import SPOKEN, ProxySettings


def proxy_for(url: str, *, named: str = "") -> str:
    """Return the URL of the proxy to ask for `url`, '' for none: the one that is `named`, else the environment's.

    Raises `InvalidSettings` where its address is no URL, and where that proxy speaks SOCKS, which Go's programs know
    and this one does not.
    """
    try:
        proxy = named or ProxySettings.of_environment(os.environ).proxy_for(url)
        spoken = not proxy or urlsplit(proxy).scheme.lower() in SPOKEN
    except ValueError:
        raise InvalidSettings(
            f"cannot reach {url}: the proxy's address is not valid", hint="correct HTTPS_PROXY or HTTP_PROXY"
        ) from None
    if not spoken:
        raise InvalidSettings(
            f"cannot reach {urlsplit(url).hostname} through the proxy {shown(proxy)}: only HTTP proxies are supported",
            hint="name an HTTP proxy in HTTPS_PROXY or HTTP_PROXY, or except the host in NO_PROXY",
        )
    return proxy


def proxy_shown(url: str) -> str:
    """Return the proxy for `url` without its password, for messages; '' for none, and for one that is not valid."""
    try:
        return shown(proxy) if (proxy := proxy_for(url)) else ""
    except InvalidSettings:
        return ""


def shown(proxy: str) -> str:
    """Return the proxy's URL without its password."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
