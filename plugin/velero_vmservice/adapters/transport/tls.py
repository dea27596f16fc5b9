"""Accepts the same certificates as Go, because Velero connects to the same servers.

OpenSSL and Python differ from Go's crypto/x509 and from each other:

- Python 3.13 and later set VERIFY_X509_STRICT. It refuses authorities without key usage or subject key identifier and
  certificates without authority key identifier, as many of Kubernetes' and vCenter's own authorities make them.
- Go accepts any trusted certificate as the end of a chain, even an intermediate or the server's own. OpenSSL does so
  only with VERIFY_X509_PARTIAL_CHAIN, which Python sets since 3.13.
- Python refuses RSA keys of fewer than 2048 bits and ciphers with a SHA-1 code; Go accepts 1024 bits and these ciphers.
  Both refuse SHA-1 signatures.

Chain, dates and host name of a certificate are fully checked.
"""

from __future__ import annotations

import ssl
from typing import Final

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import resolve_cert_reqs

_CIPHERS: Final = "@SECLEVEL=1:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!AESCCM"
"""Python's own list, except for the level and SHA-1 codes."""


def client_context(*, ca_file: str | None = None, verify: bool = True) -> ssl.SSLContext:
    """Return a context for connections; without a file it trusts no authority until the caller loads some.

    Raises `OSError` for a missing file, and its subclass `ssl.SSLError` for a file without PEM certificates.
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
    """Let a context of any library accept the same certificates as Go."""
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_TRUSTED_FIRST
    context.set_ciphers(_CIPHERS)


class GoConnection(HTTPSConnection):
    """A connection of urllib3 that accepts the same certificates as Go.

    Each connection has its own context: a shared one must not change while a connection uses it, and urllib3 loads
    authorities and client certificates into it each time.
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
