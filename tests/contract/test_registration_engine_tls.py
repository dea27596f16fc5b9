"""TLS towards a registration engine: whom we trust, who trusts us, and what is said where that fails."""

from __future__ import annotations

import socketserver
import ssl
import threading
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from tests.registration_engine.asking import hanging_up, refusal, refused, source_at, state_of
from tests.registration_engine.engine import ReferenceEngine, serving
from tests.registration_engine.tls import Identity, identity
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable
from velero_vmservice.registration.model import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="ours", scope="module")
def _ours(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("ours"), "engine")


@pytest.fixture(name="foreign", scope="module")
def _foreign(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("foreign"), "other")


@contextmanager
def _wanting_certificates(ours: Identity, foreign: Identity, version: ssl.TLSVersion) -> Iterator[str]:
    """Speak TLS as OpenSSL does it, and only with those whose certificate is trusted; yields host and port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(ours.certificate, ours.key)
    context.load_verify_locations(foreign.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as connection:
                connection.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_engine_behind_a_known_authority_is_believed(ours: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        assert state_of(target, ca_file=ours.certificate) is State.UNKNOWN


@pytest.mark.parametrize("trusted", ["another authority", "the public ones"])
def test_an_unknown_authority_is_reported(trusted: str, ours: Identity, foreign: Identity) -> None:
    authorities = {"ca_file": foreign.certificate} if trusted == "another authority" else {}
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        error = refused(target, "TLS certificate is not trusted", "CERTIFICATE_VERIFY_FAILED", "ca_file", **authorities)

    assert isinstance(error, InvalidSettings)


def test_a_certificate_for_another_host_is_reported(ours: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        error = refused(target.replace("127.0.0.1", "localhost"), "for another host", ca_file=ours.certificate)

    assert isinstance(error, InvalidSettings)


def test_plaintext_is_spoken_only_where_the_settings_say_so(ours: Identity) -> None:
    with serving(ReferenceEngine()) as target:
        assert state_of(target, insecure=True) is State.UNKNOWN
        error = refused(target, "does not speak TLS", "insecure", ca_file=ours.certificate)

    assert isinstance(error, InvalidSettings)


def test_plaintext_against_tls_is_reported(ours: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        error = refused(target, "it speaks TLS", "leave out insecure", insecure=True)

    assert isinstance(error, InvalidSettings)


def test_a_client_certificate_is_shown_where_there_is_one(ours: Identity, foreign: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves(trusting=foreign)) as target:
        trusted = {"ca_file": ours.certificate}
        assert state_of(target, **trusted, certificate_file=foreign.certificate, key_file=foreign.key) is State.UNKNOWN
        missing = refused(target, "client certificate", "certificate_file", **trusted)
        wrong = refused(target, "client certificate", **trusted, certificate_file=ours.certificate, key_file=ours.key)

    assert isinstance(missing, Forbidden)
    assert isinstance(wrong, Forbidden)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_refused_client_certificate_is_reported_at_the_handshake_or_after_it(
    version: ssl.TLSVersion, ours: Identity, foreign: Identity
) -> None:
    with _wanting_certificates(ours, foreign, version) as target:
        trusted = {"ca_file": ours.certificate}
        missing = refused(target, **trusted)
        wrong = refused(target, "client certificate", **trusted, certificate_file=ours.certificate, key_file=ours.key)
        plaintext = refused(target, "it speaks TLS", insecure=True)

    assert isinstance(missing, Forbidden)
    assert isinstance(wrong, Forbidden)
    assert isinstance(plaintext, InvalidSettings)


def test_plaintext_against_an_engine_that_wants_client_certificates_is_reported(
    ours: Identity, foreign: Identity
) -> None:
    with serving(ReferenceEngine(), tls=ours.serves(trusting=foreign)) as target:
        assert isinstance(refused(target, "it speaks TLS", insecure=True), InvalidSettings)


def test_a_renewed_authority_is_taken_without_a_restart(ours: Identity, foreign: Identity, tmp_path: Path) -> None:
    mounted = tmp_path / "ca.crt"
    mounted.write_bytes(foreign.certificate.read_bytes())
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        source = source_at(target, ca_file=mounted)
        with pytest.raises(InvalidSettings):
            source.observe("shop", [ExpectedVm(name="db-0")])
        mounted.write_bytes(ours.certificate.read_bytes())

        assert source.observe("shop", [ExpectedVm(name="db-0")])["db-0"].state is State.UNKNOWN


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n", None])
def test_authorities_that_cannot_be_used_are_reported(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_bytes(content)

    assert isinstance(refusal("127.0.0.1:9", str(file), "ca_file", "mount", ca_file=file), InvalidSettings)


def test_a_key_that_is_another_certificates_or_encrypted_is_reported_and_never_shown(
    ours: Identity, foreign: Identity, tmp_path: Path
) -> None:
    plain = ours.key.read_bytes()
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        serialization.load_pem_private_key(plain, None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )

    for key in (foreign.key, locked, tmp_path / "none.key", tmp_path):
        error = refusal("127.0.0.1:9", "key_file", str(key), certificate_file=ours.certificate, key_file=key)
        shown = "".join(traceback.format_exception(error))
        assert isinstance(error, InvalidSettings)
        assert plain.decode().splitlines()[1] not in shown


def test_a_certificate_and_its_key_may_lie_in_one_file(ours: Identity, foreign: Identity, tmp_path: Path) -> None:
    both = tmp_path / "client.pem"
    both.write_bytes(foreign.key.read_bytes() + foreign.certificate.read_bytes())
    with serving(ReferenceEngine(), tls=ours.serves(trusting=foreign)) as target:
        assert state_of(target, ca_file=ours.certificate, certificate_file=both, key_file=both) is State.UNKNOWN


def test_a_listener_that_hangs_up_on_tls_is_not_taken_for_a_refusal(ours: Identity) -> None:
    with hanging_up(after=b"") as target:
        assert isinstance(refused(target, "engine", ca_file=ours.certificate), Unavailable)
