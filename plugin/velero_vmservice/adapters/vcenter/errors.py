"""What a failure of vCenter means, in one sentence with a remedy; never a password, never a session.

pyvmomi and requests fail in a dozen unrelated ways; this is the only place that knows them.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError, ReadTimeoutError

from velero_vmservice.adapters.transport.bounded_http import AnswerLate, cause
from velero_vmservice.errors import (
    AlreadyExists,
    AnswerTooLong,
    Forbidden,
    InvalidSettings,
    NotFound,
    NotSent,
    Rejected,
    TimedOut,
    Unavailable,
    VmServiceError,
)
from velero_vmservice.kube.manifest import mapping, sequence
from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.adapters.vcenter.sdk import Sdk

LONGEST_WORDS: Final = 64 * 1024
"""Characters of vCenter's own words that are kept."""
_LOOK: Final = "check vCenter and the network to it"
_TRUST: Final = (
    "put the certificate of vCenter's authority into vcenter.ca_file (https://SERVER/certs/download.zip has it), and"
    " name the server as its certificate does"
)
_LOGIN: Final = (
    "correct vcenter.user and its password; the refused one is not sent again at once, so that no account is locked"
)
_ALLOW: Final = "give the account read access to the namespace's folder, and Namespaces.Configure for RegisterVM"
_NO_VCENTER: Final = "correct vcenter.server, or look for a proxy in between: what answers there is no vCenter"
_NO_JSON: Final = "look for a proxy or a login page in between, at vcenter.server, and at the release of vCenter"
_AWAY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)
_IN_DESIRED_STATE: Final = "ALREADYINDESIREDSTATE"


@contextlib.contextmanager
def translated(what: str, sdk: Sdk) -> Iterator[None]:
    """Turn every failure of the SOAP client inside the block into an error of ours; `what` is what was tried."""
    vim, vmodl = sdk.vim, sdk.vmodl
    try:
        yield
    except AnswerTooLong as error:
        raise AnswerTooLong(f"{what}: {error.message}", hint=error.hint) from None
    except VmServiceError:
        raise
    except vim.fault.InvalidLogin as fault:
        raise wrong_login(what, fault_words(fault)) from None
    except vim.fault.NoPermission as fault:
        privilege = one_line(str(getattr(fault, "privilegeId", "") or ""))
        raise Forbidden(f"{what}: vCenter denies it ({privilege or 'no permission'})", hint=_ALLOW) from None
    except vmodl.fault.ManagedObjectNotFound:
        raise NotFound(f"{what}: vCenter has no such object", hint="it was deleted in the meantime") from None
    except vmodl.MethodFault as fault:
        raise Unavailable(f"{what}: vCenter fails ({fault_words(fault)})", hint=_LOOK) from None
    except OSError as error:
        raise _from_network(what, error) from None
    except HTTPException as error:
        raise Unavailable(f"{what}: vCenter fails ({one_line(str(error))})", hint=_LOOK) from None
    except Exception as error:  # noqa: BLE001 - pyvmomi lets out whatever its parser meets in what is not SOAP
        kind = type(error).__name__
        raise Unavailable(f"{what}: the answer is no SOAP ({kind}: {one_line(str(error))})", hint=_NO_VCENTER) from None


def fault_words(fault: Any) -> str:
    """Return what a fault says: its class, message and reason; not made fit to be shown."""
    name = type(fault).__name__.rpartition(".")[2]
    texts = (getattr(fault, "msg", ""), getattr(fault, "reason", ""))
    messages = [str(getattr(entry, "message", "") or "") for entry in getattr(fault, "faultMessage", None) or ()]
    keys = [str(getattr(entry, "key", "") or "") for entry in getattr(fault, "faultMessage", None) or ()]
    distinct = dict.fromkeys(str(text) for text in (*texts, *keys, *messages) if text)
    return (f"{name}: {'; '.join(distinct)}" if distinct else name)[:LONGEST_WORDS]


def wrong_login(what: str, text: str = "") -> Forbidden:
    """Return the error for a login that vCenter refuses."""
    quote = f" ({one_line(text)})" if text else ""
    return Forbidden(f"{what}: vCenter refuses user and password{quote}", hint=_LOGIN)


@contextlib.contextmanager
def rest_translated(what: str) -> Iterator[None]:
    """Turn every failure of `requests` inside the block into an error of ours.

    `NotSent` is raised only if the request did not reach vCenter for certain.
    """
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise _from_tls(what, str(error), _reason(error)) from None
    except (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError) as error:
        raise NotSent(f"{what}: vCenter cannot be reached ({_reason(error)})", hint=_LOOK) from None
    except requests.exceptions.ConnectionError as error:
        kind = NotSent if _never_connected(error) else Unavailable
        raise kind(f"{what}: vCenter cannot be reached ({_reason(error)})", hint=_LOOK) from None
    except (requests.exceptions.Timeout, ReadTimeoutError):  # past the headers `requests` translates nothing
        raise Unavailable(f"{what}: vCenter did not answer in time", hint=_LOOK) from None
    except HTTPError as error:
        raise Unavailable(f"{what}: the answer broke off ({_reason(error)})", hint=_LOOK) from None
    except AnswerTooLong as error:
        raise AnswerTooLong(f"{what}: {error.message}", hint=error.hint) from None
    except VmServiceError:
        raise
    except OSError as error:  # RequestException is one; the CA file is read here too
        raise _from_network(what, error) from None
    except Exception as error:  # noqa: BLE001 - the last place that knows what was asked
        raise Unavailable(f"{what}: the request fails ({type(error).__name__})", hint=_LOOK) from None


def from_answer(what: str, status: int, body: Any) -> VmServiceError:
    """Return what an answer of the REST API that is no success means."""
    answer = mapping(body)
    value = mapping(answer.get("value"))
    kind = str(answer.get("error_type") or answer.get("type") or "")
    messages = [mapping(entry) for entry in sequence(answer.get("messages") or value.get("messages"))]
    details = "; ".join(
        dict.fromkeys(
            str(text) for entry in messages for text in (entry.get("id"), entry.get("default_message")) if text
        )
    )
    quote = one_line(": ".join(part for part in (kind.rpartition(".")[2], details) if part)) or f"status {status}"
    message = f"{what}: {quote}"
    if re.sub("[^A-Z]", "", kind.rpartition(".")[2].upper()) == _IN_DESIRED_STATE:
        return AlreadyExists(message, hint="nothing is to be done")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AWAY:
        return Unavailable(message, hint=_LOOK)
    if body is None and status >= HTTPStatus.BAD_REQUEST:
        denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        return (Forbidden if denied else Rejected)(f"{message}, without the JSON that vCenter sends", hint=_NO_JSON)
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(message, hint="the namespace or the VM is not there, or the account may not see it")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Forbidden(message, hint=_ALLOW)
    if status < HTTPStatus.BAD_REQUEST:
        return Rejected(message, hint=_NO_VCENTER)
    return Rejected(message, hint="correct what vCenter's message names, then call RegisterVM again by hand")


def _from_network(what: str, error: OSError) -> VmServiceError:
    if isinstance(error, ssl.SSLError):
        return _from_tls(what, str(error), str(getattr(error, "verify_message", "") or error.reason or "TLS fails"))
    if isinstance(error, TimeoutError):
        kind = TimedOut if isinstance(error, AnswerLate) else Unavailable  # to connect may take too long as well
        return kind(f"{what}: vCenter did not answer in time", hint=_LOOK)
    return Unavailable(f"{what}: vCenter cannot be reached ({_reason(error)})", hint=_LOOK)


def _from_tls(what: str, text: str, why: str) -> VmServiceError:
    """Return `InvalidSettings` for a failed handshake; what breaks later may have been understood."""
    if "WRONG_VERSION_NUMBER" in text:
        return InvalidSettings(f"{what}: what answers there does not speak TLS", hint=_NO_VCENTER)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return InvalidSettings(f"{what}: vCenter's TLS certificate is not trusted ({one_line(why)})", hint=_TRUST)
    return Unavailable(f"{what}: the TLS connection broke off ({one_line(why)})", hint=_LOOK)


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    inner = error.args[0] if error.args else None
    reason = inner.reason if isinstance(inner, MaxRetryError) else inner
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))


def _reason(error: Exception) -> str:
    """Return the last words of a chain like `HTTPSConnectionPool(...): Max retries exceeded …: Connection refused`."""
    inner = cause(error)
    text = getattr(inner, "strerror", None) or str(inner).rpartition(": ")[2] or type(inner).__name__
    return one_line(re.sub(r"\s*\(_ssl\.c:\d+\)|[)'\"]+$", "", str(text)))
