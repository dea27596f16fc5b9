"""Which certificates are accepted: those that Go accepts, for Velero connects to the same servers.

OpenSSL and Python differ from Go's crypto/x509 and from each other:

- Python 3.13 and later set VERIFY_X509_STRICT. It refuses authorities without key usage or subject key identifier and
  certificates without authority key identifier, as many of Kubernetes' and vCenter's own authorities make them.
- Go takes any certificate that is named as trusted for the end of a chain, an intermediate or the server's own too.
  OpenSSL does so with VERIFY_X509_PARTIAL_CHAIN alone, which Python sets from 3.13 on.
- Python refuses RSA keys of fewer than 2048 bits and ciphers with a SHA-1 code; Go takes 1024 bits and has these
  ciphers. SHA-1 signatures are refused by both.

What makes a certificate trustworthy is checked in full: its chain, its dates, its host name.
"""

from __future__ import annotations

import ssl
from typing import Final

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import resolve_cert_reqs

_CIPHERS: Final = "@SECLEVEL=1:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!AESCCM"
"""Python's own list, but for the level and SHA-1 codes."""


def client_context(*, ca_file: str | None = None, verify: bool = True) -> ssl.SSLContext:
    """Return what to connect with; without a file it trusts no authority until the caller loads some.

    Raises `OSError` for a file that is not there, and its subclass `ssl.SSLError` for one without PEM certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    check_as_go(context)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def check_as_go(context: ssl.SSLContext) -> None:
    """Let a context, of whichever library, accept what Go accepts."""
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_TRUSTED_FIRST
    context.set_ciphers(_CIPHERS)


class GoConnection(HTTPSConnection):
    """A connection of urllib3 that accepts what Go accepts.

    The context is made with the connection: one that all share must not be changed once a connection uses it, and
    urllib3 loads authorities and client certificates into it each time.
    """

    def connect(self) -> None:
        """Connect; raises what urllib3 raises."""
        if self.ssl_context is None:
            verify = resolve_cert_reqs(self.cert_reqs) is ssl.CERT_REQUIRED
            self.ssl_context = client_context(verify=verify)
            if verify and not (self.ca_certs or self.ca_cert_dir or self.ca_cert_data):
                self.ssl_context.load_default_certs()
        super().connect()


class GoConnectionPool(HTTPSConnectionPool):
    """A pool of such connections."""

    ConnectionCls = GoConnection


POOLS: Final = {"http": HTTPConnectionPool, "https": GoConnectionPool}
"""For the `pool_classes_by_scheme` of a urllib3 pool manager."""
