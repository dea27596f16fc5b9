"""The proxy of a request, by the same rules as in Velero.

Velero and its plugins are Go programs: `golang.org/x/net/http/httpproxy` reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY
for them. Python's libraries read the same variables differently: no CIDR ranges, loopback through the proxy, ALL_PROXY.
With different rules, one half of a backup could fail.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS: Final = {"http": "80", "https": "443"}
SOCKS: Final = frozenset({"socks5", "socks5h"})
"""Schemes of SOCKS proxies. Go's net/http lets the proxy resolve the server's name with either."""
SPOKEN: Final = SOCKS | {"http", "https"}
"""Schemes of proxies that net/http knows."""


@dataclass(frozen=True)
class ProxySettings:
    """The three variables; each proxy is a URL or `host:port`, `no_proxy` a list with commas."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> ProxySettings:
        """Read the variables: upper case before lower case, without ALL_PROXY."""
        return cls(*(variables.get(name) or variables.get(name.lower(), "") for name in _VARIABLES))

    def proxy_for(self, url: str) -> str:
        """Return the URL of the proxy for `url`; '' if there is none or the host is excepted."""
        parts = urlsplit(url)
        proxy = {"http": self.http, "https": self.https}.get(parts.scheme, "")
        if not proxy or self._excepted(parts.hostname or "", str(parts.port or _PORTS[parts.scheme])):
            return ""
        url_parts = urlsplit(proxy)
        return proxy if url_parts.scheme and url_parts.netloc else f"http://{proxy}"

    def _excepted(self, host: str, port: str) -> bool:
        name = _ascii(host.lower())
        address = _address(name.partition("%")[0])
        if name == "localhost" or (address is not None and address.is_loopback):
            return True
        return any(rule.matches(name, address, port) for rule in self._rules)

    @cached_property
    def _rules(self) -> tuple[_Rule, ...]:
        entries = [entry.strip().lower() for entry in self.no_proxy.split(",")]
        return tuple(rule for entry in entries if entry and (rule := _rule(entry)))


_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One entry of NO_PROXY; exactly one of `everything`, `network`, `address` and `domain` is given."""

    everything: bool = False
    network: _Network | None = None
    address: _Address | None = None
    domain: str = ""
    """With a dot at the beginning."""
    itself: bool = False
    """Whether the rule includes the domain itself, not only its subdomains."""
    port: str = ""

    def matches(self, name: str, address: _Address | None, port: str) -> bool:
        if self.everything:
            return True
        if self.network is not None:
            return address is not None and address in self.network
        if self.port not in {"", port}:
            return False
        if self.address is not None:
            return address == self.address
        # A domain never matches an address, even if their ends are equal.
        return address is None and (name.endswith(self.domain) or (self.itself and name == self.domain[1:]))


def _rule(entry: str) -> _Rule | None:
    if entry == "*":
        return _Rule(everything=True)
    if network := _network(entry):
        return _Rule(network=network)
    host, port = _split(entry)
    if not host:
        return None
    if address := _address(host):
        return _Rule(address=address, port=port)
    host = host.removeprefix("*") if host.startswith("*.") else host
    return _Rule(domain=f".{_ascii(host.removeprefix('.'))}", itself=not host.startswith("."), port=port)


def _split(entry: str) -> tuple[str, str]:
    """Split `host:port` as Go's SplitHostPort does; a text that it refuses is all host."""
    host, colon, port = entry.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return (host, port) if colon and ":" not in host and "[" not in entry else (entry, "")


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> _Network | None:
    _, slash, bits = text.partition("/")
    if not slash or not bits.isdecimal():  # Python would accept a mask of four numbers, Go does not
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
