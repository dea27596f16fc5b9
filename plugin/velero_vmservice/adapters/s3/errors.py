"""The meaning of failures of storage, in one sentence with bucket, key and remedy.

Every exception of botocore is translated here, unforeseen ones included. An error never repeats a secret, or the parts
of the request that a server echoes (canonical request, access key).
"""

from __future__ import annotations

import contextlib
import re
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from velero_vmservice.adapters.failed_requests import api_failed, is_failure
from velero_vmservice.adapters.s3 import error_meanings as meanings
from velero_vmservice.adapters.transport import bounded_http
from velero_vmservice.errors import VmServiceError
from velero_vmservice.metrics import Api
from velero_vmservice.reachability import STORES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.adapters.error_table import Meaning

_log = structlog.get_logger()

_FORESEEN: Final = (boto.ClientError, boto.BotoCoreError, ResponseParserError, HTTPError)
"""Known exceptions of a call of boto3; the last one means that a body broke off."""
_SERVER_ERROR: Final = 500
_LOGINS: Final = frozenset({401, 403})
_REGION: Final = re.compile(r"region.*expecting '([a-z0-9-]+)'")
"""The region in answers of servers without the element `Region`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The target of calls, for messages; `source` names the location or setting that an administrator would edit."""

    bucket: str
    endpoint: str
    source: str
    proxy: str = ""
    header_settings: tuple[tuple[str, str], ...] = ()
    """Requests of the location to the server: the beginning of the headers, and the setting's name."""

    def __str__(self) -> str:
        return f'bucket "{self.bucket}" at {self.endpoint}'

    @property
    def way(self) -> str:
        """Name the first hop of a request: the proxy or the server."""
        return f"the proxy {self.proxy}" if self.proxy else self.endpoint


@contextlib.contextmanager
def translated(verb: str, key: str, place: Place) -> Iterator[None]:
    """Translate every failure inside the block; `verb` is the attempt, e.g. `store`."""
    try:
        yield
    except VmServiceError:
        raise
    except Exception as error:  # an undocumented exception is no traceback to a user either
        raise _failed(error, verb, key, place) from error
    else:
        STORES.answered(place.source)


@contextlib.contextmanager
def opened(place: Place) -> Iterator[None]:
    """Translate every failure to make a client, without its cause, which may quote the credentials."""
    try:
        yield
    except VmServiceError:
        raise
    except Exception as error:  # noqa: BLE001 - as in `translated`
        if isinstance(error, ValueError) and not isinstance(error, boto.BotoCoreError):
            raise failure(meanings.BAD_URL, "", "open", "", place) from None  # botocore's refusal of an endpoint
        raise _failed(error, "open", "", place) from None


def _failed(error: Exception, verb: str, key: str, place: Place) -> VmServiceError:
    """Return the translated error; count it, and remember it if the store may be unusable for others too."""
    translated_error = translate(error, verb, key, place)
    if is_failure(translated_error):
        STORES.failed(place.source, translated_error.code)
    return api_failed(Api.S3, translated_error, _counted_cause(error))


def _counted_cause(error: Exception) -> str:
    """Return the server's code if the table has it, or its status, or the class of the client's exception."""
    if not isinstance(error, boto.ClientError):
        return type(error).__name__ if isinstance(error, _FORESEEN) else "unforeseen"
    name = code(error)
    return name if name in meanings.BY_CODE else str(status(error))


def translate(error: Exception, verb: str, key: str, place: Place) -> VmServiceError:
    """Return the translation of an error."""
    if isinstance(error, boto.ClientError):
        meaning, text = _from_answer(error, place)
    elif isinstance(error, _FORESEEN):
        text = _reason(error)
        meaning = next((meaning for types, meaning in meanings.BY_TYPE if isinstance(error, types)), meanings.REFUSED)
        if meaning is meanings.TLS and "WRONG_VERSION_NUMBER" in str(error):
            meaning = meanings.NO_TLS
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        _log.error("storage failed in an unforeseen way", cause=type(error).__name__, at=f"{frame.name}:{frame.lineno}")
        meaning, text = meanings.UNEXPECTED, type(error).__name__
    settings = _unknown_settings(error, place) if isinstance(error, boto.ClientError) else ""
    return failure(meaning, text, verb, key, place, settings=settings)


def failure(meaning: Meaning, quote: str, verb: str, key: str, place: Place, *, settings: str = "") -> VmServiceError:
    """Return the error for a meaning; `quote` is the server's own text."""
    where = f'"{key}" in {place}' if key else str(place)
    return meaning.error(f"cannot {verb} {where}", quote, source=place.source, way=place.way, settings=settings)


def code(error: boto.ClientError) -> str:
    """Return the error code in a server's answer, or its status if there is none."""
    # If the body is not an S3 error document, botocore returns the status as the code, or nothing for other XML.
    return str(error.response.get("Error", {}).get("Code") or status(error))


def status(error: boto.ClientError) -> int:
    """Return the HTTP status of a server's answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def transient(error: boto.ClientError, place: Place) -> bool:
    """Say whether the same request may succeed later."""
    return _from_answer(error, place)[0].kind.transient


def _from_answer(error: boto.ClientError, place: Place) -> tuple[Meaning, str]:
    name = code(error)
    text = f"{name}: {error.response.get('Error', {}).get('Message', '')}"
    if name.isdigit():
        return _without_code(error, text)
    meaning = meanings.BY_CODE.get(name)
    if meaning is meanings.MALFORMED_KEY and (region := _region_named(error)):
        return meanings.WRONG_REGION, region
    if meaning is meanings.UNKNOWN_CALL and place.header_settings:
        return meanings.UNKNOWN_SETTING, text
    if meaning:
        return meaning, text
    if name.startswith("KMS."):
        return meanings.KMS, text
    return (meanings.OVERLOADED if status(error) >= _SERVER_ERROR else meanings.REFUSED), text


def _without_code(error: boto.ClientError, text: str) -> tuple[Meaning, str]:
    """Read an answer that is not an S3 error document."""
    number, headers = status(error), _headers(error)
    if meaning := meanings.BY_STATUS.get(number):
        return meaning, _without_query(headers.get("location", "")) if meaning is meanings.REDIRECTED else text
    if number in _LOGINS and headers.get("content-length") == "0":
        return meanings.DENIED, text
    if number >= _SERVER_ERROR:
        return meanings.FAILING, text
    return meanings.NOT_S3, f"{number} {headers.get('content-type', '')}"


def _unknown_settings(error: boto.ClientError, place: Place) -> str:
    """Name the settings whose headers a server did not know: those in its answer, or else all."""
    header = str(error.response.get("Error", {}).get("Header", "")).lower()
    named = [setting for begin, setting in place.header_settings if header.startswith(begin)]
    return ", ".join(named or (setting for _, setting in place.header_settings))


def _region_named(error: boto.ClientError) -> str:
    answer: Mapping[str, Any] = error.response.get("Error", {})
    region_in_message = _REGION.search(str(answer.get("Message", "")))
    return str(
        answer.get("Region")
        or _headers(error).get("x-amz-bucket-region")
        or (region_in_message[1] if region_in_message else "")
    )


def _headers(error: boto.ClientError) -> Mapping[str, str]:
    headers: Mapping[str, str] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _without_query(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]


def _reason(error: Exception) -> str:
    """Return the last words of a chain like `HTTPConnection(...): Failed to …: [Errno 111] Connection refused`."""
    kwargs: Mapping[str, Any] = getattr(error, "kwargs", {})
    text = str(bounded_http.cause(kwargs.get("error") or kwargs.get("error_msg") or error))
    return re.sub(r"\s*\(_ssl\.c:\d+\)", "", text.rpartition(": ")[2])
