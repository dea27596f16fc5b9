"""What the vCenter clients do when vCenter is away, slow, confused or says no: one line each, never a second call."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.clock import SettableClock
from tests.contract import servers
from tests.contract.certificates import self_signed
from velero_vmservice.adapters.vcenter import inventory
from velero_vmservice.adapters.vcenter.session import LOGIN_PAUSE_SECONDS
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import (
    AlreadyExists,
    AnswerTooLong,
    Forbidden,
    InvalidSettings,
    NotFound,
    NotSent,
    Rejected,
    TimedOut,
    Unavailable,
    VmServiceError,
)
from velero_vmservice.settings.registration import VCenterSettings
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.network_override import SubnetMapping

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from velero_vmservice.adapters.vcenter.register_vm import VCenterRegisterVm

PASSWORD = "s3cret-of-vcenter"
SESSION = "/rest/com/vmware/cis/session"
REGISTER = "/api/vcenter/namespaces/instances/shop/registervm"
JSON = "application/json"
WANTED = [ExpectedVm(name="web-1")]


@dataclass
class Impostor:
    """A vCenter that answers RegisterVM as a test likes, and counts."""

    answers: list[tuple[str, str, bytes]] = field(default_factory=list)
    """The last one is repeated."""
    login: tuple[str, bytes] = ("200 OK", b'{"value": "a-session"}')
    requests: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    hang_up: bool = False
    """Close the connection instead of answering RegisterVM."""
    late: threading.Event | None = None
    """Answer RegisterVM only then."""

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.requests.append(path)
        status, kind, answer = self.login[0], JSON, self.login[1]
        if path == REGISTER:
            self.bodies.append(json.loads(body))
            if self.late:
                self.late.wait(10)
            if self.hang_up:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                return []
            status, kind, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        start(
            status, [("Content-Type", kind), ("Content-Length", str(len(answer))), ("Location", "https://evil.test/")]
        )
        return [answer]

    @property
    def calls(self) -> int:
        return self.requests.count(REGISTER)


class Place:
    """Where the impostor listens, and settings to reach it."""

    def __init__(self, url: str, ca_file: Path, impostor: Impostor, tls: ssl.SSLContext) -> None:
        self.impostor = impostor
        self.settings = VCenterSettings(
            server=url.rpartition("/")[2],
            user="velero@vsphere.local",
            password=PASSWORD,
            ca_file=ca_file,
            connect_timeout_seconds=2,
            timeout_seconds=2,
        )
        self.clock = SettableClock()
        self.tls = tls

    def register(self, **changed: Any) -> VCenterRegisterVm:
        return inventory.connect(self.settings.model_copy(update=changed), clock=self.clock).register_vm

    def look(self, **changed: Any) -> Any:
        with closing(inventory.connect(self.settings.model_copy(update=changed), clock=self.clock)) as connected:
            return connected.inventory.look("shop", WANTED)


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Iterator[Place]:
    tls, pem = self_signed(tmp_path)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(pem)
    impostor = Impostor()
    with servers.served(impostor, tls=tls) as url:
        yield Place(url, ca_file, impostor, tls)


def vapi_error(kind: str, message_id: str = "com.vmware.wcp.x", text: str = "it is so") -> bytes:
    return json.dumps({"error_type": kind, "messages": [{"id": message_id, "default_message": text}]}).encode()


def check(error: VmServiceError) -> None:
    """One line, with a remedy, without secrets."""
    assert error.hint
    assert str(error).isprintable()
    assert len(str(error)) < 1200
    assert PASSWORD not in str(error)
    assert "a-session" not in str(error)


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        (b'"task-7:b2c0"', "task-7:b2c0"),
        (b'{"value": "task-7:b2c0"}', "task-7:b2c0"),
    ],
)
def test_a_call_answers_with_its_task(place: Place, answer: bytes, task: str) -> None:
    place.impostor.answers = [("200 OK", JSON, answer)]
    mapping = SubnetMapping(current=Subnet(type="SUBNETSET"), new=Subnet(type="SUBNETSET", name="dr"))
    register = place.register()
    assert register.call("shop", "vm-1", ()) == task
    assert register.call("shop", "vm-2", (mapping,)) == task
    assert place.impostor.requests == [SESSION, REGISTER, REGISTER]
    assert place.impostor.bodies[0] == {"vm": "vm-1"}
    assert place.impostor.bodies[1]["network_config_override"]["subnet_mappings"] == [
        {"current_subnet": {"type": "SUBNETSET", "name": ""}, "new_subnet": {"type": "SUBNETSET", "name": "dr"}}
    ]


@dataclass(frozen=True)
class Case:
    why: str
    status: str
    body: bytes
    error: type[VmServiceError]
    excerpt: str
    kind: str = JSON


CASES = [
    Case("registered already", "400 Bad Request", vapi_error("ALREADY_IN_DESIRED_STATE"), AlreadyExists, "it is so"),
    Case(
        "registered already, as older releases say it",
        "400 Bad Request",
        b'{"type": "com.vmware.vapi.std.errors.already_in_desired_state", "value": {"messages": []}}',
        AlreadyExists,
        "already_in_desired_state",
    ),
    Case("no such VM", "404 Not Found", vapi_error("NOT_FOUND"), NotFound, "NOT_FOUND: com.vmware.wcp.x; it is so"),
    Case("no privilege", "403 Forbidden", vapi_error("UNAUTHORIZED"), Forbidden, "Namespaces.Configure"),
    Case("a request that is wrong", "400 Bad Request", vapi_error("INVALID_ARGUMENT"), Rejected, "INVALID_ARGUMENT"),
    Case("an inner failure", "500 Internal Server Error", vapi_error("ERROR"), Unavailable, "it is so"),
    Case("an overloaded proxy", "503 Service Unavailable", b"<html>", Unavailable, "status 503", kind="text/html"),
    Case(
        "the login page of another server",
        "200 OK",
        b"<html>login</html>",
        Unavailable,
        "without a task",
        kind="text/html",
    ),
    Case("a proxy's page", "403 Forbidden", b"<html>", Forbidden, "look for a proxy or a login page", kind="text/html"),
    Case("a page that is not there", "404 Not Found", b"<html>", Rejected, "without the JSON", kind="text/html"),
    Case("a redirect", "302 Found", b"", Rejected, "there is not a vCenter"),
    Case("a task that is none", "200 OK", b'{"value": {"task": 7}}', Unavailable, "without a task"),
    Case("a task with a secret tail", "200 OK", b'"task\\u001b[2J"', Unavailable, "without a task"),
    Case("an endless task id", "200 OK", b'"' + b"7" * 5000 + b'"', Unavailable, "without a task"),
    Case("an endless answer", "200 OK", b"[" * 3_000_000, Unavailable, "without a task"),
    Case("deep JSON", "200 OK", b"[" * 500_000, Unavailable, "without a task"),
    Case("an error of nonsense", "400 Bad Request", b'{"messages": 7, "value": "x"}', Rejected, "status 400"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_an_answer_is_explained_and_the_call_not_repeated(place: Place, case: Case) -> None:
    place.impostor.answers = [(case.status, case.kind, case.body)]
    with pytest.raises(case.error) as error:
        place.register().call("shop", "vm-1", ())
    assert type(error.value) is case.error
    assert case.excerpt in str(error.value).replace("the server there is no", "there is no")
    check(error.value)
    assert place.impostor.calls == 1


def test_an_expired_session_is_renewed_and_the_call_made_once_more(place: Place) -> None:
    expired = ("401 Unauthorized", JSON, vapi_error("UNAUTHENTICATED"))
    place.impostor.answers = [expired, ("200 OK", JSON, b'"task-7"')]
    register = place.register()
    assert register.call("shop", "vm-1", ()) == "task-7"
    assert place.impostor.requests == [SESSION, REGISTER, SESSION, REGISTER]

    place.impostor.answers = [expired]
    with pytest.raises(Forbidden) as error:
        register.call("shop", "vm-1", ())
    check(error.value)


def test_a_wrong_password_is_reported_and_not_tried_until_the_account_locks(place: Place) -> None:
    place.impostor.login = ("401 Unauthorized", b"{}")
    register = place.register()
    for _ in range(5):
        with pytest.raises(NotSent, match=r"vCenter refuses user and password: correct vcenter\.user") as error:
            register.call("shop", "vm-1", ())
        check(error.value)
    assert place.impostor.requests == [SESSION]
    place.clock.advance(LOGIN_PAUSE_SECONDS)
    with pytest.raises(NotSent):
        register.call("shop", "vm-1", ())
    assert place.impostor.requests == [SESSION, SESSION]


def test_a_wrong_password_is_tried_ever_less_often_and_a_right_one_at_once(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("wrong")
    place.impostor.login = ("401 Unauthorized", b"{}")
    register = place.register(password=None, password_file=file)
    tries = []
    for second in range(0, 1800, 10):  # the rounds of half an hour
        with pytest.raises(NotSent):
            register.call("shop", "vm-1", ())
        if len(place.impostor.requests) > len(tries):
            tries.append(second)
        place.clock.advance(10)
    assert tries == [0, 90, 270, 630, 990, 1350, 1710]

    file.write_text(PASSWORD)
    place.impostor.login, place.impostor.answers = Impostor().login, [("200 OK", JSON, b'"task-7"')]
    assert register.call("shop", "vm-1", ()) == "task-7"


@pytest.mark.parametrize("login", [b"<html>", b'{"value": 7}', b'{"value": "\\n"}', b""])
def test_a_login_that_answers_nonsense_is_reported(place: Place, login: bytes) -> None:
    place.impostor.login = ("200 OK", login)
    with pytest.raises(NotSent, match="without a session") as error:
        place.register().call("shop", "vm-1", ())
    check(error.value)
    assert place.impostor.calls == 0


def test_an_answer_that_is_no_soap_is_reported(place: Place) -> None:
    with pytest.raises(Unavailable, match=r"the answer is not SOAP .*the server there is not a vCenter") as error:
        place.look()
    check(error.value)


def test_what_a_vcenter_is_cannot_be_asked_where_a_look_fails(place: Place) -> None:
    connected = inventory.connect(place.settings, clock=place.clock)
    with closing(connected), pytest.raises(Unavailable, match=r"cannot log in at .*: the answer is not SOAP"):
        connected.inventory.about()


def test_an_unknown_authority_is_reported_with_the_remedy(place: Place) -> None:
    for ask in (lambda: place.look(ca_file=None), lambda: place.register(ca_file=None).call("shop", "vm-1", ())):
        with pytest.raises((InvalidSettings, NotSent), match=r"certificate is not trusted .*vcenter\.ca_file") as error:
            ask()
        check(error.value)
    assert place.impostor.requests == []


def test_an_authority_that_is_corrected_is_taken_without_a_restart(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ca_file = tmp_path / "mounted.pem"
    ca_file.write_text(self_signed(elsewhere)[1])
    settings = place.settings.model_copy(update={"ca_file": ca_file})
    place.impostor.answers = [("200 OK", JSON, b'"task-7"')]
    with closing(inventory.connect(settings, clock=place.clock)) as connected:
        with pytest.raises(InvalidSettings, match="certificate is not trusted"):
            connected.inventory.look("shop", WANTED)
        ca_file.write_text(place.settings.ca_file.read_text())
        with pytest.raises(Unavailable, match="the answer is not SOAP"):
            connected.inventory.look("shop", WANTED)
        assert connected.register_vm.call("shop", "vm-1", ()) == "task-7"


def test_a_certificate_that_is_not_checked_is_taken(place: Place) -> None:
    place.impostor.answers = [("200 OK", JSON, b'"task-7"')]
    assert place.register(ca_file=None, insecure_skip_tls_verify=True).call("shop", "vm-1", ()) == "task-7"


def test_a_vcenter_that_is_away_has_certainly_not_got_the_call(place: Place) -> None:
    away = servers.refused().rpartition("/")[2]
    with pytest.raises(NotSent, match=r"cannot be reached .*Connection refused") as error:
        place.register(server=away).call("shop", "vm-1", ())
    check(error.value)
    with pytest.raises(Unavailable, match=r"cannot be reached .*Connection refused") as looked:
        place.look(server=away)
    check(looked.value)


def test_a_vcenter_that_never_answers_is_given_up_in_time(place: Place) -> None:
    with servers.silent() as url:
        silent = {"server": url.rpartition("/")[2], "timeout_seconds": 0.3, "connect_timeout_seconds": 0.3}
        for ask in (lambda: place.look(**silent), lambda: place.register(**silent).call("shop", "vm-1", ())):
            with pytest.raises(Unavailable) as error:
                ask()
            assert not isinstance(error.value, TimedOut)  # to ask for less would be no use
            check(error.value)


OK = b"HTTP/1.1 200 OK\r\n"
LOGGED_IN = OK + b'Content-Type: application/json\r\nContent-Length: 22\r\n\r\n{"value": "a-session"}'


@pytest.mark.parametrize("head", [b"", OK + b"X-Long: ", OK + b"\r\n"], ids=["status", "headers", "body"])
def test_an_answer_that_drips_is_given_up_in_time(place: Place, head: bytes) -> None:
    with servers.pouring(place.tls, head, b" ", every=0.02) as url:
        dripping = {"server": url.rpartition("/")[2], "timeout_seconds": 0.5}
        with pytest.raises(TimedOut, match="did not answer in time") as error:
            place.look(**dripping)
        check(error.value)
        with pytest.raises(NotSent, match="did not answer in time") as login:
            place.register(**dripping).call("shop", "vm-1", ())
        check(login.value)
    with servers.pouring(place.tls, head, b" ", every=0.02, first=LOGGED_IN) as url:
        with pytest.raises(Unavailable, match="did not answer in time") as call:
            place.register(server=url.rpartition("/")[2], timeout_seconds=0.5).call("shop", "vm-1", ())
        assert not isinstance(call.value, NotSent)
        check(call.value)


def test_an_answer_that_does_not_begin_is_given_up_in_time(place: Place) -> None:
    with (
        servers.pouring(place.tls, b"", b" ", every=60) as url,
        pytest.raises(TimedOut, match="did not answer in time") as error,
    ):
        place.look(server=url.rpartition("/")[2], timeout_seconds=0.5)
    check(error.value)


def test_an_answer_without_end_is_read_to_a_limit(place: Place) -> None:
    head = OK + b"Content-Type: text/xml\r\n\r\n<x>"
    with (
        servers.pouring(place.tls, head, (b"<y>" + b"a" * 4000 + b"</y>") * 20) as url,
        pytest.raises(AnswerTooLong) as error,
    ):
        place.look(server=url.rpartition("/")[2], timeout_seconds=60)
    assert "the answer is longer than 16 MiB" in str(error.value)
    check(error.value)


def test_a_packed_answer_is_not_unpacked(place: Place) -> None:
    head = OK + b"Content-Encoding: gzip\r\n\r\n"
    with servers.pouring(place.tls, head, b"x", every=0.02, first=LOGGED_IN) as url:
        where = {"server": url.rpartition("/")[2]}
        with pytest.raises(Unavailable) as call:
            place.register(**where).call("shop", "vm-1", ())
        assert not isinstance(call.value, NotSent)
        with pytest.raises(Unavailable, match=r"is packed \(gzip\), which was not asked for") as look:
            place.look(**where)
    for error in (call.value, look.value):
        check(error)


def test_a_connection_that_breaks_off_after_the_call_leaves_it_in_doubt(place: Place) -> None:
    place.impostor.hang_up = True
    with pytest.raises(
        Unavailable, match=r"cannot be reached \(Remote end closed connection without response\)"
    ) as error:
        place.register().call("shop", "vm-1", ())
    assert not isinstance(error.value, NotSent)
    check(error.value)
    assert place.impostor.calls == 1


def test_a_call_that_is_not_answered_in_time_is_in_doubt(place: Place) -> None:
    place.impostor.late = threading.Event()
    with pytest.raises(Unavailable, match="did not answer in time") as error:
        place.register(timeout_seconds=0.5).call("shop", "vm-1", ())
    place.impostor.late.set()
    assert not isinstance(error.value, NotSent)
    assert place.impostor.calls == 1


def test_a_server_without_tls_is_reported(place: Place) -> None:
    with servers.breaking_off() as url, pytest.raises(NotSent, match="does not speak TLS") as error:
        place.register(server=url.rpartition("/")[2]).call("shop", "vm-1", ())
    check(error.value)


def test_a_password_that_cannot_be_written_in_latin_is_sent(place: Place) -> None:
    place.impostor.answers = [("200 OK", JSON, b'"task-7"')]
    settings = VCenterSettings.model_validate(
        place.settings.model_dump() | {"password": "пароль", "user": "wälter@vsphere.local"}
    )
    assert inventory.connect(settings, clock=place.clock).register_vm.call("shop", "vm-1", ()) == "task-7"
