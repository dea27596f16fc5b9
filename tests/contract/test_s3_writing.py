"""A key that is taken, as servers in the field say it, and signatures that something on the way breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract import s3_servers, servers
from tests.contract.object_store_contract import digest, put
from velero_vmservice.errors import AlreadyExists, Forbidden, InvalidSettings, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.servers import Application
    from velero_vmservice.adapters.s3.store import S3Store

_CONDITION = "HTTP_IF_NONE_MATCH"

_TAKEN = {
    "S3": ("412 Precondition Failed", "PreconditionFailed"),
    "S3, two writers": ("409 Conflict", "ConditionalRequestConflict"),
    "MinIO before April 2024": ("304 Not Modified", ""),
    "OSS": ("409 Conflict", "FileAlreadyExists"),
    "OSS with retention": ("409 Conflict", "FileImmutable"),
    "S3 before August 2024": ("501 Not Implemented", "NotImplemented"),
    "by a bad argument": ("400 Bad Request", "InvalidArgument"),
    "by a code of its own": ("422 Unprocessable", "KeyTaken"),
    "where objects are locked": ("403 Forbidden", "AccessDenied"),
    "by no S3 answer": ("405 Method Not Allowed", ""),
}


def _answer(status: str, code: str) -> Application:
    return s3_servers.s3_error(status, code) if code else servers.answering(status, "text/plain", b"")


class _KeyTaken:
    """Answers writes to keys that are taken; what it takes itself goes on to moto, without the condition."""

    def __init__(self, refusal: Application) -> None:
        self._refusal = refusal
        self._taken: set[str] = set()

    def __call__(self, environ: dict[str, Any]) -> Application | None:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "PUT" or path.count("/") == 1:
            return None
        if path in self._taken:
            return self._refusal
        environ.pop(_CONDITION, None)
        self._taken.add(path)
        return None


def test_a_document_is_sent_without_waiting_for_leave_to_send_it(tmp_path: Path) -> None:
    expected = list[str]()

    def note(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].count("/") > 1:
            expected.append(environ.get("HTTP_EXPECT", ""))

    with s3_servers.altered(note) as url:
        store = s3_servers.open_store(s3_servers.location(url, s3_servers.new_bucket(url)), tmp_path)
        put(store, "a.json", b"first")
        assert store.get("a.json") == b"first"

    assert set(expected) == {""}


@pytest.mark.parametrize("excerpt", _TAKEN)
def test_a_taken_key_is_taken_whatever_the_server_says(excerpt: str) -> None:
    with s3_servers.altered(_KeyTaken(_answer(*_TAKEN[excerpt]))) as url:
        store = s3_servers.new_store(url)
        put(store, "a.json", b"first")
        put(store, "a.json", b"first")
        with pytest.raises(AlreadyExists, match=r'"a\.json".*other bytes'):
            put(store, "a.json", b"second")

        assert store.get("a.json") == b"first"


@pytest.mark.parametrize("excerpt", _TAKEN)
def test_a_taken_key_of_another_writer_is_taken_at_the_first_look(excerpt: str) -> None:
    status, code = _TAKEN[excerpt]
    with s3_servers.altered(lambda environ: _answer(status, code) if _CONDITION in environ else None) as url:
        store = s3_servers.new_store(url)
        s3_servers.bare_client(url).put_object(Bucket=_bucket(store), Key="a.json", Body=b"first")

        put(store, "a.json", b"first")
        with pytest.raises(AlreadyExists, match=r'"a\.json".*other bytes'):
            put(store, "a.json", b"second")


@pytest.mark.parametrize("status", ["412 Precondition Failed", "304 Not Modified", "409 Conflict"])
def test_a_condition_that_always_fails_is_left_out_in_the_end(status: str) -> None:
    refusal = _answer(status, "PreconditionFailed")
    with s3_servers.altered(lambda environ: refusal if _CONDITION in environ else None) as url:
        store = s3_servers.new_store(url)
        put(store, "a.json", b"first")
        with pytest.raises(AlreadyExists):
            put(store, "a.json", b"second")

        assert store.get("a.json") == b"first"


def test_a_write_that_is_denied_is_denied_where_no_object_is() -> None:
    denial = _answer("403 Forbidden", "AccessDenied")
    with s3_servers.altered(lambda environ: denial if _is_document(environ) else None) as url:
        store = s3_servers.new_store(url)
        with pytest.raises(Forbidden, match="s3:PutObject"):
            put(store, "a.json", b"{}")


def test_an_overloaded_server_is_not_asked_for_the_object() -> None:
    requests: list[str] = []
    busy = _answer("503 Slow Down", "SlowDown")

    def alter(environ: dict[str, Any]) -> Application | None:
        requests.append(environ["REQUEST_METHOD"])
        return busy if _is_document(environ) else None

    with s3_servers.altered(alter) as url:
        store = s3_servers.new_store(url)
        put_methods = len(requests)
        with pytest.raises(Unavailable, match="overloaded"):
            put(store, "a.json", b"{}")
    assert requests[put_methods] == "GET"
    assert set(requests[put_methods + 1 :]) == {"PUT"}


@pytest.mark.parametrize(
    ("header", "method"),
    [(_CONDITION, "put"), ("HTTP_X_AMZ_CHECKSUM_SHA256", "put"), ("HTTP_X_AMZ_CHECKSUM_SHA256", "replace")],
)
def test_a_header_that_breaks_signatures_on_the_way_is_left_out(header: str, method: str) -> None:
    refusal = _answer("403 Forbidden", "SignatureDoesNotMatch")
    with s3_servers.altered(lambda environ: refusal if header in environ else None) as url:
        store = s3_servers.new_store(url)
        getattr(store, method)("a.json", b"{}", sha256=digest(b"{}"))

        assert store.get("a.json") == b"{}"


@pytest.mark.parametrize("method", ["put", "replace"])
def test_signatures_that_break_for_writes_alone_blame_the_way(method: str) -> None:
    refusal = _answer("403 Forbidden", "SignatureDoesNotMatch")
    with s3_servers.altered(lambda environ: refusal if _is_document(environ) else None) as url:
        store = s3_servers.new_store(url)
        with pytest.raises(InvalidSettings, match="proxy or load balancer") as caught:
            getattr(store, method)("a.json", b"{}", sha256=digest(b"{}"))
    assert "aws_secret_access_key" not in str(caught.value)


@pytest.mark.parametrize("method", ["put", "replace"])
def test_signatures_that_break_for_reads_too_blame_the_key(method: str) -> None:
    refusal = _answer("403 Forbidden", "SignatureDoesNotMatch")
    with s3_servers.scripted() as server:
        server.answer = refusal
        with pytest.raises(Forbidden, match="aws_secret_access_key"):
            getattr(server.store, method)("a.json", b"{}", sha256=digest(b"{}"))


def _is_document(environ: dict[str, Any]) -> bool:
    """Say whether a request writes a document, and does not make a bucket."""
    return environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].count("/") > 1


def _bucket(store: S3Store) -> str:
    return store.place.bucket
