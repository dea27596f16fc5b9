"""Certificate authorities of a storage location, read as Go reads them.

`x509.CertPool.AppendCertsFromPEM` silently ignores text that it does not understand, so a file that is encoded twice
would only show as an untrusted certificate.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from typing import Final

from velero_vmservice.errors import InvalidSettings

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_BLOCK: Final = re.compile(rf"^{_BEGIN}[ \t\r]*\n(.*?)^-----END CERTIFICATE-----", re.DOTALL | re.MULTILINE)


def certificates(data: bytes, what: str) -> str:
    """Return the certificates of a PEM file; raises `InvalidSettings` if there is none."""
    usable = [pem for block in _BLOCK.findall(data.decode("utf-8", "replace")) if (pem := _certificate(block))]
    if not usable:
        raise InvalidSettings(
            f"{what} holds no PEM certificate: {_guess(data)}", hint=f"give the text from {_BEGIN} on"
        )
    return "".join(usable)


def _certificate(block: str) -> str:
    """Return one certificate in PEM; '' if it is not a certificate."""
    try:
        der = base64.b64decode("".join(block.split()), validate=True)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (binascii.Error, ValueError, ssl.SSLError):
        return ""
    return ssl.DER_cert_to_PEM_cert(der)


def _guess(data: bytes) -> str:
    if _BEGIN.encode() not in data:
        return "encoded twice?" if _encoded(data) else "another file?"
    if b"\\n" in data:
        return r"its line ends are spelled \n"
    return "its lines are joined, indented or cut" if not _BLOCK.search(data.decode("utf-8", "replace")) else "damaged?"


def _encoded(data: bytes) -> bool:
    try:
        return _BEGIN.encode() in base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        return False
