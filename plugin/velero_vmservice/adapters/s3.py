"""Documents in a bucket: the ObjectStore port over boto3.

A document is written once. The server decides who was first (`If-None-Match: *`), our SHA-256 travels as user
metadata beside each object, and every read is checked against it. Servers differ in what they understand; what
one refuses is left out and remembered, and one that silently ignores the condition is found out before it is
trusted. It never overwrites knowingly, never lists a whole bucket at once and needs no permission that Velero
does not need itself.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from velero_vmservice.adapters import s3_errors
from velero_vmservice.adapters.s3_errors import translated
from velero_vmservice.core.errors import AlreadyExists, Corrupt, InvalidSettings, NotFound, Unavailable
from velero_vmservice.core.keys import check_key, check_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from types_boto3_s3 import S3Client

    from velero_vmservice.adapters.s3_location import S3Location

_log = structlog.get_logger()

PAGE_SIZE: Final = 1000
"""Keys per request of a list; what S3 gives at most."""

_DIGEST: Final = "vmservice-sha256"
"""Our digest's name among the user metadata (`x-amz-meta-vmservice-sha256`)."""

_EXISTS: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
"""Somebody was or is writing the key; the last two mean that S3 saw two conditional writes at once."""

_NOT_UNDERSTOOD: Final = frozenset({"NotImplemented", "501", "InvalidArgument", "InvalidRequest", "BadRequest", "400"})
"""How servers refuse a header that they do not know."""

_ROUNDS: Final = 3
"""How often a write is tried again when the object that stood in its way is gone by the time we look."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What to ask of a server; the first that it understands is kept."""

    conditional: bool
    checksum: bool


_DIALECTS: Final = (
    _Dialect(conditional=True, checksum=True),
    _Dialect(conditional=True, checksum=False),
    _Dialect(conditional=False, checksum=True),
    _Dialect(conditional=False, checksum=False),
)


class S3Store:
    """The documents under one prefix of one bucket; safe to use from many threads."""

    def __init__(self, client: S3Client, location: S3Location, *, prefix: str = "", page_size: int = PAGE_SIZE) -> None:
        self._client = client
        self._location = location
        self._place = location.place
        self._bucket = location.bucket
        self._page_size = page_size
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._asked = _asked_of_writers(location)
        self._customer_key: dict[str, Any] = (
            {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": location.customer_key} if location.customer_key else {}
        )
        self._dialects = tuple(one for one in _DIALECTS if location.checksums or not one.checksum)
        self._trusted = not location.url
        """Whether the server is known to honour the condition; Amazon's documentation says so."""

    def put(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body`; see the port."""
        self._refuse_to_store(key, body, sha256)
        with translated("store", self._name(key), self._place):
            for _ in range(_ROUNDS):
                if self._create(key, body, sha256):
                    return
                stored = self._read(key)
                if stored == body:
                    return
                if stored is not None:
                    raise AlreadyExists(
                        f'cannot store "{self._name(key)}" in {self._place}: it holds other bytes',
                        hint="another writer was first; what it stored stands",
                    )
        raise Unavailable(
            f'cannot store "{self._name(key)}" in {self._place}: others write and remove it at the same time',
            hint="if it lasts, look for a second Velero on the same location",
        )

    def replace(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` in the place of what is there; see the port."""
        self._refuse_to_store(key, body, sha256)
        with translated("store", self._name(key), self._place):
            for checksum in dict.fromkeys(one.checksum for one in self._dialects):
                try:
                    self._put(key, body, sha256, _Dialect(conditional=False, checksum=checksum))
                except ClientError as error:
                    if not checksum or s3_errors.code(error) not in _NOT_UNDERSTOOD:
                        raise
                else:
                    return

    def get(self, key: str) -> bytes:
        """Return the bytes; see the port."""
        with translated("read", self._name(key), self._place):
            body = self._read(key)
        if body is None:
            raise NotFound(
                f'cannot read "{self._name(key)}" in {self._place}: the object does not exist',
                hint=f"it was deleted, or stored under another bucket or prefix than that of {self._place.source}",
            )
        return body

    def exists(self, key: str) -> bool:
        """Say whether the key is there.

        Asks by listing: HEAD answers a missing bucket, a wrong secret and a missing key without a word.
        """
        with translated("look for", self._name(key), self._place):
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._name(key), MaxKeys=1)
            found = self._keys(page)
        return bool(found) and found[0] == key

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with `prefix`; see the port."""
        with translated("list", self._names(prefix), self._place):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._names(prefix), PaginationConfig={"PageSize": self._page_size}
            )
            for page in pages:
                yield from self._keys(page)

    def delete(self, key: str) -> None:
        """Remove one document; on a bucket with versions or object lock its old version stays, hidden."""
        self._refuse_if_read_only("delete", key)
        with translated("delete", self._name(key), self._place):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def where(self, key: str) -> str:
        """Return the document's S3 URI; see the port."""
        return f"s3://{self._bucket}/{self._name(key)}"

    def _create(self, key: str, body: bytes, sha256: str) -> bool:
        """Write the object unless there is one; say whether it is ours now."""
        for dialect in self._dialects:
            if not (dialect.conditional and self._trusted) and self._read(key) is not None:
                return False
            try:
                ours = self._put(key, body, sha256, dialect)
            except ClientError as error:
                if s3_errors.code(error) in _NOT_UNDERSTOOD and dialect != self._dialects[-1]:
                    continue
                raise
            self._keep(dialect)
            return ours and self._held(key, body, sha256, dialect)
        raise AssertionError  # the last dialect returns or raises

    def _held(self, key: str, body: bytes, sha256: str, dialect: _Dialect) -> bool:
        """Say whether the object just written stays ours, and learn whether the condition can be trusted."""
        if dialect.conditional and not self._trusted:
            # Same bytes again, now that the key is taken: a server that honours the condition refuses them.
            self._trusted = not self._put(key, body, sha256, dialect)
            if not self._trusted:
                self._dialects = tuple(one for one in self._dialects if not one.conditional)
                _log.warning("conditional writes ignored by the storage", bucket=self._bucket, key=self._name(key))
        # Without the condition two writers may both have passed the look; the bytes of the last one stand.
        return (dialect.conditional and self._trusted) or self._read(key) == body

    def _keep(self, dialect: _Dialect) -> None:
        """Speak from now on what the server has just understood."""
        known = self._dialects  # another thread may have learnt more meanwhile
        if dialect in known[1:]:
            self._dialects = known[known.index(dialect) :]
            _log.info(
                "storage refuses a header",
                bucket=self._bucket,
                conditional=dialect.conditional,
                checksum=dialect.checksum,
            )

    def _put(self, key: str, body: bytes, sha256: str, dialect: _Dialect) -> bool:
        """Send the object; say whether the server took it, which it does not if the key is taken."""
        request = self._asked | {
            "Bucket": self._bucket,
            "Key": self._name(key),
            "Body": body,
            "ContentType": "text/html; charset=utf-8" if key.endswith(".html") else "application/json",
            # Every server knows it, and buckets with object lock demand it or a checksum.
            "ContentMD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
            "Metadata": {_DIGEST: sha256},
        }
        if dialect.checksum:
            request["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        if dialect.conditional:
            request["IfNoneMatch"] = "*"
        try:
            answer = self._client.put_object(**request, **self._customer_key)
        except ClientError as error:
            if dialect.conditional and s3_errors.code(error) in _EXISTS:
                return False
            raise
        if "ETag" not in answer:
            raise ResponseParserError("the answer to a write has no ETag")
        return True

    def _read(self, key: str) -> bytes | None:
        """Return the object's checked bytes, or None if there is no object."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key), **self._customer_key)
        except ClientError as error:
            if s3_errors.code(error) == "NoSuchKey":
                return None
            raise
        body = answer["Body"].read()
        if "ETag" not in answer:
            raise ResponseParserError("the answer to a read has no ETag")
        digest = answer.get("Metadata", {}).get(_DIGEST)
        # A copy made by other tools may have lost the metadata; the digests of the seal and of the item still hold.
        if digest is not None and hashlib.sha256(body).hexdigest() != digest:
            raise Corrupt(
                f'cannot use "{self._name(key)}" in {self._place}: its bytes do not match the digest stored with them',
                hint="somebody or something changed the object; restore an earlier version of it from the bucket",
            )
        return body

    def _keys(self, page: Mapping[str, Any]) -> Sequence[str]:
        if "KeyCount" not in page and "Name" not in page:
            raise ResponseParserError("the answer to a list names no bucket")
        return [entry["Key"].removeprefix(self._prefix) for entry in page.get("Contents", ())]

    def _refuse_to_store(self, key: str, body: bytes, sha256: str) -> None:
        self._refuse_if_read_only("store", key)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise Corrupt(
                f'cannot store "{self._name(key)}" in {self._place}: the bytes do not match their digest',
                hint="this is a defect of the plugin; report it",
            )

    def _refuse_if_read_only(self, verb: str, key: str) -> None:
        if self._location.read_only:
            raise InvalidSettings(
                f'cannot {verb} "{self._name(key)}" in {self._place}: {self._place.source} is ReadOnly',
                hint="set its spec.accessMode to ReadWrite, or use another location",
            )

    def _name(self, key: str) -> str:
        return f"{self._prefix}{check_key(key)}"

    def _names(self, prefix: str) -> str:
        return f"{self._prefix}{check_prefix(prefix)}"


def _asked_of_writers(location: S3Location) -> dict[str, Any]:
    """Return the encryption and tags that the location wants on every object."""
    asked: dict[str, Any] = {"Tagging": location.tagging} if location.tagging else {}
    if location.kms_key_id:
        asked |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": location.kms_key_id}
    elif location.server_side_encryption:
        asked["ServerSideEncryption"] = location.server_side_encryption
    return asked
