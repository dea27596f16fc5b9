"""What an S3 failure means, in one sentence with bucket, key and remedy.

botocore reports a missing bucket, a wrong secret and a proxy's login page through three unrelated families of
exceptions; this table is the only place that knows them. It never repeats what a server echoes of the request
(canonical request, access key) and never a secret.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from velero_vmservice.adapters.meaning import Meaning
from velero_vmservice.core.errors import Forbidden, InvalidSettings, NotFound, Unavailable, VmServiceError
from velero_vmservice.core.foreign_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LIBRARY_ERRORS: Final = (boto.ClientError, boto.BotoCoreError, ResponseParserError, HTTPError)
"""Everything a call of boto3 raises; the last comes when a body breaks off."""

_SERVER_ERROR: Final = 500
_LONGEST_QUOTE: Final = 200
"""Characters of somebody else's words that we repeat."""


_DENIED: Final = Meaning(
    Forbidden,
    "access denied",
    "allow the credentials of {source} s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket",
    quoted=True,
)
_WRONG_KEY: Final = Meaning(
    Forbidden, "the server does not know the access key", "correct aws_access_key_id in the credentials of {source}"
)
_WRONG_SECRET: Final = Meaning(
    Forbidden,
    "the secret key does not fit the access key",
    "correct aws_secret_access_key in the credentials of {source}",
)
_EXPIRED: Final = Meaning(
    Forbidden, "the session token has expired or is not valid", "renew the temporary credentials of {source}"
)
_NO_CREDENTIALS: Final = Meaning(
    InvalidSettings,
    "no usable credentials were found",
    "name a Secret with them in spec.credential of {source}, or mount Velero's own and set AWS_SHARED_CREDENTIALS_FILE",
    quoted=True,
)
_NO_BUCKET: Final = Meaning(
    InvalidSettings, "the bucket does not exist", "create it, or correct the bucket name in {source}"
)
_BAD_NAME: Final = Meaning(
    InvalidSettings, "the bucket or key name is not valid", "correct bucket and prefix in {source}"
)
_NO_OBJECT: Final = Meaning(
    NotFound,
    "the object does not exist",
    "it was deleted, or stored under another bucket or prefix than that of {source}",
)
_WRONG_REGION: Final = Meaning(
    InvalidSettings, "the bucket lies in another region", "set config.region to the bucket's own in {source}"
)
_REDIRECTED: Final = Meaning(
    InvalidSettings,
    "the server redirects to another address",
    "put that address, https:// included, into the S3 URL of {source}",
    quoted=True,
)
_SKEWED: Final = Meaning(
    Forbidden,
    "the clocks of this node and of the storage differ too much",
    "synchronise both with NTP",
)
_OVERLOADED: Final = Meaning(
    Unavailable,
    "the storage is overloaded or failing",
    "if it lasts, look at the storage server",
    quoted=True,
)
_FAILING: Final = Meaning(
    Unavailable,
    "the storage fails without an S3 answer",
    "look at the storage server; if a web page or proxy answers there, correct the S3 URL in {source}",
    quoted=True,
)
_KMS: Final = Meaning(
    InvalidSettings,
    "the encryption key cannot be used",
    "correct the encryption in {source}, or allow its credentials the key",
    quoted=True,
)
_ARCHIVED: Final = Meaning(
    InvalidSettings,
    "the object was moved to an archive class",
    "restore it from the archive and exempt plugins/vmservice/ from the bucket's lifecycle rules",
)
_DAMAGED: Final = Meaning(
    Unavailable,
    "the bytes were damaged on the way",
    "if it lasts, look for a proxy in between",
)
_NOT_S3: Final = Meaning(
    InvalidSettings,
    "what answers there is not S3",
    "correct the S3 URL in {source}, http:// or https:// included; a web page or proxy may answer",
)
_NO_TLS: Final = Meaning(
    InvalidSettings, "what answers there does not speak TLS", "use http:// or the port of the TLS listener in {source}"
)
_TLS: Final = Meaning(
    InvalidSettings,
    "the TLS certificate is not trusted",
    "give its authority to {source} (objectStorage.caCert or caCertRef; bucket.ca_file), or correct the URL",
    quoted=True,
)
_UNREACHABLE: Final = Meaning(
    Unavailable,
    "the storage cannot be reached",
    "check DNS, firewall, proxy and the S3 URL in {source}",
    quoted=True,
)
_SLOW: Final = Meaning(
    Unavailable,
    "the storage did not answer in time",
    "look at the storage server and the network, or raise s3_timeout_seconds",
)
_REFUSED: Final = Meaning(
    InvalidSettings, "the server refuses the request", "its words say why; correct {source}", quoted=True
)


def _codes(meaning: Meaning, *codes: str) -> dict[str, Meaning]:
    return dict.fromkeys(codes, meaning)


_BY_CODE: Final[Mapping[str, Meaning]] = {
    **_codes(_DENIED, "AccessDenied", "AllAccessDisabled", "AccountProblem", "401", "403"),
    **_codes(_WRONG_KEY, "InvalidAccessKeyId", "NotSignedUp", "InvalidClientTokenId"),
    **_codes(_WRONG_SECRET, "SignatureDoesNotMatch"),
    **_codes(_EXPIRED, "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"),
    **_codes(_NO_CREDENTIALS, "CredentialsNotSupported", "InvalidIdentityToken"),
    **_codes(_NO_BUCKET, "NoSuchBucket"),
    **_codes(_BAD_NAME, "InvalidBucketName", "InvalidURI", "KeyTooLongError"),
    **_codes(_NO_OBJECT, "NoSuchKey"),
    **_codes(_WRONG_REGION, "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"),
    **_codes(_WRONG_REGION, "IllegalLocationConstraintException"),
    **_codes(_REDIRECTED, "301", "302", "307", "308"),
    **_codes(_SKEWED, "RequestTimeTooSkewed", "RequestExpired"),
    **_codes(_OVERLOADED, "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "OperationAborted"),
    **_codes(_OVERLOADED, "429", "ConditionalRequestConflict"),
    **_codes(_SLOW, "RequestTimeout", "408"),
    **_codes(_ARCHIVED, "InvalidObjectState"),
    **_codes(_DAMAGED, "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"),
}

_BY_TYPE: Final[tuple[tuple[tuple[type[Exception], ...], Meaning], ...]] = (
    ((boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError), _NO_CREDENTIALS),
    ((boto.ProfileNotFound, boto.ConfigNotFound, boto.TokenRetrievalError), _NO_CREDENTIALS),
    ((boto.ParamValidationError, boto.InvalidDNSNameError), _BAD_NAME),
    ((boto.NoRegionError, boto.InvalidRegionError), _WRONG_REGION),
    ((boto.SSLError,), _TLS),
    ((boto.ReadTimeoutError, boto.ConnectTimeoutError), _SLOW),
    ((boto.ChecksumError, boto.IncompleteReadError), _DAMAGED),
    ((boto.ConnectionError, boto.HTTPClientError, HTTPError), _UNREACHABLE),
    ((ResponseParserError,), _NOT_S3),
)
"""The first match holds: SSLError and the timeouts are ConnectionErrors too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where calls go, for messages; `source` names the location or setting that an administrator would edit."""

    bucket: str
    endpoint: str
    source: str

    def __str__(self) -> str:
        return f'bucket "{self.bucket}" at {self.endpoint}'


@contextlib.contextmanager
def translated(verb: str, key: str, place: Place) -> Iterator[None]:
    """Turn every failure of boto3 inside the block into an error of ours; `verb` is what was tried, e.g. `store`."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise translate(error, verb, key, place) from error


def translate(error: Exception, verb: str, key: str, place: Place) -> VmServiceError:
    """Return the error of ours that says what `error` means."""
    if isinstance(error, boto.ClientError):
        meaning, words = _from_answer(error)
    else:
        words = _reason(error)
        meaning = next((meaning for types, meaning in _BY_TYPE if isinstance(error, types)), _REFUSED)
        if meaning is _TLS and "WRONG_VERSION_NUMBER" in str(error):
            meaning = _NO_TLS
    return _told(meaning, words, verb, key, place)


def code(error: boto.ClientError) -> str:
    """Return the error code of a server's answer."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _from_answer(error: boto.ClientError) -> tuple[Meaning, str]:
    answer: Mapping[str, Any] = error.response
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Where the body is no S3 error document, botocore gives the status as the code, or for other XML nothing.
    name = code(error) or str(status)
    words = f"{name}: {answer.get('Error', {}).get('Message', '')}"
    if meaning := _BY_CODE.get(name):
        if meaning is _REDIRECTED:
            words = _without_query(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("location", ""))
        return meaning, words
    if name.startswith("KMS."):
        return _KMS, words
    if status >= _SERVER_ERROR:
        return (_FAILING if name.isdigit() else _OVERLOADED), words
    return (_NOT_S3 if name.isdigit() else _REFUSED), words


def _without_query(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]


def _told(meaning: Meaning, words: str, verb: str, key: str, place: Place) -> VmServiceError:
    where = f'"{key}" in {place}' if key else str(place)
    quote = one_line(words, _LONGEST_QUOTE) if meaning.quoted else ""
    return meaning.kind(
        f"cannot {verb} {where}: {meaning.cause}{f' ({quote})' if quote else ''}",
        hint=meaning.remedy.format(source=place.source),
    )


def _reason(error: Exception) -> str:
    """Return the last words of a chain like `HTTPConnection(...): Failed to …: [Errno 111] Connection refused`."""
    kwargs: Mapping[str, Any] = getattr(error, "kwargs", {})
    words = str(kwargs.get("error") or kwargs.get("error_msg") or error)
    return re.sub(r"\s*\(_ssl\.c:\d+\)", "", words.rpartition(": ")[2])
