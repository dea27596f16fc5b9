"""Answers of storage have an end: in bytes, in time, in pages. The servers here never stop of themselves."""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract import s3_servers, servers
from velero_vmservice.adapters.s3.store import S3Store
from velero_vmservice.errors import Corrupt, InvalidItem, InvalidSettings, Unavailable, VmServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_MIB = 1024 * 1024
_BODY = b"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nETag: x\r\n"
_LENGTH = b"Content-Length: 314572800\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_A_CHUNK = b"100000\r\n" + b"a" * _MIB + b"\r\n"

_OPERATIONS: dict[str, Callable[[S3Store], object]] = {
    "read": lambda store: store.get("a.json"),
    "list": lambda store: list(store.list("")),
    "look for": lambda store: store.exists("a.json"),
    "delete": lambda store: store.delete("a.json"),
    "store": lambda store: store.put("a.json", b"{}", sha256=hashlib.sha256(b"{}").hexdigest()),
}


def _head(status: bytes, rest: bytes) -> bytes:
    return _BODY.replace(b"{status}", status) + rest


def _store(url: str, directory: Path, *, timeout_seconds: float = 30.0, **changes: Any) -> S3Store:
    return s3_servers.open_store(
        s3_servers.location(url, "the-bucket", **changes), directory, timeout_seconds=timeout_seconds
    )


@pytest.mark.parametrize(
    ("head", "chunk"), [(_LENGTH, b"a" * _MIB), (_CHUNKED, _A_CHUNK)], ids=["its length is given", "in chunks"]
)
def test_an_object_longer_than_any_document_is_not_read(tmp_path: Path, head: bytes, chunk: bytes) -> None:
    with servers.pouring(None, _head(b"200 OK", head), chunk) as url:
        store = _store(url, tmp_path)
        tracemalloc.start()
        with pytest.raises(Corrupt, match=r'"a\.json".*longer than 32 MiB'):
            store.get("a.json")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 150 * _MIB


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        *((verb, b"200 OK") for verb in ("list", "look for", "delete")),
        *((verb, status) for verb in _OPERATIONS for status in (b"403 Forbidden", b"500 Internal Server Error")),
    ],
)
def test_a_list_or_an_error_without_an_end_is_given_up(tmp_path: Path, verb: str, status: bytes) -> None:
    with (
        servers.pouring(None, _head(status, _CHUNKED), _A_CHUNK) as url,
        pytest.raises(Unavailable, match="longer than 32 MiB"),
    ):
        _OPERATIONS[verb](_store(url, tmp_path))


_DRIPPING = {
    "body": (_head(b"200 OK", b"Content-Length: 10000\r\n\r\n"), b"a"),
    "chunk": (_head(b"200 OK", _CHUNKED + b"100000\r\n"), b"a"),
    "error": (_head(b"403 Forbidden", b"Content-Length: 10000\r\n\r\n"), b"a"),
    "header": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
    "status": (b"HTTP/1.1 200 ", b"a"),
}


@pytest.mark.parametrize("verb", _OPERATIONS)
@pytest.mark.parametrize("where", _DRIPPING)
def test_an_answer_that_drips_is_given_up_in_time(tmp_path: Path, verb: str, where: str) -> None:
    """Each byte comes in time, all of them never do: without a total time this test does not end."""
    head, chunk = _DRIPPING[where]
    with servers.pouring(None, head, chunk, every=0.05) as url:
        store = _store(url, tmp_path, timeout_seconds=0.3)
        with pytest.raises(VmServiceError, match=r"did not answer in time.*s3_timeout_seconds") as caught:
            _OPERATIONS[verb](store)
    assert isinstance(caught.value, Unavailable)


def test_a_tunnel_that_drips_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.pouring(None, b"HTTP/1.1 200 ", b"a", every=0.05) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        store = _store("https://s3.example.test", tmp_path, timeout_seconds=0.3)
        with pytest.raises(Unavailable):
            store.get("a.json")


def test_a_list_of_pages_without_an_end_is_given_up(tmp_path: Path) -> None:
    pages: list[str] = []

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        pages.append(environ["QUERY_STRING"])
        body = (
            "<ListBucketResult><Name>the-bucket</Name><IsTruncated>true</IsTruncated>"
            f"<NextContinuationToken>{len(pages)}</NextContinuationToken>"
            f"<Contents><Key>{len(pages):09}</Key></Contents></ListBucketResult>"
        )
        return servers.answering("200 OK", "application/xml", body.encode())(environ, start)

    with servers.served(application) as url:
        location = s3_servers.location(url, "the-bucket")
        store = S3Store(s3_servers.client(location, tmp_path), location, most_pages=5)
        with pytest.raises(InvalidSettings, match="the list does not end"):
            list(store.list(""))
    assert len(pages) == 6


@pytest.mark.parametrize("method", ["put", "replace"])
def test_facts_that_could_not_be_read_again_are_not_stored(moto: str, method: str) -> None:
    store = s3_servers.new_store(moto)
    body = b"a" * (32 * _MIB + 1)

    with pytest.raises(InvalidItem, match="longer than 32 MiB"):
        getattr(store, method)("a.json", body, sha256=hashlib.sha256(body).hexdigest())
    assert not store.exists("a.json")


def test_the_longest_document_is_stored_and_read(moto: str) -> None:
    store = s3_servers.new_store(moto)
    body = b"a" * (31 * _MIB)
    store.put("a.json", body, sha256=hashlib.sha256(body).hexdigest())

    assert len(store.get("a.json")) == len(body)


@pytest.mark.parametrize("encoding", ["aws-chunked", "gzip"])
def test_an_object_that_another_tool_named_packed_is_read_as_it_is(moto: str, encoding: str) -> None:
    store = s3_servers.new_store(moto)
    s3_servers.bare_client(moto).put_object(
        Bucket=store.place.bucket, Key="a.json", Body=b"{}", ContentEncoding=encoding
    )

    assert store.get("a.json") == b"{}"
