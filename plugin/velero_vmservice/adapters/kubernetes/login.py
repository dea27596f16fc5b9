"""The login to the Kubernetes API: a kubeconfig, or the service account of a pod.

A kubeconfig is checked first (`kubeconfig`). Of the client's later errors only the class is reported, as they may quote
the user's entry with its token.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client, config
from kubernetes.config.incluster_config import InClusterConfigLoader

from velero_vmservice.adapters.kubernetes.kubeconfig import CORRECT_IT, checked_user, refused
from velero_vmservice.adapters.transport import tls
from velero_vmservice.adapters.transport.proxies import proxy_for
from velero_vmservice.settings.access import AS_FOUND
from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from velero_vmservice.adapters.kubernetes.kubeconfig import User
    from velero_vmservice.settings.access import LoginChoice

OWN_ACCOUNT: Final = Path("/var/run/secrets/velero-vmservice")
"""The mount of the plugin's own service account token in the chart's overlay; a pod has only Velero's."""
_POD: Final = "the pod's service account"
_IN_POD: Final = "mount the service account's token (automountServiceAccountToken), or set KUBECONFIG"
_OWN: Final = f"the service account in {OWN_ACCOUNT}"
_RENEW_OWN: Final = "delete the account's token Secret and upgrade the plugin's chart, which makes a new one"
_ACCOUNTS: Final = {_POD: _IN_POD, _OWN: _RENEW_OWN}
"""The hint for each account that cannot be used."""
_SERVICE_ACCOUNT: Final = re.compile(r"system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+")


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
        user = checked_user(files, context)
        load = functools.partial(config.load_kube_config, names, context or None, settings)
        _load(source, CORRECT_IT, load)
        _check_user(source, user, settings)
    _trim_tokens(source, settings)
    _check_certificates(source, settings)
    settings.proxy = proxy_for(settings.host, named=str(settings.proxy or "")) or None  # a kubeconfig may name one
    return settings


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
        raise refused(source, why, hint) from None
    except OSError as error:
        raise refused(source, f"{error.filename or 'a file'}: {error.strerror}", hint) from None
    except UnicodeDecodeError:
        raise refused(source, "a file that it names is not text", hint) from None
    except Exception as error:  # noqa: BLE001 - the client raises anything for a bad file
        raise refused(source, f"the client cannot use it ({type(error).__name__})", hint) from None


def _check_user(source: str, user: User, settings: client.Configuration) -> None:
    """Raise for credentials that the client would silently ignore: its requests would be anonymous."""
    has_token = any(value.partition(" ")[2].strip() for value in settings.api_key.values())
    if user.token_file and not has_token:
        raise refused(source, f"the token file {user.token_file} is empty", CORRECT_IT)
    if user.exec and not (has_token or settings.cert_file):
        command = one_line(user.exec.command)
        raise refused(source, f"its exec command {command} gave no credentials", f"run {command} to see why")


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
        raise refused(source, "the token has characters that no token has", CORRECT_IT)


def _check_certificates(source: str, settings: client.Configuration) -> None:
    context = tls.client_context(verify=False)
    hint = _ACCOUNTS.get(source, CORRECT_IT)
    if settings.ssl_ca_cert:
        try:
            context.load_verify_locations(cafile=settings.ssl_ca_cert)
        except (OSError, ValueError):
            raise refused(source, "the certificate authority is not a PEM certificate", hint) from None
    if settings.cert_file:
        try:
            # With an empty password an encrypted key is refused; with none, OpenSSL would ask a terminal for it.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except (OSError, ValueError):
            why = "client certificate and key are not a PEM certificate and its key without password"
            raise refused(source, why, hint) from None
