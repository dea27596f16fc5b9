"""Sessions with vCenter: one for SOAP and one for REST, each kept until it expires and then replaced.

The password is read at login and never kept. A refused login is repeated only after a pause, which grows: vCenter locks
an account after five refusals within three minutes, from all clients together. Each process counts its own.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import certifi
import requests
import structlog
import urllib3
from urllib3.exceptions import InsecureRequestWarning

from velero_vmservice.adapters.failed_requests import counting
from velero_vmservice.adapters.transport import bounded_http, tls
from velero_vmservice.adapters.transport.bounded_http import BoundedAdapter
from velero_vmservice.adapters.vcenter import sdk
from velero_vmservice.adapters.vcenter.errors import from_answer, rest_translated, translated, wrong_login
from velero_vmservice.errors import InvalidSettings, NotSent, Unavailable, VmServiceError
from velero_vmservice.metrics import Api

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from velero_vmservice.adapters.vcenter.sdk import Sdk
    from velero_vmservice.clock import Clock
    from velero_vmservice.settings.registration import VCenterSettings

log = structlog.get_logger()
Answer = TypeVar("Answer")

LOGIN_PAUSE_SECONDS: Final = 90.0
"""The pause between two logins with a refused password; it doubles with each refusal."""
LONGEST_LOGIN_PAUSE_SECONDS: Final = 360.0
"""Leaves most of the five logins that vCenter allows to users and other processes."""
LONGEST_ANSWER: Final = 1024 * 1024
"""Bytes of a REST answer: a task's id, or an error."""
LONGEST_SOAP_ANSWER: Final = 16 * 1024 * 1024
"""Bytes; a page of the inventory with usual records is 4 MiB, and a text may need four times that."""
_IDLE_SECONDS: Final = 30
"""A connection that was idle for longer is not used again, because a firewall may have dropped it."""
_SESSION_PATH: Final = "/rest/com/vmware/cis/session"
"""Served by every release and by the simulator; /api/session is not."""
_SESSION_HEADER: Final = "vmware-api-session-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """The last login that vCenter refused."""

    password: str
    """The digest of its password."""
    until: float
    """Monotonic seconds; that password is not tried again before."""
    pause: float
    text: str
    """vCenter's own text."""


class VCenterSession:
    """Sends requests to vCenter; safe to use from several threads."""

    def __init__(self, settings: VCenterSettings, *, clock: Clock) -> None:
        """Load pyvmomi and the CA file; raises `InvalidSettings` if either is missing. Connects when first used."""
        self.sdk: Sdk = sdk.load()
        self.requests_made = 0
        """Requests so far, logins included."""
        self._settings = settings
        self._clock = clock
        _trust(settings)
        if settings.insecure_skip_tls_verify:
            log.warning("vCenter's certificate is not checked", server=settings.server)
            urllib3.disable_warnings(InsecureRequestWarning)  # one warning is enough
        self._lock = threading.RLock()
        self._stub: Any = None
        self._content: Any = None
        self._token = ""
        self._refused: _Refused | None = None

    def soap(self, what: str, ask: Callable[[Any], Answer]) -> Answer:
        """Return the result of `ask` on the service content; it MUST only read, because it may run again."""
        tried = f"cannot {what} at {self._settings}"
        with counting(Api.VCENTER), translated(tried, self.sdk):
            try:
                return self._ask(tried, ask)
            except (ConnectionError, ssl.SSLEOFError):  # the other end may have closed a kept connection
                return self._ask(tried, ask)

    def _ask(self, what: str, ask: Callable[[Any], Answer]) -> Answer:
        content = self._login(what)
        try:
            return ask(content)
        except self.sdk.vim.fault.NotAuthenticated:
            log.info("vCenter session expired", server=self._settings.server, api="soap")
            return ask(self._login(what, instead_of=content))
        except ssl.SSLCertVerificationError:
            with self._lock:
                self._content = None  # the next login reads the CA file again, as REST does with each call
            raise

    def moref(self, kind: str, moid: str) -> Any:
        """Return the managed object with that id, without a request."""
        return getattr(self.sdk.vim, kind)(moid)

    def current_time(self) -> datetime:
        """Return vCenter's time."""

        def ask(_: Any) -> datetime:
            now: datetime = self.sdk.vim.ServiceInstance("ServiceInstance", self._stub).CurrentTime()
            return now

        return self.soap("read the time", ask)

    def post(self, what: str, path: str, body: Any) -> Any:
        """POST to the REST API and return the answer's JSON.

        The request is sent again only if vCenter answered that its session is not valid, because it has then done
        nothing. Raises `NotSent` if there is no session or no trusted connection.
        """
        tried = f"cannot {what} at {self._settings}"
        token = self._session_to_send(tried)
        status, answer = self._sent(tried, path, body, token)
        if status == HTTPStatus.UNAUTHORIZED:
            log.info("vCenter session expired", server=self._settings.server, api="rest")
            token = self._session_to_send(tried, instead_of=token)
            status, answer = self._sent(tried, path, body, token)
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED):
            raise from_answer(tried, status, answer)
        return answer

    def close(self) -> None:
        """End the SOAP session and close the connections; failures do not matter."""
        with self._lock:
            content, self._content = self._content, None
            stub, self._stub = self._stub, None
        if content is not None:
            try:
                content.sessionManager.Logout()
            except Exception as error:  # noqa: BLE001 - the process ends anyway
                log.debug("vCenter session not ended", cause=type(error).__name__)
        if stub is not None:
            stub.DropConnections()

    def _login(self, what: str, *, instead_of: Any = None) -> Any:
        with self._lock:
            if self._content is not None and self._content is not instead_of:
                return self._content
            password = self._password(what)
            if self._stub is not None:
                self._stub.DropConnections()
            self._stub = self._connection()
            content = self.sdk.vim.ServiceInstance("ServiceInstance", self._stub).RetrieveContent()
            try:
                content.sessionManager.Login(self._settings.user, password)
            except self.sdk.vim.fault.InvalidLogin as fault:
                raise self._was_refused(password, what, str(fault.msg or "")) from None
            self._refused = None
            self._content = content
            return content

    def _connection(self) -> Any:
        host, port = self._settings.address
        stub = self.sdk.stub(
            host=host,
            port=port,
            version=sdk.API_VERSION,
            sslContext=_trust(self._settings),  # as the file is now
            httpConnectionTimeout=self._settings.timeout_seconds,
            connectionPoolTimeout=_IDLE_SECONDS,
            acceptCompressedResponses=False,
        )
        stub.scheme = bounded_http.connections(seconds=self._settings.timeout_seconds, longest=LONGEST_SOAP_ANSWER)
        stub.requestModifierList.append(self._count)
        return stub

    def _session_to_send(self, what: str, *, instead_of: str = "") -> str:
        try:
            return self._rest_login(what, instead_of=instead_of)
        except VmServiceError as error:
            raise NotSent(error.message, hint=error.hint) from error

    def _sent(self, what: str, path: str, body: Any, token: str) -> tuple[int, Any]:
        try:
            return self._send(what, path, body, headers={_SESSION_HEADER: token})
        except InvalidSettings as error:  # the TLS handshake failed
            raise NotSent(error.message, hint=error.hint) from error

    def _rest_login(self, what: str, *, instead_of: str = "") -> str:
        with self._lock:
            if self._token and self._token != instead_of:
                return self._token
            password = self._password(what)
            status, answer = self._send(what, _SESSION_PATH, None, login=(self._settings.user, password))
            if status == HTTPStatus.UNAUTHORIZED:
                raise self._was_refused(password, what)
            if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
                raise from_answer(what, status, answer)
            token = answer.get("value") if isinstance(answer, dict) else answer
            if not isinstance(token, str) or not token.isprintable() or not token:
                raise Unavailable(
                    f"{what}: the login was answered without a session", hint="look for a proxy before vCenter"
                )
            self._refused = None
            self._token = token
            return token

    def _send(
        self,
        what: str,
        path: str,
        body: Any,
        *,
        headers: dict[str, str] | None = None,
        login: tuple[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send one POST, once; redirects are not followed, because they would send credentials elsewhere."""
        self.requests_made += 1
        settings = self._settings
        verify: bool | str = str(settings.ca_file) if settings.ca_file else not settings.insecure_skip_tls_verify
        with counting(Api.VCENTER), rest_translated(what), requests.Session() as session:
            session.trust_env = False  # .netrc would replace the login, and SOAP does not use a proxy either
            session.mount("https://", BoundedAdapter(seconds=settings.timeout_seconds, longest=2 * LONGEST_ANSWER))
            session.headers["Accept-Encoding"] = "identity"
            encoded = tuple(text.encode() for text in login) if login else None
            with session.post(
                f"https://{settings.server}{path}",
                json=body,
                headers=headers,
                auth=encoded,  # type: ignore[arg-type] # bytes keep what latin-1 cannot express
                verify=verify,
                timeout=(settings.connect_timeout_seconds, settings.timeout_seconds),
                allow_redirects=False,
                stream=True,
            ) as answer:
                read = answer.raw.read(LONGEST_ANSWER + 1)
                return answer.status_code, _json(read)

    def _password(self, what: str) -> str:
        """Read the password; raises if the same one was refused a moment ago."""
        password = self._settings.read_password()
        if self._refused is not None:
            refused = self._refused
            if refused.password == _digest(password) and self._clock.monotonic() < refused.until:
                raise wrong_login(what, refused.text)
        return password

    def _was_refused(self, password: str, what: str, text: str = "") -> VmServiceError:
        before = self._refused
        again = before is not None and before.password == _digest(password)
        pause = min(2 * before.pause, LONGEST_LOGIN_PAUSE_SECONDS) if before and again else LOGIN_PAUSE_SECONDS
        until = self._clock.monotonic() + pause
        self._refused = _Refused(password=_digest(password), until=until, pause=pause, text=text)
        return wrong_login(what, text)

    def _count(self, request: Any) -> Any:
        self.requests_made += 1
        return request


def _trust(settings: VCenterSettings) -> ssl.SSLContext:
    try:
        context = tls.client_context(
            ca_file=str(settings.ca_file or certifi.where()), verify=not settings.insecure_skip_tls_verify
        )
    except OSError as error:
        why = "it holds no PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidSettings(
            f"vcenter.ca_file {settings.ca_file} cannot be used ({why})",
            hint="mount the PEM certificate of vCenter's authority there",
        ) from None
    return context


def _json(body: bytes) -> Any:
    """Return the JSON of an answer; None if it is not JSON, or longer than any answer."""
    if not body or len(body) > LONGEST_ANSWER:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
