"""How requests reach a storage server: through the proxy that Velero takes, and with answers that have an end.

botocore reads a list or an error whole, however long it is and however slowly it drips, and asks Python which proxy to
take. Its `before-send` event is the place to send a request by oneself.
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
"""Bytes of one object, page of a list or error. The facts of 10,000 VMs and the report on them are shorter."""

CONNECT_SECONDS: Final = 3.0
_CONNECTIONS: Final = 32
"""As many as gRPC worker threads may ask at once, or urllib3 warns and throws connections away."""
_SOCKET_OPTIONS: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))


def send_bounded(session: botocore.session.Session, *, verify: bool | str | None, seconds: float) -> None:
    """Let all clients of the session send through one bounded HTTP session, the token service's client as well."""
    if verify is None:
        verify = session.get_config_variable("ca_bundle") or True  # AWS_CA_BUNDLE
    http = _BoundedSession(verify=verify, seconds=seconds)

    def send(request: Any, **_: object) -> Any:
        return http.send(request)

    handler: Any = send  # the library's types say that nothing comes back
    session.register("before-send", handler)


class _BoundedSession(URLLib3Session):
    """Sends requests; an answer is whole within so many seconds and bytes, or it is an error."""

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
        """Return a context that accepts the certificates that Velero accepts; botocore makes one for each proxy."""
        context: ssl.SSLContext = super()._get_ssl_context()  # type: ignore[misc]  # its types leave that out
        tls.check_as_go(context)
        return context

    def send(self, request: Any) -> Any:
        """Send the request and return the answer, of which botocore has not read an object's body yet."""
        try:
            return super().send(request)
        except HTTPClientError as error:
            if isinstance(cause := error.kwargs.get("error"), AnswerTooLong):
                raise cause from None  # else botocore asks for the same length again, twice
            raise


class _VelerosProxies(ProxyConfiguration):
    """Decides for each request, because the host may begin with the bucket's name."""

    def proxy_url_for(self, url: str) -> Any:
        """Return the HTTP proxy's URL, None where the request goes to the server, directly or through SOCKS."""
        proxy = proxy_for(url)
        return None if speaks_socks(proxy) else proxy or None


def _pools(pool: type[Any], connection: type[Any], answer: partial[BoundedResponse]) -> type[Any]:
    """Return a kind of pool whose connections make bounded answers."""
    bounded = type(f"Bounded{connection.__name__}", (connection,), {"response_class": staticmethod(answer)})
    return type(f"Bounded{pool.__name__}", (pool,), {"ConnectionCls": bounded})
