"""TLS towards a registration engine: what the settings' files hold, and why a connection is closed in our face.

The files are read for every look, so that renewed certificates are taken without a restart. gRPC says no more than
"Socket closed" when the other side hangs up; what it hung up for is found out by a handshake of our own.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import grpc

from velero_vmservice.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from velero_vmservice.settings.registration import EngineSettings

ABOUT_CERTIFICATES: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
"""What a TLS alert speaks of when it is the client's certificate that is not accepted."""


class HungUp(Enum):
    """Why the other side hangs up."""

    UNKNOWN = auto()
    SPEAKS_TLS = auto()
    """And we did not."""
    CLIENT_CERTIFICATE = auto()
    """It wants one, or another one than ours."""


def credentials(settings: EngineSettings) -> grpc.ChannelCredentials:
    """Return what the files of the settings hold; without `ca_file`, the public authorities that gRPC brings.

    gRPC would report a file that cannot be used as an engine that is away. Raises `InvalidSettings` that names the
    file and never repeats what is in it.
    """
    authorities = certificate = key = None
    if settings.ca_file:
        with _usable("ca_file", settings.ca_file, "certificates in PEM"):
            authorities = settings.ca_file.read_bytes()
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities.decode())
    if settings.certificate_file:
        with _usable("certificate_file", settings.certificate_file, "a certificate in PEM"):
            certificate = settings.certificate_file.read_bytes()
    if settings.key_file:
        with _usable("key_file", settings.key_file, "the key of certificate_file, in PEM and not encrypted"):
            key = settings.key_file.read_bytes()
            _load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings)
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def hung_up(settings: EngineSettings, *, seconds: float) -> HungUp:
    """Find out why the other side hangs up; takes about `seconds` at most and never raises."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent, and nothing that it says is believed
    context.set_alpn_protocols(["h2"])
    host, port = settings.address
    try:
        _load_pair(context, settings)
        with (
            socket.create_connection((host, port), timeout=seconds) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            return HungUp.SPEAKS_TLS if settings.insecure else _after_handshake(secured)
    except ssl.SSLError as error:
        alert = "ALERT" in (error.reason or "")
        if alert and settings.insecure:
            return HungUp.SPEAKS_TLS
        if alert and any(word in error.reason for word in ABOUT_CERTIFICATES):
            return HungUp.CLIENT_CERTIFICATE
    except (OSError, ValueError):
        pass  # no server there, or none that can be asked
    return HungUp.UNKNOWN


def _after_handshake(secured: ssl.SSLSocket) -> HungUp:
    """See whether the other side speaks.

    In TLS 1.3 a server looks at the client's certificate after the handshake: one that does not accept it alerts or,
    as gRPC's own server, hangs up without a word; one that accepts it begins with HTTP/2's settings.
    """
    try:
        return HungUp.UNKNOWN if secured.recv(1) else HungUp.CLIENT_CERTIFICATE
    except ConnectionError:
        return HungUp.CLIENT_CERTIFICATE


def _load_pair(context: ssl.SSLContext, settings: EngineSettings) -> None:
    if settings.certificate_file and settings.key_file:
        # With an empty password, a key that needs one is refused; without, a terminal would be asked for it.
        context.load_cert_chain(settings.certificate_file, settings.key_file, password="")


@contextlib.contextmanager
def _usable(setting: str, file: Path, content: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        held = isinstance(error, (ssl.SSLError, ValueError))  # an SSLError is an OSError as well
        why = f"it does not hold {content}" if held else getattr(error, "strerror", "") or "it cannot be read"
        raise InvalidSettings(
            f"{setting} of the registration engine cannot be used: {file}: {why}",
            hint=f"mount a readable file that holds {content}, or correct the setting",
        ) from None  # the cause may quote the file
