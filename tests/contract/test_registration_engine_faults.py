"""What the person on call reads when a registration engine cannot be asked: the target, the namespace, what to do."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.clock import SettableClock
from tests.contract import servers
from tests.contract.certificates import self_signed
from tests.registration_engine.asking import hanging_up, refused, source_at, state_of
from tests.registration_engine.engine import ReferenceEngine, serving
from tests.registration_engine.scripted import Hanging, Refusing, raw
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.registration.model import State
from velero_vmservice.settings.registration import EngineSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("insecure", [True, False])
def test_an_engine_that_is_away_is_unavailable(*, insecure: bool) -> None:
    target = servers.refused().removeprefix("http://")

    error = refused(target, "cannot be reached", "Connection refused", "check the engine", insecure=insecure)

    assert isinstance(error, Unavailable)


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    assert isinstance(refused("engine.invalid:8443", "cannot be reached", "engine.invalid", "DNS"), Unavailable)


def test_an_engine_that_comes_back_is_asked_at_once() -> None:
    with serving(ReferenceEngine()) as target:
        source = source_at(target, insecure=True)
        assert source.observe("shop", [ExpectedVm(name="db-0")])["db-0"].state is State.UNKNOWN
    for _ in range(5):
        with pytest.raises(Unavailable):
            source.observe("shop", [ExpectedVm(name="db-0")])
    with serving(ReferenceEngine(), port=int(target.rpartition(":")[2])):
        assert source.observe("shop", [ExpectedVm(name="db-0")])["db-0"].state is State.UNKNOWN


@pytest.mark.parametrize("insecure", [True, False])
def test_an_engine_that_accepts_and_never_speaks_is_given_up(*, insecure: bool) -> None:
    with servers.silent() as url:
        target = url.removeprefix("http://")
        error = refused(target, "did not answer in time", "timeout_seconds", insecure=insecure, timeout_seconds=0.2)

    assert isinstance(error, Unavailable)


def test_an_engine_that_is_slow_is_given_up() -> None:
    engine = Hanging()
    with serving(engine) as target:
        error = refused(target, "did not answer in time", insecure=True, timeout_seconds=0.2)
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
            source.observe("shop", [ExpectedVm(name=f"vm-{number}") for number in range(10_000)])

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
    with hanging_up(after=sent) as target:
        error = refused(target, "engine", insecure=True)

    assert isinstance(error, Unavailable), why


def test_an_engine_that_stops_in_the_middle_of_a_call_is_unavailable() -> None:
    engine = Hanging()
    with ExitStack() as running:
        target = running.enter_context(serving(engine))

        def stop() -> None:
            engine.called.wait()
            running.close()

        stopping = threading.Thread(target=stop)
        stopping.start()
        error = refused(target, "engine", insecure=True)
        engine.released.set()
        stopping.join()

    assert isinstance(error, Unavailable)


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "502 Bad Gateway"])
def test_a_web_server_is_no_engine(status: str) -> None:
    page = servers.answering(status, "text/html", b"<html><body>Welcome to nginx!</body></html>")
    with servers.served(page) as url:
        error = refused(url.removeprefix("http://"), "does not speak gRPC", "web server", insecure=True)

    assert isinstance(error, InvalidSettings)


def test_a_web_server_behind_tls_is_no_engine(tmp_path: Path) -> None:
    context, authority = self_signed(tmp_path)
    (tmp_path / "ca.crt").write_text(authority)
    with servers.served(servers.answering("200 OK", "text/html", b"<html>"), tls=context) as url:
        target = url.removeprefix("https://")
        error = refused(target, "does not speak gRPC", ca_file=tmp_path / "ca.crt")

    assert isinstance(error, InvalidSettings)


def test_another_grpc_server_is_no_engine() -> None:
    with serving(raw(bytes, service="example.Other")) as target:
        error = refused(target, "does not serve vmservice.registration.v1", "Method not found", insecure=True)

    assert isinstance(error, InvalidSettings)


@pytest.mark.parametrize(
    "body", [b"<html>Welcome</html>", b"\xff\xff\xff\xff", b"\x0a\x7f", b"\x0a\x04\x0a\x02\xff\xfe"]
)
def test_bytes_that_are_no_answer_are_reported(body: bytes) -> None:
    with serving(raw(lambda: body)) as target:
        error = refused(target, "not a message of vmservice.registration.v1", "conformance", insecure=True)

    assert isinstance(error, InvalidSettings)


def test_an_answer_to_another_question_leaves_the_vm_unknown() -> None:
    with serving(raw(lambda: b"\x98\x06\x01")) as target:  # a message with a field that version 1 does not have
        assert state_of(target, insecure=True) is State.UNKNOWN


def test_an_answer_beyond_four_mebibytes_is_not_taken_in() -> None:
    answer = pb.GetRegistrationsResponse(registrations=[pb.Registration(name="db-0", message="x" * 5_000_000)])
    with serving(raw(answer.SerializeToString)) as target:
        error = refused(target, "answer is too long", "4194304", insecure=True)

    assert isinstance(error, Unavailable)


@pytest.mark.parametrize(
    ("code", "kind", "excerpt"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable, "not available (its own words)"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable, "in time"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable, "it is overloaded (its own words)"),
        (grpc.StatusCode.ABORTED, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.CANCELLED, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.DATA_LOSS, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.FAILED_PRECONDITION, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.INTERNAL, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.NOT_FOUND, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.UNKNOWN, Unavailable, "fails to answer (its own words)"),
        (grpc.StatusCode.UNAUTHENTICATED, Forbidden, "the plugin's identity (its own words)"),
        (grpc.StatusCode.PERMISSION_DENIED, Forbidden, "namespace (its own words)"),
        (grpc.StatusCode.UNIMPLEMENTED, InvalidSettings, "does not serve"),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidSettings, "refuses the question (its own words)"),
        (grpc.StatusCode.OUT_OF_RANGE, InvalidSettings, "refuses the question (its own words)"),
    ],
)
def test_a_status_of_the_engine_is_explained(code: grpc.StatusCode, kind: type[VmServiceError], excerpt: str) -> None:
    with serving(Refusing(code, "its own words")) as target:
        assert type(refused(target, excerpt, insecure=True)) is kind


def test_an_engines_words_are_bounded_and_printable() -> None:
    with serving(Refusing(grpc.StatusCode.UNAVAILABLE, "\x1b[2J\nvCenter " * 400)) as target:
        error = refused(target, "[2J vCenter", insecure=True)

    assert str(error).count("…") == 1


def test_words_that_sound_like_a_broken_handshake_are_still_the_engines_own() -> None:
    with serving(Refusing(grpc.StatusCode.UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED at vCenter")) as target:
        error = refused(target, "not available (CERTIFICATE_VERIFY_FAILED at vCenter)", insecure=True)

    assert isinstance(error, Unavailable)


def test_one_call_of_many_that_fails_fails_the_look() -> None:
    calls: list[int] = []

    def answer() -> bytes:
        calls.append(1)
        return b"" if len(calls) < 3 else b"nonsense"

    with serving(raw(answer)) as target, pytest.raises(InvalidSettings):
        source_at(target, insecure=True).observe("shop", [ExpectedVm(name=f"vm-{number}") for number in range(10_000)])

    assert len(calls) == 3
