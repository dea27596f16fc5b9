"""Single objects of a bucket: one request each, with checked bytes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from velero_vmservice.adapters.s3 import errors
from velero_vmservice.adapters.s3.http import LONGEST_ANSWER
from velero_vmservice.archive.store import check_key
from velero_vmservice.errors import AnswerTooLong, Corrupt

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from velero_vmservice.adapters.s3.location import S3Location

LONGEST: Final = f"{LONGEST_ANSWER // 1024 // 1024} MiB"

_DIGEST: Final = "vmservice-sha256"
"""The name of the plugin's digest in the user metadata (`x-amz-meta-vmservice-sha256`)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The features to use with a server."""

    conditional: bool
    checksum: bool


class S3Objects:
    """The objects under one prefix of one bucket; botocore's exceptions pass through."""

    def __init__(self, client: S3Client, location: S3Location, *, prefix: str) -> None:
        self._client = client
        self.place = location.place
        self.bucket = location.bucket
        self._prefix = prefix
        self._write_parameters = _write_parameters(location)
        self._customer_key: dict[str, Any] = (
            {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": location.customer_key} if location.customer_key else {}
        )

    def name(self, key: str) -> str:
        """Return the object's name in the bucket."""
        return f"{self._prefix}{check_key(key)}"

    def write(self, key: str, body: bytes, sha256: str, dialect: Dialect) -> None:
        """Send the object."""
        request = self._write_parameters | {
            "Bucket": self.bucket,
            "Key": self.name(key),
            "Body": body,
            "ContentType": "text/html; charset=utf-8" if key.endswith(".html") else "application/json",
            # Every server knows it, and buckets with object lock require it or a checksum.
            "ContentMD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
            "Metadata": {_DIGEST: sha256},
        }
        if dialect.checksum:
            request["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        if dialect.conditional:
            request["IfNoneMatch"] = "*"
        answer = self._client.put_object(**request, **self._customer_key)
        if "ETag" not in answer:
            raise ResponseParserError("the answer to a write has no ETag")

    def read(self, key: str) -> bytes | None:
        """Return the object's checked bytes, or None if there is no object; raises `Corrupt`."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=self.name(key), **self._customer_key)
        except ClientError as error:
            if errors.code(error) == "NoSuchKey":
                return None
            raise
        with contextlib.closing(answer["Body"]) as content:
            if "ETag" not in answer:
                raise ResponseParserError("the answer to a read has no ETag")
            body = self._whole(content, answer.get("ContentLength", 0), key)
        digest = answer.get("Metadata", {}).get(_DIGEST)
        # A copy by other tools may have lost the metadata; the digests of the seal and of the item still apply.
        if digest is not None and hashlib.sha256(body).hexdigest() != digest:
            raise self._changed(key, "its bytes do not match the digest stored with them")
        return body

    def _whole(self, content: Any, length: int, key: str) -> bytes:
        """Return an object's bytes, unless they are more than the plugin ever stores."""
        if length > LONGEST_ANSWER:
            raise self._changed(key, f"it is longer than {LONGEST}")
        try:
            body: bytes = content.read()
        except AnswerTooLong:
            raise self._changed(key, f"it is longer than {LONGEST}") from None
        return body

    def _changed(self, key: str, why: str) -> Corrupt:
        return Corrupt(
            f'cannot use "{self.name(key)}" in {self.place}: {why}',
            hint="restore an earlier version of the object from the bucket",
        )


def _write_parameters(location: S3Location) -> dict[str, Any]:
    """Return the encryption and tags that the location requires on every object."""
    parameters: dict[str, Any] = {"Tagging": location.tagging} if location.tagging else {}
    if location.kms_key_id:
        parameters |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": location.kms_key_id}
    elif location.server_side_encryption:
        parameters["ServerSideEncryption"] = location.server_side_encryption
    return parameters
