"""What another system wrote shows as it is at every edge, and never moves a cursor, turns a line or hides in one."""

from __future__ import annotations

import html
import io
import json
import logging
import unicodedata
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st
from kubernetes.client.exceptions import ApiException
from rich.console import Console
from urllib3.exceptions import HTTPError

from tests import sample_report
from velero_vmservice import logs
from velero_vmservice.adapters.kubernetes import errors as kubernetes_errors
from velero_vmservice.adapters.kubernetes.client import kubernetes_event
from velero_vmservice.adapters.registration_engine import errors as registration_engine_errors
from velero_vmservice.adapters.s3 import errors as s3_errors
from velero_vmservice.adapters.vcenter import errors as vcenter_errors
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.report import render_terminal
from velero_vmservice.errors import Rejected, VmServiceError
from velero_vmservice.kube.manifest import RESTORE, ObjectRef
from velero_vmservice.report.html.page import render
from velero_vmservice.report.summary import compose
from velero_vmservice.rpc import wire
from velero_vmservice.text import one_line, spelled_out
from velero_vmservice.velero.actions import Progress
from velero_vmservice.vsphere.registervm_errors import explain

if TYPE_CHECKING:
    from collections.abc import Callable

UNSEEN_SIGNS = (
    "\x00\x07\x08\x0b\r\x1b\x7f\x85\x9b\x9d\xad\u061c\u115f\u180e\u200b\u200d\u200f\u2028\u2029\u202a\u202e\u2060\u2066"
    "\u2069\u3164\ufe0f\ufeff\ufff9\ud800\udfff\U000e0001\U000e0041\U000e0100"
)
UNSEEN = st.sampled_from(UNSEEN_SIGNS)
MARKUP = st.sampled_from(
    ["pay", "[red]", "[/spec/ports]", "[link=https://example.com]", "<script>alert(1)</script>", "{{7*7}}", "&lt;"]
)
PLAIN = st.sampled_from(["ünï", "日本", "😀", "\\u0041", "100%", "'", '"'])
MOST_PARTS = 12
FOREIGN = st.lists(MARKUP | PLAIN | UNSEEN, min_size=1, max_size=MOST_PARTS)
HOSTILE = ["pay", "\x1b", "[red]", "\u202e", "[/spec/ports]", "\x9b", "<script>alert(1)</script>", "\ufeff", "日本"]
PLACE = s3_errors.Place(bucket="b", endpoint="https://s3", source="the location")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _is_unseen(sign: str) -> bool:
    """Say the same as Unicode's tables, without asking the code under test."""
    return unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or sign in "\u115f\u3164\ufe0f\U000e0100"


def _raised(call: Callable[[], object]) -> str:
    with pytest.raises(VmServiceError) as caught:
        call()
    return str(caught.value)


def _api_server(text: str) -> str:
    def fail() -> None:
        with kubernetes_errors.translated("cannot create it"):
            error = ApiException(status=422, reason="Invalid")
            error.body = json.dumps({"kind": "Status", "message": text})
            raise error

    return _raised(fail)


def _proxy(text: str) -> str:
    def fail() -> None:
        with kubernetes_errors.translated("cannot read it"):
            raise HTTPError(text)

    return _raised(fail)


def _redirect(text: str) -> str:
    answer: Any = {
        "Error": {"Code": "301"},
        "ResponseMetadata": {"HTTPStatusCode": 301, "HTTPHeaders": {"location": text}},
    }
    return str(s3_errors.translate(ClientError(answer, "PutObject"), "store", text, PLACE))


def _denied(text: str) -> str:
    answer: Any = {"Error": {"Code": "AccessDenied", "Message": text}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return str(s3_errors.translate(ClientError(answer, "PutObject"), "store", "key", PLACE))


def _engine(text: str) -> str:
    status = grpc.StatusCode.PERMISSION_DENIED
    return str(
        registration_engine_errors.translate(
            status, text, target="engine:1", namespace=text, hung_up=lambda: pytest.fail("known")
        )
    )


def _vcenter(text: str) -> str:
    body = {"error_type": "ERROR", "messages": [{"default_message": text}]}
    return str(vcenter_errors.from_answer("register", 400, body))


class _Aborted(Exception):
    pass


def _grpc_status(text: str) -> str:
    texts = list[str]()

    def abort(_code: grpc.StatusCode, details: str) -> None:
        texts.append(details)
        raise _Aborted

    context: Any = SimpleNamespace(abort=abort)
    with suppress(_Aborted), wire.answering(context, call="Execute", action="capture"):
        raise Rejected(text, hint=text)
    return texts[0]


def _progress(text: str) -> str:
    answer = wire.progress(lambda: Progress(completed=True, error=text, units=text, description=text))
    return f"{answer.err}\n{answer.operationUnits}\n{answer.description}"


def _failed_progress(text: str) -> str:
    def refuse() -> Progress:
        raise Rejected(text, hint=text)

    return wire.progress(refuse).err


def _session_log(text: str) -> str:
    line = logs.session_line({"event": text, "name": text, "fields": {"inner": [text]}, "level": "warning"})
    return "\n".join(json.loads(line).values())


def _own_log(text: str) -> str:
    out, before, root = io.StringIO(), structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("info", stream=out)
        structlog.get_logger().warning("call failed", cause=text)
        logging.getLogger("library").warning("%s", text)
    finally:
        structlog.configure(**before)
        root.handlers[:], root.level = handlers, level
    return out.getvalue()


def _event(text: str) -> str:
    about = ObjectRef(RESTORE, "velero", "again")
    event = kubernetes_event(
        about, api_version="velero.io/v1", uid="1", reason="Failed", message=text, warning=True, now=NOW
    )
    return str(event.content["message"])


def _report(foreign: str) -> Any:
    text = foreign.encode(errors="replace").decode()  # stored results are UTF-8
    results = [
        sample_report.result(
            sample_report.SERVICE,
            text,
            "failed",
            text,
            notes=(text,),
            machines=(sample_report.machine(text, notes=(text,), waiting_for=text, registered=False),),
        )
    ]
    return compose(sample_report.RUN, results, policy={text: text}, ended=sample_report.ENDED)


def _page(text: str) -> str:
    return html.unescape(render(_report(text)))


def _terminal(text: str) -> str:
    out = io.StringIO()
    render_terminal(_report(text), Console(file=out, force_terminal=True, color_system=None, width=4000))
    return out.getvalue()


def _line(text: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        terminal.say(text)
    return out.getvalue()


def _complaint(text: str) -> str:
    with redirect_stderr(io.StringIO()) as err:
        terminal.complain(text, text)
    assert err.getvalue().count("\n") == 2
    return err.getvalue()


def _json(text: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        terminal.write_json({text: [text]})
    return out.getvalue()


def _table(text: str) -> str:
    out = io.StringIO()
    drawn = terminal.table(("a", "b"), [(text, (text, "red"))], width=4000)
    Console(file=out, force_terminal=True, color_system=None, width=4000).print(drawn)
    return out.getvalue()


def _registration_error(text: str) -> str:
    return str(explain(text))


EDGES: dict[str, Callable[[str], str]] = {
    "API server": _api_server,
    "proxy": _proxy,
    "redirect": _redirect,
    "store": _denied,
    "engine": _engine,
    "vCenter": _vcenter,
    "RegisterVM": _registration_error,
    "error": lambda text: str(Rejected(text, hint=text)),
    "gRPC status": _grpc_status,
    "progress": _progress,
    "failed progress": _failed_progress,
    "log of a backup": _session_log,
    "own log": _own_log,
    "event": _event,
    "page": _page,
    "terminal": _terminal,
    "line of a command": _line,
    "error of a command": _complaint,
    "JSON of a command": _json,
    "table of a command": _table,
    "spelled out": spelled_out,
    "one line": one_line,
}


@pytest.mark.parametrize("edge", EDGES)
@given(parts=FOREIGN)
@example(parts=HOSTILE)
def test_nothing_unseen_comes_out_and_all_that_is_seen_does(edge: str, parts: list[str]) -> None:
    shown = EDGES[edge]("".join(parts))
    assert [sign for sign in shown if _is_unseen(sign) and sign != "\n"] == []
    assert shown.encode().decode() == shown
    at = 0
    read = shown.replace('\\"', '"').replace("\\\\", "\\")  # as JSON writes them in a log of ours
    for word in (part for part in parts if part not in UNSEEN_SIGNS):
        at = read.find(word, at)
        assert at >= 0, (word, shown)
        at += len(word)


@given(value=st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_a_json_document_means_the_same_once_it_is_spelled_out(value: Any) -> None:
    written = spelled_out(json.dumps(value, ensure_ascii=False))
    assert json.loads(written) == json.loads(json.dumps(value))
    assert not any(_is_unseen(sign) for sign in written)


@given(parts=FOREIGN)
def test_spelling_out_twice_changes_nothing_more(parts: list[str]) -> None:
    once = spelled_out("".join(parts))
    assert spelled_out(once) == once
