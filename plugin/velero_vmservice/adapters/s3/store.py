"""Documents in a bucket: the ObjectStore port over boto3.

A document is written once. The server decides which writer was first (`If-None-Match: *`). The plugin's SHA-256 is user
metadata of each object, and every read is checked against it. Servers support different features: a refused feature is
left out from then on, and a server that silently ignores the condition is detected before it is trusted. The store
never overwrites knowingly, never lists a whole bucket at once and needs no permission that Velero does not need itself.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from botocore.parsers import ResponseParserError

from velero_vmservice.adapters.s3 import error_meanings as meanings
from velero_vmservice.adapters.s3 import errors
from velero_vmservice.adapters.s3.errors import translated
from velero_vmservice.adapters.s3.http import LONGEST_ANSWER
from velero_vmservice.adapters.s3.objects import LONGEST, S3Objects
from velero_vmservice.adapters.s3.writing import Writing
from velero_vmservice.archive.store import StoredDocument, check_prefix
from velero_vmservice.errors import Corrupt, InvalidItem, NotFound, ReadOnlyStorage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from types_boto3_s3 import S3Client

    from velero_vmservice.adapters.s3.location import S3Location

PAGE_SIZE: Final = 1000
"""Keys per request of a list, the maximum of S3."""

MOST_PAGES: Final = 10_000
"""Limit of one list: ten million keys."""


class S3Store:
    """The documents under one prefix of one bucket; safe to use from many threads."""

    def __init__(
        self,
        client: S3Client,
        location: S3Location,
        *,
        prefix: str = "",
        page_size: int = PAGE_SIZE,
        most_pages: int = MOST_PAGES,
    ) -> None:
        self._client = client
        self._location = location
        self.place = location.place
        self.endpoint = location.place.endpoint
        self.read_only = location.read_only
        self._bucket = location.bucket
        self._page_size = page_size
        self._most_pages = most_pages
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._objects = S3Objects(client, location, prefix=self._prefix)
        # By its documentation, Amazon S3 honours the condition.
        self._writing = Writing(self._objects, checksums=location.checksums, trusted=not location.url)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def put(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body`; see the port."""
        self._refuse_to_store(key, body, sha256)
        with translated("store", self._name(key), self.place):
            self._writing.once(key, body, sha256)

    def replace(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` in place of the present document; see the port."""
        self._refuse_to_store(key, body, sha256)
        with translated("store", self._name(key), self.place):
            self._writing.over(key, body, sha256)

    def get(self, key: str) -> bytes:
        """Return the bytes; see the port."""
        with translated("read", self._name(key), self.place):
            body = self._objects.read(key)
        if body is None:
            raise NotFound(
                f'cannot read "{self._name(key)}" in {self.place}: the object does not exist',
                hint=f"correct the bucket and prefix in {self.place.source}, or look for what deleted it",
            )
        return body

    def exists(self, key: str) -> bool:
        """Say whether the key is there.

        Uses a list: HEAD has no error text for a missing bucket, a wrong secret or a missing key.
        """
        with translated("look for", self._name(key), self.place):
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._name(key), MaxKeys=1)
            keys = self._keys(page)
        return bool(keys) and keys[0] == key

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with `prefix`; see the port."""
        for page in self._pages(prefix):
            yield from self._keys(page)

    def documents(self, prefix: str) -> Iterator[StoredDocument]:
        """Yield the documents whose keys start with `prefix`; see the port."""
        for page in self._pages(prefix):
            with translated("list", self._names(prefix), self.place):
                documents = [self._document(entry) for entry in page.get("Contents", ())]
            yield from documents

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names right below `prefix`, which ends in a slash, each once.

        A server that does not know `Delimiter` returns every key instead of the folders.
        """
        yielded = {""}
        for page in self._pages(prefix, Delimiter="/"):
            folders = [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            for path in (*folders, *(entry["Key"] for entry in page.get("Contents", ()))):
                name = path.removeprefix(self._names(prefix)).partition("/")[0]
                if name not in yielded:
                    yielded.add(name)
                    yield name

    def delete(self, key: str) -> None:
        """Remove one document; on a bucket with versions or object lock its old version stays, hidden."""
        self._refuse_if_read_only("delete", key)
        with translated("delete", self._name(key), self.place):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def where(self, key: str) -> str:
        """Return the document's S3 URI; see the port."""
        return f"s3://{self._bucket}/{self._name(key)}"

    def _pages(self, prefix: str, **more: Any) -> Iterator[Mapping[str, Any]]:
        with translated("list", self._names(prefix), self.place):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._names(prefix), PaginationConfig={"PageSize": self._page_size}, **more
            )
            for number, page in enumerate(pages):
                if number >= self._most_pages:
                    raise errors.failure(meanings.ENDLESS, "", "list", self._names(prefix), self.place)
                self._keys(page)
                yield page

    def _keys(self, page: Mapping[str, Any]) -> Sequence[str]:
        if "KeyCount" not in page and "Name" not in page:
            raise ResponseParserError("the answer to a list names no bucket")
        return [entry["Key"].removeprefix(self._prefix) for entry in page.get("Contents", ())]

    def _document(self, entry: Mapping[str, Any]) -> StoredDocument:
        if not {"Size", "LastModified"} <= entry.keys():
            raise ResponseParserError("the answer to a list has no size or time of an object")
        key = entry["Key"].removeprefix(self._prefix)
        return StoredDocument(key=key, size=entry["Size"], written=entry["LastModified"])

    def _refuse_to_store(self, key: str, body: bytes, sha256: str) -> None:
        self._refuse_if_read_only("store", key)
        if len(body) > LONGEST_ANSWER:
            raise InvalidItem(
                f'cannot store "{self._name(key)}" in {self.place}: it is longer than {LONGEST}',
                hint="back up fewer namespaces or VMs at a time",
            )
        if hashlib.sha256(body).hexdigest() != sha256:
            raise Corrupt(
                f'cannot store "{self._name(key)}" in {self.place}: the bytes do not match their digest',
                hint="report this as a defect of the plugin",
            )

    def _refuse_if_read_only(self, verb: str, key: str) -> None:
        if self.read_only:
            raise ReadOnlyStorage(
                f'cannot {verb} "{self._name(key)}" in {self.place}: {self.place.source} is ReadOnly',
                hint="set its spec.accessMode to ReadWrite, or use another location",
            )

    def _name(self, key: str) -> str:
        return self._objects.name(key)

    def _names(self, prefix: str) -> str:
        return f"{self._prefix}{check_prefix(prefix)}"
