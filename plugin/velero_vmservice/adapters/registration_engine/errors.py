"""The meaning of a failed call to a registration engine, in one sentence with target, namespace and remedy.

gRPC has one status for a restarting engine, a port without a server, an unknown authority and a web server:
UNAVAILABLE. Its text distinguishes them. If the text is unclear, the plugin does not assume the worst, and tries again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from grpc import StatusCode

from velero_vmservice.adapters.error_table import Meaning
from velero_vmservice.adapters.failed_requests import api_failed
from velero_vmservice.adapters.registration_engine.tls import ABOUT_CERTIFICATES, HungUp
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.metrics import Api
from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPENING: Final = re.compile(r"failed to connect|errors? resolving|DNS resolution failed", re.IGNORECASE)
"""The beginning of gRPC's text if there is no connection; any other text is from the engine or a proxy."""

_NOISE: Final = re.compile(
    r"failed to connect to all addresses; last error: |[A-Z_]+: (ipv[46]|unix):\S+ |: (OK|Invalid certificate\b.*)$"
    r"|\(TSI_\w+\): |SSL_ERROR_SSL: |error:[0-9a-f]+:SSL routines:OPENSSL_internal:|Stream removed "
)


_UNTRUSTED: Final = Meaning(
    InvalidSettings,
    "its TLS certificate is not trusted",
    "name the file of its authority in ca_file, or renew the certificate",
    quoted=True,
)
_OTHER_NAME: Final = Meaning(
    InvalidSettings,
    "its TLS certificate is for another host",
    "use a name in target that is in the certificate, or have one issued for this name",
)
_NO_TLS: Final = Meaning(
    InvalidSettings,
    "the server there does not speak TLS",
    "correct target, or set insecure where the way to the engine is protected otherwise",
)
_SPEAKS_TLS: Final = Meaning(
    InvalidSettings,
    "it speaks TLS, and the settings say insecure",
    "leave out insecure and name its authority in ca_file",
)
_WANTS_CERTIFICATE: Final = Meaning(
    Forbidden,
    "it does not accept the plugin's client certificate, or there is none",
    "set certificate_file and key_file to a certificate of an authority that the engine trusts",
)
_NO_HANDSHAKE: Final = Meaning(
    Forbidden,
    "it refuses the TLS handshake",
    "set certificate_file and key_file if it wants a client certificate, else look at its TLS versions and ciphers",
)
_NOT_GRPC: Final = Meaning(
    InvalidSettings,
    "the server there does not speak gRPC",
    "correct target, or look there for a web server, or for a proxy that does not pass HTTP/2",
)
_OTHER_SERVICE: Final = Meaning(
    InvalidSettings,
    "the server there does not serve vmservice.registration.v1.RegistrationEngine",
    "correct target, or use a release of the engine that serves it",
    quoted=True,
)
_NOT_THE_MESSAGE: Final = Meaning(
    InvalidSettings,
    "its answer is not a message of vmservice.registration.v1",
    "correct target, or use a release of the engine that passes the conformance tests",
)
_TOO_LONG: Final = Meaning(
    Unavailable,
    "its answer is too long",
    "use a release of the engine that keeps to the lengths in registration.proto",
    quoted=True,
)
_UNREACHABLE: Final = Meaning(
    Unavailable,
    "it cannot be reached",
    "check the engine, DNS, network policies and target",
    quoted=True,
)
_AWAY: Final = Meaning(Unavailable, "it is not available", "look at the engine and its log", quoted=True)
_SLOW: Final = Meaning(
    Unavailable,
    "it did not answer in time",
    "look at the engine, or raise timeout_seconds",
)
_BUSY: Final = Meaning(Unavailable, "it is overloaded", "look at the load of the engine", quoted=True)
_FAILING: Final = Meaning(Unavailable, "it fails to answer", "look at the engine's log", quoted=True)
_UNKNOWN_CALLER: Final = Meaning(
    Forbidden,
    "it does not accept the plugin's identity",
    "set certificate_file and key_file to a certificate that the engine accepts",
    quoted=True,
)
_DENIED: Final = Meaning(
    Forbidden,
    "it does not let the plugin see the namespace",
    "allow the plugin's client certificate the namespace in the engine",
    quoted=True,
)
_REFUSED: Final = Meaning(
    InvalidSettings,
    "it refuses the question",
    "use a release of the engine that passes the conformance tests",
    quoted=True,
)

_BY_WORD: Final[tuple[tuple[str, Meaning], ...]] = (
    ("CERTIFICATE_VERIFY_FAILED", _UNTRUSTED),
    ("Hostname Verification", _OTHER_NAME),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("ALPN", _NOT_GRPC),
    ("NO_APPLICATION_PROTOCOL", _NOT_GRPC),
    ("Failed parsing HTTP/2", _NOT_GRPC),
    ("http1", _NOT_GRPC),
    *((f"ALERT_{word}", _WANTS_CERTIFICATE) for word in ABOUT_CERTIFICATES),
    ("ALERT_BAD_CERTIFICATE", _WANTS_CERTIFICATE),
    ("ALERT_HANDSHAKE_FAILURE", _NO_HANDSHAKE),
)
"""Texts of gRPC's core about a failed connection; the first match counts."""

_BY_CODE: Final[Mapping[StatusCode, Meaning]] = {
    StatusCode.UNAVAILABLE: _AWAY,
    StatusCode.DEADLINE_EXCEEDED: _SLOW,
    StatusCode.RESOURCE_EXHAUSTED: _BUSY,
    StatusCode.UNAUTHENTICATED: _UNKNOWN_CALLER,
    StatusCode.PERMISSION_DENIED: _DENIED,
    StatusCode.UNIMPLEMENTED: _OTHER_SERVICE,
    StatusCode.INVALID_ARGUMENT: _REFUSED,
    StatusCode.OUT_OF_RANGE: _REFUSED,
}

_BY_HUNG_UP: Final[Mapping[HungUp, Meaning]] = {
    HungUp.SPEAKS_TLS: _SPEAKS_TLS,
    HungUp.CLIENT_CERTIFICATE: _WANTS_CERTIFICATE,
}


def translate(
    code: StatusCode, details: str, *, target: str, namespace: str, hung_up: Callable[[], HungUp]
) -> VmServiceError:
    """Return the error for the status and the text of a call.

    Args:
        code: the status.
        details: the status' details; the engine's, the library's or a proxy's.
        target: the engine, as the settings spell it.
        namespace: the namespace in the question.
        hung_up: finds out why the other side hangs up; called only if gRPC does not know.
    """
    meaning = _meaning(code, details, hung_up)
    what = f'cannot ask the registration engine at {target} about namespace "{namespace}"'
    return api_failed(Api.REGISTRATION, meaning.error(what, _NOISE.sub("", details)), code.name)


def no_question(error: Exception, *, target: str, namespace: str) -> VmServiceError:
    """Return the error for a question that cannot be sent, e.g. with a name that is not text."""
    return Unavailable(
        f'cannot ask the registration engine at {target} about namespace "{one_line(namespace)}": '
        f"the question cannot be sent ({type(error).__name__})",
        hint="look for a damaged name of a VM in the backup, and for proxy variables that gRPC cannot use",
    )


def _meaning(code: StatusCode, details: str, hung_up: Callable[[], HungUp]) -> Meaning:
    if code is StatusCode.UNAVAILABLE and _OPENING.search(details):
        if meaning_by_word := next((meaning for word, meaning in _BY_WORD if word in details), None):
            return meaning_by_word
        return _BY_HUNG_UP.get(hung_up(), _UNREACHABLE)
    if code is StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return _TOO_LONG
    if code is StatusCode.INTERNAL and "deserializing response" in details:
        return _NOT_THE_MESSAGE
    return _BY_CODE.get(code, _FAILING)
