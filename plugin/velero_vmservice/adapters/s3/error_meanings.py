"""The table of meanings of S3's answers and botocore's exceptions.

botocore reports a missing bucket, a wrong secret and a proxy's login page through three unrelated families of
exceptions; no other module knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError, ReadTimeoutError

from velero_vmservice.adapters.error_table import Meaning
from velero_vmservice.errors import Forbidden, InvalidSettings, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

DENIED: Final = Meaning(
    Forbidden,
    "access denied",
    "allow the credentials of {source} s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket",
    quoted=True,
)
WRONG_KEY: Final = Meaning(
    Forbidden, "the server does not know the access key", "correct aws_access_key_id in the credentials of {source}"
)
WRONG_SECRET: Final = Meaning(
    Forbidden,
    "the secret key does not fit the access key",
    "correct aws_secret_access_key in the credentials of {source}",
)
EXPIRED: Final = Meaning(
    Forbidden, "the session token has expired or is not valid", "renew the temporary credentials of {source}"
)
NO_CREDENTIALS: Final = Meaning(
    InvalidSettings,
    "no usable credentials were found",
    "name a Secret with them in spec.credential of {source}, or mount Velero's own and set AWS_SHARED_CREDENTIALS_FILE",
    quoted=True,
)
NO_BUCKET: Final = Meaning(
    InvalidSettings, "the bucket does not exist", "create it, or correct the bucket name in {source}"
)
BAD_NAME: Final = Meaning(
    InvalidSettings, "the bucket or key name is not valid", "correct bucket and prefix in {source}"
)
NO_OBJECT: Final = Meaning(
    NotFound,
    "the object does not exist",
    "correct the bucket and prefix in {source}, or look for what deleted it",
)
WRONG_REGION: Final = Meaning(
    InvalidSettings, "the bucket lies in another region", "set the region to the bucket's own in {source}", quoted=True
)
NO_REGION: Final = Meaning(
    InvalidSettings, "the region is not a region's name", "correct the region in {source}, without blanks", quoted=True
)
MALFORMED_KEY: Final = Meaning(
    Forbidden,
    "the access key cannot be one",
    "correct aws_access_key_id in the credentials of {source}: no blanks, no slashes, no comment",
)
REDIRECTED: Final = Meaning(
    InvalidSettings,
    "the server redirects to another address",
    "put that address, https:// included, into the S3 URL of {source}",
    quoted=True,
)
SKEWED: Final = Meaning(
    Forbidden,
    "the clocks of this node and of the storage differ too much",
    "synchronise both with NTP",
)
OVERLOADED: Final = Meaning(
    Unavailable,
    "the storage is overloaded or failing",
    "if it lasts, look at the storage server",
    quoted=True,
)
FAILING: Final = Meaning(
    Unavailable,
    "the storage fails without an S3 answer",
    "look at the storage server; if a web page or proxy answers there, correct the S3 URL in {source}",
    quoted=True,
)
KMS: Final = Meaning(
    InvalidSettings,
    "the encryption key cannot be used",
    "correct the encryption in {source}, or allow its credentials the key",
    quoted=True,
)
ARCHIVED: Final = Meaning(
    InvalidSettings,
    "the object was moved to an archive class",
    "restore it from the archive and exempt plugins/vmservice/ from the bucket's lifecycle rules",
)
DAMAGED: Final = Meaning(
    Unavailable,
    "the bytes were damaged on the way",
    "if it lasts, look for a proxy in between",
)
NOT_S3: Final = Meaning(
    InvalidSettings,
    "the server there is not S3",
    "correct the S3 URL in {source}, or see what answers at {way}: a proxy or a web page",
    quoted=True,
)
ENDLESS: Final = Meaning(
    InvalidSettings, "the server there is not S3: the list does not end", "look at what answers at {way}"
)
PROXY: Final = Meaning(
    Unavailable,
    "the proxy lets nothing through",
    "look at {way}, or except the storage in NO_PROXY",
    quoted=True,
)
PROXY_LOGIN: Final = Meaning(
    InvalidSettings,
    "the proxy asks for a login",
    "put user and password into the proxy's URL, or except the storage in NO_PROXY; it is {way}",
)
HEADERS_CHANGED: Final = Meaning(
    InvalidSettings,
    "the signature of writes does not fit, though that of reads does",
    "leave the keys as they are, and look for a proxy or load balancer that changes headers of requests, at {way}",
)
UNKNOWN_SETTING: Final = Meaning(
    InvalidSettings,
    "the server does not know what {source} asks of it: {settings}",
    "remove that setting, or set the server up for it",
    quoted=True,
)
UNKNOWN_CALL: Final = Meaning(
    InvalidSettings, "the server does not know this call", "use a server that speaks S3 in full", quoted=True
)
UNEXPECTED: Final = Meaning(
    Unavailable,
    "the answer could not be handled",
    "look at what answers at {way}; if that is S3, report this",
    quoted=True,
)
BAD_URL: Final = Meaning(
    InvalidSettings, "the S3 URL is not valid", "give {source} a URL like https://s3.example.com:9000"
)
NO_TLS: Final = Meaning(
    InvalidSettings, "the server there does not speak TLS", "use http:// or the port of the TLS listener in {source}"
)
TLS: Final = Meaning(
    InvalidSettings,
    "the TLS certificate is not trusted",
    "give its authority to {source} (objectStorage.caCert or caCertRef; bucket.ca_file), or correct the URL",
    quoted=True,
)
UNREACHABLE: Final = Meaning(
    Unavailable,
    "the storage cannot be reached",
    "check DNS, firewall, proxy and the S3 URL in {source}",
    quoted=True,
)
SLOW: Final = Meaning(
    Unavailable,
    "the storage did not answer in time",
    "look at the storage server and the network, or raise s3_timeout_seconds",
)
REFUSED: Final = Meaning(
    InvalidSettings, "the server refuses the request", "correct {source} by the server's reason", quoted=True
)


def _codes(meaning: Meaning, *codes: str) -> dict[str, Meaning]:
    return dict.fromkeys(codes, meaning)


BY_CODE: Final[Mapping[str, Meaning]] = {
    **_codes(DENIED, "AccessDenied", "AllAccessDisabled", "AccountProblem"),
    **_codes(WRONG_KEY, "InvalidAccessKeyId", "NotSignedUp", "InvalidClientTokenId"),
    **_codes(WRONG_SECRET, "SignatureDoesNotMatch"),
    **_codes(EXPIRED, "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"),
    **_codes(NO_CREDENTIALS, "CredentialsNotSupported", "InvalidIdentityToken"),
    **_codes(NO_BUCKET, "NoSuchBucket"),
    **_codes(BAD_NAME, "InvalidBucketName", "InvalidURI", "KeyTooLongError"),
    **_codes(NO_OBJECT, "NoSuchKey"),
    **_codes(WRONG_REGION, "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"),
    **_codes(MALFORMED_KEY, "AuthorizationHeaderMalformed"),
    **_codes(UNKNOWN_CALL, "NotImplemented"),
    **_codes(SKEWED, "RequestTimeTooSkewed", "RequestExpired"),
    **_codes(OVERLOADED, "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "OperationAborted"),
    **_codes(OVERLOADED, "ConditionalRequestConflict"),
    **_codes(SLOW, "RequestTimeout"),
    **_codes(ARCHIVED, "InvalidObjectState"),
    **_codes(DAMAGED, "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"),
}

BY_STATUS: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((301, 302, 303, 307, 308), REDIRECTED),
    407: PROXY_LOGIN,
    408: SLOW,
    429: OVERLOADED,
    501: UNKNOWN_CALL,
}
"""By the status of an answer without a code of S3."""

BY_TYPE: Final[tuple[tuple[tuple[type[Exception], ...], Meaning], ...]] = (
    ((boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError), NO_CREDENTIALS),
    ((boto.ProfileNotFound, boto.ConfigNotFound, boto.TokenRetrievalError), NO_CREDENTIALS),
    ((boto.ParamValidationError, boto.InvalidDNSNameError), BAD_NAME),
    ((boto.NoRegionError, boto.InvalidRegionError), NO_REGION),
    ((boto.SSLError,), TLS),
    ((boto.ProxyConnectionError, boto.InvalidProxiesConfigError), PROXY),
    ((boto.ReadTimeoutError, boto.ConnectTimeoutError, ReadTimeoutError), SLOW),
    ((boto.ChecksumError, boto.IncompleteReadError), DAMAGED),
    ((boto.ConnectionError, boto.HTTPClientError, HTTPError), UNREACHABLE),
    ((ResponseParserError,), NOT_S3),
)
"""The first match counts: SSLError and the timeouts are ConnectionErrors too."""
