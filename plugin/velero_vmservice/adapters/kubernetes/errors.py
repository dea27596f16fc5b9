"""The meaning of failures of the Kubernetes API.

The client raises unrelated families: ApiException with a status, urllib3's errors without one, any error from the
renewal of a token, and Python's own for a request that cannot be made. A status alone does not distinguish an
administrator's denial from an admission webhook's, or an existing object from a changed one; the server's text does.
"""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from velero_vmservice.adapters.error_table import Meaning
from velero_vmservice.adapters.transport import bounded_http
from velero_vmservice.errors import (
    AlreadyExists,
    Conflict,
    DryRunUnsupported,
    Forbidden,
    InvalidSettings,
    NotFound,
    Rejected,
    Unavailable,
    VmServiceError,
)
from velero_vmservice.text import LONGEST_QUOTE, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOOK: Final = "check the API server and the network to it"
_PROXY: Final = "look for a proxy or a login page before the API server, and at the server of the kubeconfig"
_RENEW: Final = "look at the mounted token and at the kubeconfig"
_NO_API_SERVER: Final = "the server there is not an API server, it"

_SLOW: Final = Meaning(Unavailable, "the API server did not answer in time", _LOOK)
_UNREACHABLE: Final = Meaning(Unavailable, "the API server cannot be reached", _LOOK, quoted=True)
_NO_JSON: Final = Meaning(Unavailable, "the answer is not JSON", _PROXY)
_NO_LOGIN: Final = Meaning(Unavailable, "the login cannot be renewed", _RENEW, quoted=True)
_NO_REQUEST: Final = Meaning(
    InvalidSettings,
    "no request can be made of it: an address, a name or a token has characters that HTTP refuses",
    "correct the server and the user in the kubeconfig",
)
_CLIENT_FAILS: Final = Meaning(Unavailable, "the Kubernetes client fails", _LOOK, quoted=True)
_REDIRECTED: Final = Meaning(Unavailable, f"{_NO_API_SERVER} redirects{{elsewhere}}", _PROXY)
_PAGE: Final = Meaning(Unavailable, f"{_NO_API_SERVER} sends a page", _PROXY, quoted=True)
_LOGIN_PAGE: Final = Meaning(Forbidden, f"{_NO_API_SERVER} sends a page", _PROXY, quoted=True)
_NO_TLS: Final = Meaning(
    Unavailable, "", "correct the certificate authority in the kubeconfig or service account", quoted=True
)
_AWAY: Final = Meaning(Unavailable, "", _LOOK, quoted=True)
_EXISTS: Final = Meaning(AlreadyExists, "", "use the object that is there, or remove it", quoted=True)
_CHANGED: Final = Meaning(Conflict, "", "read the object again: another client has changed it", quoted=True)
_ABSENT: Final = Meaning(NotFound, "", "create it if it is wanted: it was deleted, or never existed", quoted=True)
_UNKNOWN_USER: Final = Meaning(
    Forbidden, "", "renew the token or the certificate: the API server does not accept it", quoted=True
)
_DENIED: Final = Meaning(Forbidden, "", "grant that verb to the service account", quoted=True)
_NO_DRY_RUN: Final = Meaning(DryRunUnsupported, "", "give the webhook sideEffects None or NoneOnDryRun", quoted=True)
_REFUSED: Final = Meaning(
    Rejected, "", "correct what the API server or the admission webhook says of the object", quoted=True
)

_BY_STATUS: Final[Mapping[int, Meaning]] = {
    0: _NO_TLS,  # the client's report of a failed TLS handshake
    **dict.fromkeys((408, 429, 500, 502, 503, 504), _AWAY),  # 500 also stands for an unreachable webhook
    410: _AWAY,  # the pages of a list expired during the read
    401: _UNKNOWN_USER,
    404: _ABSENT,
    409: _CHANGED,
}
"""By the status of an answer; any other status is a refusal."""
_EXISTS_ALREADY: Final = "AlreadyExists"
"""A Status' reason (apimachinery, StatusReasonAlreadyExists)."""
_DRY_RUN: Final = "does not support dry run"
"""The end of the API server's refusal (apiserver, admission/plugin/webhook: NewDryRunUnsupportedErr)."""


class NoJson(Exception):
    """An answer is not a JSON object."""


class PagesExpired(Exception):
    """A list changed too much during the read of its pages; it must be read from the start."""


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate every failure of the client inside the block; `what` is e.g. `cannot read Pod a/b`."""
    try:
        yield
    except (VmServiceError, PagesExpired):
        raise
    except ApiException as error:
        raise _from_answer(error, what) from None  # the library's text has headers and its own traceback
    except HTTPError as error:
        # In urllib3 a refused connection is also a timeout, and an unresolved name is also a refused connection.
        is_slow = isinstance(error, Urllib3Timeout) and not isinstance(error, NewConnectionError)
        raise (_SLOW if is_slow else _UNREACHABLE).error(what, _reason(error)) from error
    except NoJson:
        raise _NO_JSON.error(what) from None
    except (ConfigException, OSError) as error:
        raise _NO_LOGIN.error(what, str(error.strerror if isinstance(error, OSError) else error)) from None
    except ValueError:
        raise _NO_REQUEST.error(what) from None
    except Exception as error:
        raise _CLIENT_FAILS.error(what, type(error).__name__) from error


def _status_of(error: ApiException) -> Mapping[str, Any]:
    """Return the Status document that an API server sent with an error, or an empty one."""
    try:
        body = json.loads(error.body or "{}")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}


def _from_answer(error: ApiException, what: str) -> VmServiceError:
    status = _status_of(error)
    text = str(status.get("message") or error.reason or f"status {int(error.status or 0)}")
    return _meaning(error, status, text).error(what, text, longest=LONGEST_QUOTE, elsewhere=_elsewhere(error))


def _meaning(error: ApiException, status: Mapping[str, Any], text: str) -> Meaning:
    code = int(error.status or 0)
    if HTTPStatus.MULTIPLE_CHOICES <= code < HTTPStatus.BAD_REQUEST:
        return _REDIRECTED
    if not status and _is_page(error):
        return _LOGIN_PAGE if code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} else _PAGE
    if code == HTTPStatus.CONFLICT and status.get("reason") == _EXISTS_ALREADY:
        return _EXISTS
    if code == HTTPStatus.FORBIDDEN and _denied_by_rbac(status, text):
        return _DENIED
    if code == HTTPStatus.BAD_REQUEST and _DRY_RUN in text:
        return _NO_DRY_RUN
    return _BY_STATUS.get(code, _REFUSED)


def _elsewhere(error: ApiException) -> str:
    """Return the host of a redirect; the rest of the address may hold a token."""
    try:
        host = urlsplit(str((error.headers or {}).get("Location", ""))).hostname
    except ValueError:
        host = None
    return f" to {one_line(host)}" if host else ""


def _is_page(error: ApiException) -> bool:
    """Say whether the answer is HTML: an API server sends JSON, or plain text for an unknown path."""
    kind = str((error.headers or {}).get("Content-Type", "")).lower()
    return "html" in kind or str(error.body or "").lstrip().startswith("<")


def _denied_by_rbac(status: Mapping[str, Any], text: str) -> bool:
    """Say whether an authorizer denied the request: webhooks and quotas answer 403 too, but name no user."""
    return not status or ('User "' in text and " cannot " in text)


def _reason(error: HTTPError) -> str:
    inner = getattr(error, "reason", None) or error
    kind = "TLS: " if isinstance(inner, SSLError) else ""
    return kind + one_line(str(bounded_http.cause(inner)).rpartition(": ")[2])
