"""S3 servers on 127.0.0.1: moto as it is, moto with habits of other servers, and things that are no S3 at all."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.contract.servers import Application, answering, served
from velero_vmservice.adapters.s3.client import connect
from velero_vmservice.adapters.s3.location import S3Location
from velero_vmservice.adapters.s3.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SECRET: Final = "s3cr3t-that-no-message-may-show"
CREDENTIALS: Final = f"[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {SECRET}\n"

CONDITION: Final = "If-None-Match"
CHECKSUM: Final = "x-amz-checksum-sha256"


def moto_application() -> Application:
    """Return moto; all of them share their buckets."""
    return DomainDispatcherApplication(create_backend_app)


def moto() -> Any:
    """Serve moto's S3; yields its URL."""
    return served(moto_application())


@contextmanager
def altered(alter: Callable[[dict[str, Any]], Application | None]) -> Iterator[str]:
    """Serve moto behind `alter`; yields its URL."""
    with served(altering(alter)) as url:
        yield url


def altering(alter: Callable[[dict[str, Any]], Application | None]) -> Application:
    """Return moto behind `alter`, which changes a request or says what answers it."""
    behind = moto_application()

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        answer: Application = alter(environ) or behind
        return answer(environ, start)

    return application


def refuses(
    *headers: str, status: str = "501 Not Implemented", code: str = "NotImplemented"
) -> Callable[[dict[str, Any]], Application | None]:
    """Play a server that refuses headers that it does not know."""
    refusal = s3_error(status, code)
    return lambda environ: refusal if any(_header(name) in environ for name in headers) else None


def ignores(*headers: str) -> Callable[[dict[str, Any]], None]:
    """Play a server that does not look at some headers."""

    def alter(environ: dict[str, Any]) -> None:
        for name in headers:
            environ.pop(_header(name), None)

    return alter


def s3_error(status: str, code: str, message: str = "as the server says it") -> Application:
    """Answer everything with one S3 error document."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return answering(status, "application/xml", body)


class Scripted:
    """A server whose answer a test chooses, and a store on it."""

    def __init__(self) -> None:
        self.answer = s3_error("500 Internal Server Error", "Unset")
        self.store: S3Store

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        return self.answer(environ, start)


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Serve whatever `answer` is."""
    application = Scripted()
    with served(application) as url:
        application.store = open_store(location(url, "the-bucket"), Path(tempfile.gettempdir()))
        yield application


def location(url: str, bucket: str, **changes: Any) -> S3Location:
    """Describe a bucket of one of these servers."""
    described: dict[str, Any] = {
        "bucket": bucket,
        "source": "BackupStorageLocation velero/default",
        "url": url,
        "path_style": True,
        "credentials": CREDENTIALS,
        "credentials_of": "spec.credential of BackupStorageLocation velero/default",
    }
    return S3Location(**(described | changes))


def client(s3_location: S3Location, directory: Path, *, timeout_seconds: float = 10.0) -> Any:
    """Make a client as the product does; one attempt, so that a fault is quick."""
    return connect(s3_location, timeout_seconds=timeout_seconds, directory=lambda: directory, attempts=1)


def open_store(s3_location: S3Location, directory: Path, *, timeout_seconds: float = 10.0) -> S3Store:
    """Open the store of a location as the product does, with a client of its own."""
    return S3Store(client(s3_location, directory, timeout_seconds=timeout_seconds), s3_location)


def new_store(url: str, **changes: Any) -> S3Store:
    """Return a store on a bucket of its own; stores on one server share a client, which is slow to make."""
    s3_location = location(url, new_bucket(url))
    return S3Store(bare_client(url), dataclasses.replace(s3_location, **changes))


def new_bucket(url: str, **options: Any) -> str:
    """Make a bucket with a name of its own."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    bare_client(url).create_bucket(Bucket=name, **options)
    return name


@functools.cache
def bare_client(url: str) -> Any:
    """Return a client for any bucket of a server, to look behind a store's back too."""
    return connect(
        location(url, "any", profile="default"), timeout_seconds=10.0, directory=lambda: Path(tempfile.gettempdir())
    )


def _header(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"
