"""What the person on call reads when a registration engine cannot be asked: the target, the namespace, what to do."""

from __future__ import annotations

import socketserver
import ssl
import threading
import traceback
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from tests.clock import SettableClock
from tests.contract import servers
from tests.contract.certificates import self_signed
from tests.registration_engine.engine import ReferenceEngine, serving
from tests.registration_engine.scripted import Hanging, Refusing, raw
from tests.registration_engine.tls import Identity, identity
from velero_vmservice.adapters.registration_engine import RegistrationEngine
from velero_vmservice.core.errors import Forbidden, InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.core.registration import State, Wanted
from velero_vmservice.engine_settings import EngineSettings
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _source(target: str, **changes: Any) -> RegistrationEngine:
    settings: dict[str, Any] = {"timeout_seconds": 10.0} | changes
    return RegistrationEngine(EngineSettings(target=target, **settings), SettableClock())


def _state(target: str, **changes: Any) -> State:
    return _source(target, **changes).observe("shop", [Wanted(name="db-0")])["db-0"].state


def _refusal(target: str, *words: str, **changes: Any) -> VmServiceError:
    """Let the question fail and check what every message must hold."""
    with pytest.raises(VmServiceError) as caught:
        _state(target, **changes)
    told = str(caught.value)
    assert caught.value.hint, told
    assert told.isprintable(), told
    assert len(told) < 600, told
    for word in words:
        assert word in told, f"{word!r} is missing in: {told}"
    return caught.value


def _asking(target: str, *words: str, **changes: Any) -> VmServiceError:
    """Let the question fail on the way, or at the engine."""
    return _refusal(target, f'at {target} about namespace "shop": ', *words, **changes)


@pytest.fixture(name="ours", scope="module")
def _ours(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("ours"), "engine")


@pytest.fixture(name="foreign", scope="module")
def _foreign(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("foreign"), "other")


@contextmanager
def _hanging_up(*, after: bytes) -> Iterator[str]:
    """Accept, read, send something and hang up; yields host and port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(after)
            self.request.recv(65536)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


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
            with suppress(OSError):
                context.wrap_socket(self.request, server_side=True).recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_engine_behind_a_known_authority_is_believed(ours: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        assert _state(target, ca_file=ours.certificate) is State.ABSENT


@pytest.mark.parametrize("trusted", ["another authority", "the public ones"])
def test_an_unknown_authority_is_told(trusted: str, ours: Identity, foreign: Identity) -> None:
    authorities = {"ca_file": foreign.certificate} if trusted == "another authority" else {}
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        error = _asking(target, "TLS certificate is not trusted", "CERTIFICATE_VERIFY_FAILED", "ca_file", **authorities)

    assert isinstance(error, InvalidSettings)


def test_a_certificate_for_another_host_is_told(ours: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        error = _asking(target.replace("127.0.0.1", "localhost"), "for another host", ca_file=ours.certificate)

    assert isinstance(error, InvalidSettings)


def test_plaintext_is_spoken_only_where_the_settings_say_so(ours: Identity) -> None:
    with serving(ReferenceEngine()) as target:
        assert _state(target, insecure=True) is State.ABSENT
        error = _asking(target, "does not speak TLS", "insecure", ca_file=ours.certificate)

    assert isinstance(error, InvalidSettings)


def test_plaintext_against_tls_is_told(ours: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        error = _asking(target, "it speaks TLS", "leave out insecure", insecure=True)

    assert isinstance(error, InvalidSettings)


def test_a_client_certificate_is_shown_where_there_is_one(ours: Identity, foreign: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves(trusting=foreign)) as target:
        trusted = {"ca_file": ours.certificate}
        assert _state(target, **trusted, certificate_file=foreign.certificate, key_file=foreign.key) is State.ABSENT
        missing = _asking(target, "client certificate", "certificate_file", **trusted)
        wrong = _asking(target, "client certificate", **trusted, certificate_file=ours.certificate, key_file=ours.key)

    assert isinstance(missing, Forbidden)
    assert isinstance(wrong, Forbidden)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_refused_client_certificate_is_told_whenever_tls_tells_it(
    version: ssl.TLSVersion, ours: Identity, foreign: Identity
) -> None:
    with _wanting_certificates(ours, foreign, version) as target:
        trusted = {"ca_file": ours.certificate}
        missing = _asking(target, **trusted)
        wrong = _asking(target, "client certificate", **trusted, certificate_file=ours.certificate, key_file=ours.key)
        plaintext = _asking(target, "it speaks TLS", insecure=True)

    assert isinstance(missing, Forbidden)
    assert isinstance(wrong, Forbidden)
    assert isinstance(plaintext, InvalidSettings)


def test_plaintext_against_an_engine_that_wants_client_certificates_is_told(ours: Identity, foreign: Identity) -> None:
    with serving(ReferenceEngine(), tls=ours.serves(trusting=foreign)) as target:
        assert isinstance(_asking(target, "it speaks TLS", insecure=True), InvalidSettings)


def test_a_renewed_authority_is_taken_without_a_restart(ours: Identity, foreign: Identity, tmp_path: Path) -> None:
    mounted = tmp_path / "ca.crt"
    mounted.write_bytes(foreign.certificate.read_bytes())
    with serving(ReferenceEngine(), tls=ours.serves()) as target:
        source = _source(target, ca_file=mounted)
        with pytest.raises(InvalidSettings):
            source.observe("shop", [Wanted(name="db-0")])
        mounted.write_bytes(ours.certificate.read_bytes())

        assert source.observe("shop", [Wanted(name="db-0")])["db-0"].state is State.ABSENT


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n", None])
def test_authorities_that_cannot_be_used_are_told(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_bytes(content)

    assert isinstance(_refusal("127.0.0.1:9", str(file), "ca_file", "mount", ca_file=file), InvalidSettings)


def test_a_key_that_is_another_certificates_or_encrypted_is_told_and_never_shown(
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
        error = _refusal("127.0.0.1:9", "key_file", str(key), certificate_file=ours.certificate, key_file=key)
        shown = "".join(traceback.format_exception(error))
        assert isinstance(error, InvalidSettings)
        assert plain.decode().splitlines()[1] not in shown


def test_a_certificate_and_its_key_may_lie_in_one_file(ours: Identity, foreign: Identity, tmp_path: Path) -> None:
    both = tmp_path / "client.pem"
    both.write_bytes(foreign.key.read_bytes() + foreign.certificate.read_bytes())
    with serving(ReferenceEngine(), tls=ours.serves(trusting=foreign)) as target:
        assert _state(target, ca_file=ours.certificate, certificate_file=both, key_file=both) is State.ABSENT


@pytest.mark.parametrize("insecure", [True, False])
def test_an_engine_that_is_away_is_unavailable(*, insecure: bool) -> None:
    target = servers.refused().removeprefix("http://")

    error = _asking(target, "cannot be reached", "Connection refused", "asked again", insecure=insecure)

    assert isinstance(error, Unavailable)


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    assert isinstance(_asking("engine.invalid:8443", "cannot be reached", "engine.invalid", "DNS"), Unavailable)


def test_an_engine_that_comes_back_is_asked_at_once() -> None:
    with serving(ReferenceEngine()) as target:
        source = _source(target, insecure=True)
        assert source.observe("shop", [Wanted(name="db-0")])["db-0"].state is State.ABSENT
    for _ in range(5):
        with pytest.raises(Unavailable):
            source.observe("shop", [Wanted(name="db-0")])
    with serving(ReferenceEngine(), port=int(target.rpartition(":")[2])):
        assert source.observe("shop", [Wanted(name="db-0")])["db-0"].state is State.ABSENT


@pytest.mark.parametrize("insecure", [True, False])
def test_an_engine_that_accepts_and_never_speaks_is_given_up(*, insecure: bool) -> None:
    with servers.silent() as url:
        target = url.removeprefix("http://")
        error = _asking(target, "did not answer in time", "timeout_seconds", insecure=insecure, timeout_seconds=0.2)

    assert isinstance(error, Unavailable)


def test_an_engine_that_is_slow_is_given_up() -> None:
    engine = Hanging()
    with serving(engine) as target:
        error = _asking(target, "did not answer in time", insecure=True, timeout_seconds=0.2)
        engine.released.set()

    assert isinstance(error, Unavailable)


def test_all_calls_of_a_look_share_one_deadline() -> None:
    clock, calls = SettableClock(), []

    def answer() -> bytes:
        calls.append(clock.monotonic())
        clock.advance(6)
        return b""

    with serving(raw(answer)) as target:
        source = RegistrationEngine(EngineSettings(target=target, insecure=True, timeout_seconds=10), clock)
        with pytest.raises(Unavailable, match="in time"):
            source.observe("shop", [Wanted(name=f"vm-{number}") for number in range(10_000)])

    assert calls == [0.0, 6.0]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "closes at once"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "closes after HTTP/2's first frame"),
        (b"\x00\x00\x12\x04", "closes within a frame"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_engine_that_hangs_up_is_unavailable(sent: bytes, why: str) -> None:
    with _hanging_up(after=sent) as target:
        error = _asking(target, "asked again", insecure=True)

    assert isinstance(error, Unavailable), why


def test_an_engine_that_stops_in_the_middle_of_a_call_is_unavailable() -> None:
    engine = Hanging()
    with ExitStack() as running:
        target = running.enter_context(serving(engine))

        def stop() -> None:
            engine.asked.wait()
            running.close()

        stopping = threading.Thread(target=stop)
        stopping.start()
        error = _asking(target, "asked again", insecure=True)
        engine.released.set()
        stopping.join()

    assert isinstance(error, Unavailable)


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "502 Bad Gateway"])
def test_a_web_server_is_no_engine(status: str) -> None:
    page = servers.answering(status, "text/html", b"<html><body>Welcome to nginx!</body></html>")
    with servers.served(page) as url:
        error = _asking(url.removeprefix("http://"), "does not speak gRPC", "web server", insecure=True)

    assert isinstance(error, InvalidSettings)


def test_a_web_server_behind_tls_is_no_engine(tmp_path: Path) -> None:
    context, authority = self_signed(tmp_path)
    (tmp_path / "ca.crt").write_text(authority)
    with servers.served(servers.answering("200 OK", "text/html", b"<html>"), tls=context) as url:
        target = url.removeprefix("https://")
        error = _asking(target, "does not speak gRPC", ca_file=tmp_path / "ca.crt")

    assert isinstance(error, InvalidSettings)


def test_another_grpc_server_is_no_engine() -> None:
    with serving(raw(bytes, service="example.Other")) as target:
        error = _asking(target, "does not serve vmservice.registration.v1", "Method not found", insecure=True)

    assert isinstance(error, InvalidSettings)


@pytest.mark.parametrize(
    "body", [b"<html>Welcome</html>", b"\xff\xff\xff\xff", b"\x0a\x7f", b"\x0a\x04\x0a\x02\xff\xfe"]
)
def test_bytes_that_are_no_answer_are_told(body: bytes) -> None:
    with serving(raw(lambda: body)) as target:
        error = _asking(target, "not a message of vmservice.registration.v1", "conformance", insecure=True)

    assert isinstance(error, InvalidSettings)


def test_an_answer_to_another_question_leaves_the_machine_unknown() -> None:
    with serving(raw(lambda: b"\x98\x06\x01")) as target:  # a message with a field that version 1 does not have
        assert _state(target, insecure=True) is State.UNKNOWN


def test_an_answer_beyond_four_mebibytes_is_not_taken_in() -> None:
    answer = pb.GetRegistrationsResponse(registrations=[pb.Registration(name="db-0", message="x" * 5_000_000)])
    with serving(raw(answer.SerializeToString)) as target:
        error = _asking(target, "answer is too long", "4194304", insecure=True)

    assert isinstance(error, Unavailable)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable, "not available (its own words)"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable, "in time"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable, "too much to do (its own words)"),
        (grpc.StatusCode.ABORTED, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.CANCELLED, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.DATA_LOSS, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.FAILED_PRECONDITION, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.INTERNAL, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.NOT_FOUND, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.UNKNOWN, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.UNAUTHENTICATED, Forbidden, "who we are (its own words)"),
        (grpc.StatusCode.PERMISSION_DENIED, Forbidden, "namespace (its own words)"),
        (grpc.StatusCode.UNIMPLEMENTED, InvalidSettings, "does not serve"),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidSettings, "refuses the question (its own words)"),
        (grpc.StatusCode.OUT_OF_RANGE, InvalidSettings, "refuses the question (its own words)"),
    ],
)
def test_a_status_of_the_engine_is_explained(code: grpc.StatusCode, kind: type[VmServiceError], words: str) -> None:
    with serving(Refusing(code, "its own words")) as target:
        assert type(_asking(target, words, insecure=True)) is kind


def test_an_engines_words_are_bounded_and_printable() -> None:
    with serving(Refusing(grpc.StatusCode.UNAVAILABLE, "\x1b[2J\nvCenter " * 400)) as target:
        error = _asking(target, "[2J vCenter", insecure=True)

    assert str(error).count("…") == 1


def test_words_that_sound_like_a_broken_handshake_are_still_the_engines_own() -> None:
    with serving(Refusing(grpc.StatusCode.UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED at vCenter")) as target:
        error = _asking(target, "not available (CERTIFICATE_VERIFY_FAILED at vCenter)", insecure=True)

    assert isinstance(error, Unavailable)


def test_one_call_of_many_that_fails_fails_the_look() -> None:
    calls: list[int] = []

    def answer() -> bytes:
        calls.append(1)
        return b"" if len(calls) < 3 else b"nonsense"

    with serving(raw(answer)) as target, pytest.raises(InvalidSettings):
        _source(target, insecure=True).observe("shop", [Wanted(name=f"vm-{number}") for number in range(10_000)])

    assert len(calls) == 3


def test_a_listener_that_hangs_up_on_tls_is_not_taken_for_one_that_refuses_us(ours: Identity) -> None:
    with _hanging_up(after=b"") as target:
        assert isinstance(_asking(target, "asked again", ca_file=ours.certificate), Unavailable)
