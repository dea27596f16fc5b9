"""The login to the Kubernetes API: a kubeconfig, or the service account of a pod.

The client does not check a kubeconfig: a list, a number or text in place of a section ends in an arbitrary exception,
and the client's own errors quote the user's entry with its token. So the file is checked first, with errors that name
file and line. Of the client's later errors only the class is reported.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from kubernetes import client, config
from kubernetes.config.incluster_config import InClusterConfigLoader
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from velero_vmservice.adapters.transport import tls
from velero_vmservice.adapters.transport.proxies import proxy_for
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.settings import sources
from velero_vmservice.settings.access import AS_FOUND
from velero_vmservice.settings_faults import faults_in
from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from velero_vmservice.settings.access import LoginChoice

OWN_ACCOUNT: Final = Path("/var/run/secrets/velero-vmservice")
"""The mount of the plugin's own service account token in the chart's overlay; a pod has only Velero's."""
_POD: Final = "the pod's service account"
_IN_POD: Final = "mount the service account's token (automountServiceAccountToken), or set KUBECONFIG"
_OWN: Final = f"the service account in {OWN_ACCOUNT}"
_RENEW_OWN: Final = "delete the account's token Secret and upgrade the plugin's chart, which makes a new one"
_ACCOUNTS: Final = {_POD: _IN_POD, _OWN: _RENEW_OWN}
"""The hint for each account that cannot be used."""
_KUBECONFIG: Final = "correct the kubeconfig, try it with kubectl; or name another one in --kubeconfig or KUBECONFIG"
_SERVICE_ACCOUNT: Final = re.compile(r"system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+")
_ELSEWHERE: Final = "run in a pod with a service account, or name a file that is there in --kubeconfig or KUBECONFIG"


class _Part(BaseModel):
    """A part of a kubeconfig; fields that the login does not need are ignored."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Exec(_Part):
    command: Annotated[str, Field(min_length=1)]


class _Cluster(_Part):
    authority: str | None = Field(default=None, alias="certificate-authority")
    server: Annotated[str, Field(min_length=1, pattern=r"^(https?://[^/\s]+.*|[^/:\s]+(:[0-9]+)?(/.*)?)$")]
    proxy_url: str | None = Field(default=None, alias="proxy-url")


class _User(_Part):
    token: str | None = None
    token_file: str | None = Field(default=None, alias="tokenFile")
    certificate: str | None = Field(default=None, alias="client-certificate")
    key: str | None = Field(default=None, alias="client-key")
    exec: _Exec | None = None
    auth_provider: dict[str, Any] | None = Field(default=None, alias="auth-provider")


class _Context(_Part):
    cluster: str
    user: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A context, cluster or user, and its file; paths in it are relative to that file."""

    file: Path
    part: Any

    def missing(self, *keys: str) -> str:
        """Return the first missing file that one of the keys names; '' if there is none."""
        for key in keys:
            named = getattr(self.part, key)
            if named and not (self.file.parent / named).is_file():
                return f"{self.part.__class__.model_fields[key].alias} names no file: {named}"
        return ""


class _NamedCluster(_Part):
    name: str
    cluster: _Cluster


class _NamedUser(_Part):
    name: str
    user: _User | None = None


class _NamedContext(_Part):
    name: str
    context: _Context


class _Kubeconfig(_Part):
    current_context: str | None = Field(default=None, alias="current-context")
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None
    contexts: tuple[_NamedContext, ...] | None = None


def log_in(choice: LoginChoice = AS_FOUND.login) -> client.Configuration:
    """Return the client's configuration: from a named kubeconfig, or else a service account, or the user's own file.

    In a pod, the plugin's own account comes before the pod's. Sends no request. Raises `InvalidSettings` with the name
    of the file, but without its secrets.
    """
    settings = client.Configuration(proxy="", no_proxy="")  # otherwise its choice of proxy differs from Go's
    files = choice.files()
    if files is None:
        source = _load_account(settings)
    else:
        names, context = os.pathsep.join(map(str, files)), choice.context
        source = f"kubeconfig {names}"
        user = _checked(files, context)
        load = functools.partial(config.load_kube_config, names, context or None, settings)
        _load(source, _KUBECONFIG, load)
        _check_user(source, user, settings)
    _trim_tokens(source, settings)
    _check_certificates(source, settings)
    settings.proxy = proxy_for(settings.host, named=str(settings.proxy or "")) or None  # a kubeconfig may name one
    return settings


def contexts(choice: LoginChoice = AS_FOUND.login) -> Sequence[str]:
    """Return the names of the contexts that can be chosen; raises `InvalidSettings` for a file that cannot be read."""
    read = [_read(file) for file in choice.files() or () if file.exists()]
    return sorted({entry.name for kubeconfig in read for entry in kubeconfig.contexts or ()})


def namespace_of_context(choice: LoginChoice = AS_FOUND.login) -> str:
    """Return the namespace of the context that is chosen, else of the current one; '' where it names none.

    As with kubectl, the first of several files that has a current context counts. Raises `InvalidSettings` for a file
    that cannot be read.
    """
    read = [_read(file) for file in choice.files() or () if file.exists()]
    current = choice.context or next((each.current_context for each in read if each.current_context), None)
    named = (entry.context for kubeconfig in read for entry in kubeconfig.contexts or () if entry.name == current)
    context = next(named, None)
    return (context.namespace if context else None) or ""


def service_account(settings: client.Configuration) -> str:
    """Return the service account in the token, in the API server's form; '' for any other login.

    The claim is not verified: the API server does that.
    """
    token = next(iter(settings.api_key.values()), "").rpartition(" ")[2]
    _, _, claims = token.rpartition(".")[0].rpartition(".")
    try:
        subject = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    except (ValueError, KeyError, TypeError):
        return ""
    return subject if _SERVICE_ACCOUNT.fullmatch(str(subject)) else ""


def _load_account(settings: client.Configuration) -> str:
    """Log in as a service account, and return its description."""
    if (token := OWN_ACCOUNT / "token").is_file():
        own = InClusterConfigLoader(str(token), str(OWN_ACCOUNT / "ca.crt"))  # type: ignore[no-untyped-call]  # untyped
        _load(_OWN, _RENEW_OWN, lambda: own.load_and_set(settings))  # type: ignore[no-untyped-call]  # untyped
        return _OWN
    _load(_POD, _IN_POD, lambda: config.load_incluster_config(client_configuration=settings))  # type: ignore[no-untyped-call]  # untyped
    return _POD


def _load(source: str, hint: str, load: Callable[[], object]) -> None:
    try:
        load()
    except config.ConfigException as error:
        # For a kubeconfig the text quotes the entry.
        why = str(error) if source in _ACCOUNTS else "the client cannot use it"
        raise _refused(source, why, hint) from None
    except OSError as error:
        raise _refused(source, f"{error.filename or 'a file'}: {error.strerror}", hint) from None
    except UnicodeDecodeError:
        raise _refused(source, "a file that it names is not text", hint) from None
    except Exception as error:  # noqa: BLE001 - the client raises anything for a bad file
        raise _refused(source, f"the client cannot use it ({type(error).__name__})", hint) from None


def _checked(files: Sequence[Path], chosen: str) -> _User:
    """Return the user for the login; raises `InvalidSettings` if the files lack the server or the user.

    `chosen` is the context, '' for the current one.
    """
    existing = [file for file in files if file.exists()]
    if not existing:
        raise _refused(f"kubeconfig {os.pathsep.join(map(str, files))}", "there is no such file", _ELSEWHERE)
    read = {file: _read(file) for file in existing}
    source = f"kubeconfig {os.pathsep.join(map(str, existing))}"
    current = chosen or next((entry.current_context for entry in read.values() if entry.current_context), None)
    contexts = _named(
        (entry.name, file, entry.context) for file, whole in read.items() for entry in whole.contexts or ()
    )
    if current not in contexts:
        raise _no_context(source, chosen=chosen, current=current, there=sorted(contexts))
    clusters = _named(
        (entry.name, file, entry.cluster) for file, whole in read.items() for entry in whole.clusters or ()
    )
    users = _named(
        (entry.name, file, entry.user or _User()) for file, whole in read.items() for entry in whole.users or ()
    )
    context: _Context = contexts[current].part
    which = f"context {one_line(chosen)}" if chosen else "current context"
    cluster, user = clusters.get(context.cluster), users.get(context.user or "", _Entry(existing[0], _User()))
    if cluster is None:
        raise _refused(source, f"the {which} names no cluster of the file", _KUBECONFIG)
    if context.user and context.user not in users:
        raise _refused(source, f"the {which} names no user of the file", _KUBECONFIG)
    missing = cluster.missing("authority") or user.missing("certificate", "key", "token_file")
    if missing:
        raise _refused(source, missing, _KUBECONFIG)
    checked: _User = user.part
    return checked


def _no_context(source: str, *, chosen: str, current: str | None, there: Sequence[str]) -> InvalidSettings:
    """Return the error for a context that is not there, with those that are."""
    if chosen:
        why = f"it has no context {one_line(chosen)}"
    elif current is None:
        why = "current-context is missing"
    else:
        why = "current-context names no context of the file"
    choose = f"choose one of its contexts with --context: {', '.join(map(one_line, there))}"
    return _refused(source, why, choose if there else _KUBECONFIG)


def _named(parts: Iterable[tuple[str, Path, _Part]]) -> dict[str, _Entry]:
    """Return parts by name; the first of several with the same name counts, as in kubectl."""
    entries: dict[str, _Entry] = {}
    for name, file, part in parts:
        entries.setdefault(name, _Entry(file, part))
    return entries


def _read(file: Path) -> _Kubeconfig:
    written = sources.from_file(file, purpose="kubeconfig", unique=False)
    try:
        return _Kubeconfig.model_validate(written.values)
    except ValidationError as error:
        faults = list(faults_in(error, _Kubeconfig, written.values))
    sentences = "; ".join(f"{written.place(fault.path) or file}: {fault.sentence}" for fault in faults)
    raise InvalidSettings(f"cannot log in to Kubernetes: {sentences}", hint=_KUBECONFIG)


def _check_user(source: str, user: _User, settings: client.Configuration) -> None:
    """Raise for credentials that the client would silently ignore: its requests would be anonymous."""
    has_token = any(value.partition(" ")[2].strip() for value in settings.api_key.values())
    if user.token_file and not has_token:
        raise _refused(source, f"the token file {user.token_file} is empty", _KUBECONFIG)
    if user.exec and not (has_token or settings.cert_file):
        command = one_line(user.exec.command)
        raise _refused(source, f"its exec command {command} gave no credentials", f"run {command} to see why")


def _trim_tokens(source: str, settings: client.Configuration) -> None:
    """Remove the line feed from a token at each read of its file, as Go does."""
    renew: Any = settings.refresh_api_key_hook

    def trim(changed: client.Configuration) -> None:
        if renew is not None:
            renew(changed)
        for name, value in changed.api_key.items():
            changed.api_key[name] = value.strip()

    trim(settings)
    if renew is not None:
        settings.refresh_api_key_hook = trim  # type: ignore[assignment]  # the client's annotation says None alone
    if not all(value.isascii() and value.isprintable() for value in settings.api_key.values()):
        raise _refused(source, "the token has characters that no token has", _KUBECONFIG)


def _check_certificates(source: str, settings: client.Configuration) -> None:
    context = tls.client_context(verify=False)
    hint = _ACCOUNTS.get(source, _KUBECONFIG)
    if settings.ssl_ca_cert:
        try:
            context.load_verify_locations(cafile=settings.ssl_ca_cert)
        except (OSError, ValueError):
            raise _refused(source, "the certificate authority is not a PEM certificate", hint) from None
    if settings.cert_file:
        try:
            # With an empty password an encrypted key is refused; with none, OpenSSL would ask a terminal for it.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except (OSError, ValueError):
            why = "client certificate and key are not a PEM certificate and its key without password"
            raise _refused(source, why, hint) from None


def _refused(source: str, why: str, hint: str) -> InvalidSettings:
    return InvalidSettings(f"cannot log in to Kubernetes with {source}: {why}", hint=hint)
