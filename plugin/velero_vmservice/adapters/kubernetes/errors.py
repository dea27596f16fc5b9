"""What a failure of the Kubernetes API means.

The client raises unrelated families: ApiException with a status, urllib3's errors without one, whatever the renewal
of a token meets, and Python's own for a request that cannot be made. A status alone does not tell an administrator's
denial from an admission webhook's, nor an existing object from a changed one; the server's own words do.
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

from velero_vmservice.adapters.transport import bounded_http
from velero_vmservice.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidSettings,
    NotFound,
    Rejected,
    Unavailable,
    VmServiceError,
)
from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOOK: Final = "check the API server and the network to it"
_PROXY: Final = "look for a proxy or a login page before the API server, and at the server of the kubeconfig"
_RENEW: Final = "look at the mounted token and at the kubeconfig"
_AWAY: Final = frozenset({408, 410, 429, 500, 502, 503, 504})
"""410 is a list whose pages expired while we read them; 500 is also a webhook that cannot be reached."""


class NoJson(Exception):
    """An answer is no JSON object."""


class PagesExpired(Exception):
    """A list changed too much while its pages were read; it must be read from the start."""


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn every failure of the client inside the block into an error of ours; `what` is e.g. `cannot read Pod a/b`."""
    try:
        yield
    except (VmServiceError, PagesExpired):
        raise
    except ApiException as error:
        raise _from_answer(error, what) from None  # the library's text repeats headers and its own traceback
    except HTTPError as error:
        # A refused connection is a timeout as well to urllib3, a name that does not resolve a refused connection.
        if isinstance(error, Urllib3Timeout) and not isinstance(error, NewConnectionError):
            raise Unavailable(f"{what}: the API server did not answer in time", hint=_LOOK) from error
        raise Unavailable(f"{what}: the API server cannot be reached ({_reason(error)})", hint=_LOOK) from error
    except NoJson:
        raise Unavailable(f"{what}: the answer is not JSON", hint=_PROXY) from None
    except (ConfigException, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(f"{what}: the login cannot be renewed ({one_line(str(why))})", hint=_RENEW) from None
    except ValueError:
        sentence = (
            f"{what}: no request can be made of it: an address, a name or a token has characters that HTTP refuses"
        )
        raise InvalidSettings(sentence, hint="correct the server and the user in the kubeconfig") from None
    except Exception as error:
        raise Unavailable(f"{what}: the Kubernetes client fails ({type(error).__name__})", hint=_LOOK) from error


def _status_of(error: ApiException) -> Mapping[str, Any]:
    """Return the Status document that an API server sent with an error, or an empty one."""
    try:
        body = json.loads(error.body or "{}")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}


def _from_answer(error: ApiException, what: str) -> VmServiceError:
    status = _status_of(error)
    code, reason = int(error.status or 0), status.get("reason")
    text = one_line(str(status.get("message") or error.reason or f"status {code}"))
    message = f"{what}: {text}"
    if HTTPStatus.MULTIPLE_CHOICES <= code < HTTPStatus.BAD_REQUEST:
        return Unavailable(f"{what}: what answers there is no API server, it redirects{_elsewhere(error)}", hint=_PROXY)
    if not status and _is_page(error):
        kind = Forbidden if code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} else Unavailable
        return kind(f"{what}: what answers there is no API server, it sends a page ({text})", hint=_PROXY)
    if code == 0:  # how the client reports a failed TLS handshake
        return Unavailable(message, hint="correct the certificate authority in the kubeconfig or service account")
    if code in _AWAY:
        return Unavailable(message, hint=_LOOK)
    if code == HTTPStatus.NOT_FOUND:
        return NotFound(message, hint="it was deleted, or never existed")
    if code == HTTPStatus.CONFLICT:
        if reason == "AlreadyExists":
            return AlreadyExists(message, hint="an object of that name exists already")
        return Conflict(message, hint="another client changed the object; observe it again")
    if code == HTTPStatus.UNAUTHORIZED:
        return Forbidden(message, hint="the token or certificate is not accepted; renew it")
    if code == HTTPStatus.FORBIDDEN and _denied_by_rbac(status, text):
        return Forbidden(message, hint="grant that verb to the service account")
    return Rejected(message, hint="the API server or an admission webhook refuses the object as it is")


def _elsewhere(error: ApiException) -> str:
    """Return the host of a redirect; what follows it may hold a token."""
    try:
        host = urlsplit(str((error.headers or {}).get("Location", ""))).hostname
    except ValueError:
        host = None
    return f" to {one_line(host)}" if host else ""


def _is_page(error: ApiException) -> bool:
    """Say whether HTML came: an API server sends JSON, and plain text for a path that it does not know."""
    kind = str((error.headers or {}).get("Content-Type", "")).lower()
    return "html" in kind or str(error.body or "").lstrip().startswith("<")


def _denied_by_rbac(status: Mapping[str, Any], text: str) -> bool:
    """Say whether an authorizer denied: webhooks and quotas answer 403 too, but name no user."""
    return not status or ('User "' in text and " cannot " in text)


def _reason(error: HTTPError) -> str:
    inner = getattr(error, "reason", None) or error
    kind = "TLS: " if isinstance(inner, SSLError) else ""
    return kind + one_line(str(bounded_http.cause(inner)).rpartition(": ")[2])
