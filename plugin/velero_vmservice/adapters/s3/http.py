"""Sends requests to a storage server: through Velero's proxy, and with limits on answers.

botocore reads a list or an error completely, without a limit of length or time, and lets Python choose the proxy. Its
`before-send` event allows another way to send a request.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.exceptions import HTTPClientError
from botocore.httpsession import ProxyConfiguration, URLLib3Session

from velero_vmservice.adapters.transport import tls
from velero_vmservice.adapters.transport.bounded_http import BoundedResponse
from velero_vmservice.adapters.transport.proxies import proxy_for, speaks_socks, through_socks
from velero_vmservice.errors import AnswerTooLong

if TYPE_CHECKING:
    import ssl

    import botocore.session

LONGEST_ANSWER: Final = 32 * 1024 * 1024
"""Limit in bytes for an object, a page of a list or an error. The facts of 10,000 VMs and their report are shorter."""

CONNECT_SECONDS: Final = 3.0
_CONNECTIONS: Final = 32
"""One for each gRPC worker thread; with fewer, urllib3 warns and drops connections."""
_SOCKET_OPTIONS: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))


def send_bounded(session: botocore.session.Session, *, verify: bool | str | None, seconds: float) -> None:
    """Let all clients of the session, also the token service's, send through one bounded HTTP session."""
    if verify is None:
        verify = session.get_config_variable("ca_bundle") or True  # AWS_CA_BUNDLE
    http = _BoundedSession(verify=verify, seconds=seconds)

    def send(request: Any, **_: object) -> Any:
        return http.send(request)

    handler: Any = send  # the library's types have no return value
    session.register("before-send", handler)


class _BoundedSession(URLLib3Session):
    """Sends requests; an answer that exceeds the limits of seconds or bytes is an error."""

    def __init__(self, *, verify: bool | str, seconds: float) -> None:
        settings: dict[str, Any] = {
            "verify": verify,
            "timeout": (min(CONNECT_SECONDS, seconds), seconds),
            "max_pool_connections": _CONNECTIONS,
            "socket_options": list(_SOCKET_OPTIONS),
        }
        super().__init__(**settings)
        answer = partial(BoundedResponse, seconds=seconds, longest=LONGEST_ANSWER, packed=True)
        bounded = {
            "http": _pools(AWSHTTPConnectionPool, AWSHTTPConnection, answer),
            "https": _pools(AWSHTTPSConnectionPool, AWSHTTPSConnection, answer),
        }
        self._pool_classes_by_scheme = through_socks(bounded, proxy_for)
        vars(self)["_manager"].pool_classes_by_scheme = self._pool_classes_by_scheme
        self._proxy_config = _VelerosProxies()

    def _get_ssl_context(self) -> ssl.SSLContext:
        """Return a context that accepts the same certificates as Velero; botocore makes one for each proxy."""
        context: ssl.SSLContext = super()._get_ssl_context()  # type: ignore[misc]  # missing in its types
        tls.check_as_go(context)
        return context

    def send(self, request: Any) -> Any:
        """Send the request and return the answer; botocore reads an object's body later."""
        try:
            return super().send(request)
        except HTTPClientError as error:
            if isinstance(cause := error.kwargs.get("error"), AnswerTooLong):
                raise cause from None  # otherwise botocore sends the same request twice more
            raise


class _VelerosProxies(ProxyConfiguration):
    """Chooses the proxy for each request, because the host may begin with the bucket's name."""

    def proxy_url_for(self, url: str) -> Any:
        """Return the HTTP proxy's URL, None if the request goes to the server directly or through SOCKS."""
        proxy = proxy_for(url)
        return None if speaks_socks(proxy) else proxy or None


def _pools(pool: type[Any], connection: type[Any], answer: partial[BoundedResponse]) -> type[Any]:
    """Return a class of pools whose connections limit answers."""
    bounded = type(f"Bounded{connection.__name__}", (connection,), {"response_class": staticmethod(answer)})
    return type(f"Bounded{pool.__name__}", (pool,), {"ConnectionCls": bounded})
