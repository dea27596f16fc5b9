"""The meaning of failures of vCenter, in one sentence with a remedy, without password or session.

pyvmomi and requests fail in a dozen unrelated ways; only this module knows them.
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

from velero_vmservice.adapters.error_table import Meaning
from velero_vmservice.adapters.failed_requests import api_failed
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
from velero_vmservice.metrics import Api
from velero_vmservice.text import LONGEST_QUOTE, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.adapters.vcenter.sdk import Sdk

LONGEST_FAULT: Final = 64 * 1024
"""The most characters quoted from vCenter's own text."""
_LOOK: Final = "check vCenter and the network to it"
_TRUST: Final = (
    "put the certificate of vCenter's authority into vcenter.ca_file (https://SERVER/certs/download.zip has it), and"
    " name the server as its certificate does"
)
_LOGIN: Final = (
    "correct vcenter.user and its password; the refused one is not sent again at once, so that no account is locked"
)
_ALLOW: Final = "give the account read access to the namespace's folder, and Namespaces.Configure for RegisterVM"
_NO_VCENTER: Final = "correct vcenter.server, or look for a proxy in between: the server there is not a vCenter"
_NO_JSON: Final = "look for a proxy or a login page in between, at vcenter.server, and at the release of vCenter"

_WRONG_LOGIN: Final = Meaning(Forbidden, "vCenter refuses user and password", _LOGIN, quoted=True)
_NO_PERMISSION: Final = Meaning(Forbidden, "vCenter denies it", _ALLOW, quoted=True)
_GONE: Final = Meaning(NotFound, "vCenter has no such object", "look again, as it was deleted in the meantime")
_FAILS: Final = Meaning(Unavailable, "vCenter fails", _LOOK, quoted=True)
_NO_SOAP: Final = Meaning(Unavailable, "the answer is not SOAP", _NO_VCENTER, quoted=True)
_UNREACHABLE: Final = Meaning(Unavailable, "vCenter cannot be reached", _LOOK, quoted=True)
_NOT_SENT: Final = Meaning(NotSent, "vCenter cannot be reached", _LOOK, quoted=True)
_SLOW: Final = Meaning(Unavailable, "vCenter did not answer in time", _LOOK)
_LATE: Final = Meaning(TimedOut, "vCenter did not answer in time", _LOOK)
_BROKE_OFF: Final = Meaning(Unavailable, "the answer broke off", _LOOK, quoted=True)
_NO_REQUEST: Final = Meaning(Unavailable, "the request fails", _LOOK, quoted=True)
_NO_TLS: Final = Meaning(InvalidSettings, "the server there does not speak TLS", _NO_VCENTER)
_UNTRUSTED: Final = Meaning(InvalidSettings, "vCenter's TLS certificate is not trusted", _TRUST, quoted=True)
_TLS_BROKE_OFF: Final = Meaning(Unavailable, "the TLS connection broke off", _LOOK, quoted=True)

_IN_DESIRED_STATE: Final = Meaning(AlreadyExists, "", "nothing is to be done", quoted=True)
_AWAY: Final = Meaning(Unavailable, "", _LOOK, quoted=True)
_PAGE: Final = Meaning(Rejected, "the answer is without the JSON that vCenter sends", _NO_JSON, quoted=True)
_LOGIN_PAGE: Final = Meaning(Forbidden, "the answer is without the JSON that vCenter sends", _NO_JSON, quoted=True)
_ABSENT: Final = Meaning(
    NotFound, "", "see whether the namespace and the VM are there, and whether the account may see them", quoted=True
)
_DENIED: Final = Meaning(Forbidden, "", _ALLOW, quoted=True)
_REDIRECTED: Final = Meaning(Rejected, "", _NO_VCENTER, quoted=True)
_REFUSED: Final = Meaning(
    Rejected, "", "correct what vCenter's message names, then call RegisterVM again by hand", quoted=True
)
_BY_STATUS: Final[Mapping[int, Meaning]] = {401: _DENIED, 403: _DENIED, 404: _ABSENT, 408: _AWAY, 429: _AWAY}
"""By the status of an answer of the REST API; any other status is a refusal."""
_DESIRED_STATE: Final = "ALREADYINDESIREDSTATE"


@contextlib.contextmanager
def translated(what: str, sdk: Sdk) -> Iterator[None]:
    """Translate every failure of the SOAP client inside the block; `what` is the attempt."""
    vim, vmodl = sdk.vim, sdk.vmodl
    try:
        yield
    except AnswerTooLong as error:
        raise AnswerTooLong(f"{what}: {error.message}", hint=error.hint) from None
    except VmServiceError:
        raise
    except vim.fault.InvalidLogin as fault:
        raise wrong_login(what, fault_text(fault)) from None
    except vim.fault.NoPermission as fault:
        raise _NO_PERMISSION.error(what, str(getattr(fault, "privilegeId", "") or "no permission")) from None
    except vmodl.fault.ManagedObjectNotFound:
        raise _GONE.error(what) from None
    except vmodl.MethodFault as fault:
        raise _FAILS.error(what, fault_text(fault)) from None
    except OSError as error:
        raise _from_network(what, error) from None
    except HTTPException as error:
        raise _FAILS.error(what, str(error)) from None
    except Exception as error:  # noqa: BLE001 - pyvmomi's parser raises anything for an answer that is not SOAP
        raise _NO_SOAP.error(what, f"{type(error).__name__}: {error}") from None


def fault_text(fault: Any) -> str:
    """Return the text of a fault: its class, message and reason; the text is not cleaned."""
    name = type(fault).__name__.rpartition(".")[2]
    texts = (getattr(fault, "msg", ""), getattr(fault, "reason", ""))
    messages = [str(getattr(entry, "message", "") or "") for entry in getattr(fault, "faultMessage", None) or ()]
    keys = [str(getattr(entry, "key", "") or "") for entry in getattr(fault, "faultMessage", None) or ()]
    distinct = dict.fromkeys(str(text) for text in (*texts, *keys, *messages) if text)
    return (f"{name}: {'; '.join(distinct)}" if distinct else name)[:LONGEST_FAULT]


def wrong_login(what: str, text: str = "") -> VmServiceError:
    """Return the error for a login that vCenter refuses."""
    return _WRONG_LOGIN.error(what, text)


@contextlib.contextmanager
def rest_translated(what: str) -> Iterator[None]:
    """Translate every failure of `requests` inside the block.

    `NotSent` is raised only if the request certainly did not reach vCenter.
    """
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise _from_tls(what, str(error), _reason(error)) from None
    except (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError) as error:
        raise _NOT_SENT.error(what, _reason(error)) from None
    except requests.exceptions.ConnectionError as error:
        raise (_NOT_SENT if _never_connected(error) else _UNREACHABLE).error(what, _reason(error)) from None
    except (requests.exceptions.Timeout, ReadTimeoutError):  # after the headers `requests` translates nothing
        raise _SLOW.error(what) from None
    except HTTPError as error:
        raise _BROKE_OFF.error(what, _reason(error)) from None
    except AnswerTooLong as error:
        raise AnswerTooLong(f"{what}: {error.message}", hint=error.hint) from None
    except VmServiceError:
        raise
    except OSError as error:  # RequestException is an OSError; the CA file is read here too
        raise _from_network(what, error) from None
    except Exception as error:  # noqa: BLE001 - the last place that knows the request
        raise _NO_REQUEST.error(what, type(error).__name__) from None


def from_answer(what: str, status: int, body: Any) -> VmServiceError:
    """Return the error for an answer of the REST API that is not a success."""
    answer = mapping(body)
    value = mapping(answer.get("value"))
    kind = str(answer.get("error_type") or answer.get("type") or "")
    messages = [mapping(entry) for entry in sequence(answer.get("messages") or value.get("messages"))]
    details = "; ".join(
        dict.fromkeys(
            str(text) for entry in messages for text in (entry.get("id"), entry.get("default_message")) if text
        )
    )
    name = kind.rpartition(".")[2]
    quote = one_line(": ".join(part for part in (name, details) if part)) or f"status {status}"
    error = _meaning(status, name, has_json=body is not None).error(what, quote, longest=LONGEST_QUOTE)
    return api_failed(Api.VCENTER, error, str(status))


def _meaning(status: int, name: str, *, has_json: bool) -> Meaning:
    if re.sub("[^A-Z]", "", name.upper()) == _DESIRED_STATE:
        return _IN_DESIRED_STATE
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _AWAY
    meaning = _BY_STATUS.get(status, _REDIRECTED if status < HTTPStatus.BAD_REQUEST else _REFUSED)
    if has_json or meaning in (_AWAY, _REDIRECTED):
        return meaning
    return _LOGIN_PAGE if meaning is _DENIED else _PAGE


def _from_network(what: str, error: OSError) -> VmServiceError:
    if isinstance(error, ssl.SSLError):
        return _from_tls(what, str(error), str(getattr(error, "verify_message", "") or error.reason or "TLS fails"))
    if isinstance(error, TimeoutError):
        return (_LATE if isinstance(error, AnswerLate) else _SLOW).error(
            what
        )  # the connection may take too long as well
    return _UNREACHABLE.error(what, _reason(error))


def _from_tls(what: str, text: str, why: str) -> VmServiceError:
    """Return `InvalidSettings` for a failed handshake; after it, vCenter may have received the request."""
    if "WRONG_VERSION_NUMBER" in text:
        return _NO_TLS.error(what)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return _UNTRUSTED.error(what, why)
    return _TLS_BROKE_OFF.error(what, why)


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    inner = error.args[0] if error.args else None
    reason = inner.reason if isinstance(inner, MaxRetryError) else inner
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))


def _reason(error: Exception) -> str:
    """Return the last words of a chain like `HTTPSConnectionPool(...): Max retries exceeded …: Connection refused`."""
    inner = cause(error)
    text = getattr(inner, "strerror", None) or str(inner).rpartition(": ")[2] or type(inner).__name__
    return one_line(re.sub(r"\s*\(_ssl\.c:\d+\)|[)'\"]+$", "", str(text)))
