"""TLS to a registration engine: the content of the settings' files, and the reason for a closed connection.

The files are read for every look, so renewed certificates take effect without a restart. gRPC only reports "Socket
closed" when the other side hangs up; a separate handshake finds out the reason.
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
"""Words in a TLS alert about a refused client certificate."""


class HungUp(Enum):
    """Why the other side hangs up."""

    UNKNOWN = auto()
    SPEAKS_TLS = auto()
    """It speaks TLS, and the plugin did not."""
    CLIENT_CERTIFICATE = auto()
    """It wants a client certificate, or another one."""


def credentials(settings: EngineSettings) -> grpc.ChannelCredentials:
    """Return the content of the settings' files; without `ca_file`, the public authorities in gRPC.

    gRPC would report an unusable file as an unreachable engine. Raises `InvalidSettings` with the name of the file, but
    without its content.
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
    context.verify_mode = ssl.CERT_NONE  # nothing is sent, and its answer is not trusted
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
        pass  # no server there, or no usable one
    return HungUp.UNKNOWN


def _after_handshake(secured: ssl.SSLSocket) -> HungUp:
    """Find out whether the other side sends data.

    In TLS 1.3 a server checks the client's certificate after the handshake. If it refuses the certificate, it sends an
    alert, or hangs up without one, like gRPC's own server. Otherwise it begins with HTTP/2's settings.
    """
    try:
        return HungUp.UNKNOWN if secured.recv(1) else HungUp.CLIENT_CERTIFICATE
    except ConnectionError:
        return HungUp.CLIENT_CERTIFICATE


def _load_pair(context: ssl.SSLContext, settings: EngineSettings) -> None:
    if settings.certificate_file and settings.key_file:
        # With an empty password an encrypted key is refused; with none, OpenSSL would ask a terminal for it.
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
