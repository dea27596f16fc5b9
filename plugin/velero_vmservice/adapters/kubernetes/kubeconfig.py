"""A kubeconfig, checked before the client reads it.

The client does not check it: a list, a number or text in place of a section ends in an arbitrary exception, and the
client's own errors quote the user's entry with its token. The errors here name file and line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.settings import sources
from velero_vmservice.settings.access import AS_FOUND
from velero_vmservice.settings_faults import faults_in
from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from velero_vmservice.settings.access import LoginChoice

CORRECT_IT: Final = "correct the kubeconfig, try it with kubectl; or name another one in --kubeconfig or KUBECONFIG"
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


class User(_Part):
    """The credentials of a user."""

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
    user: User | None = None


class _NamedContext(_Part):
    name: str
    context: _Context


class _Kubeconfig(_Part):
    current_context: str | None = Field(default=None, alias="current-context")
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None
    contexts: tuple[_NamedContext, ...] | None = None


def checked_user(files: Sequence[Path], chosen: str) -> User:
    """Return the user for the login; raises `InvalidSettings` if the files lack the server or the user.

    `chosen` is the context, '' for the current one.
    """
    existing = [file for file in files if file.exists()]
    if not existing:
        raise refused(f"kubeconfig {os.pathsep.join(map(str, files))}", "there is no such file", _ELSEWHERE)
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
        (entry.name, file, entry.user or User()) for file, whole in read.items() for entry in whole.users or ()
    )
    context: _Context = contexts[current].part
    which = f"context {one_line(chosen)}" if chosen else "current context"
    cluster, user = clusters.get(context.cluster), users.get(context.user or "", _Entry(existing[0], User()))
    if cluster is None:
        raise refused(source, f"the {which} names no cluster of the file", CORRECT_IT)
    if context.user and context.user not in users:
        raise refused(source, f"the {which} names no user of the file", CORRECT_IT)
    missing = cluster.missing("authority") or user.missing("certificate", "key", "token_file")
    if missing:
        raise refused(source, missing, CORRECT_IT)
    checked: User = user.part
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
    return refused(source, why, choose if there else CORRECT_IT)


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
    raise InvalidSettings(f"cannot log in to Kubernetes: {sentences}", hint=CORRECT_IT)


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


def refused(source: str, why: str, hint: str) -> InvalidSettings:
    """Return the error of a login that is not possible."""
    return InvalidSettings(f"cannot log in to Kubernetes with {source}: {why}", hint=hint)
