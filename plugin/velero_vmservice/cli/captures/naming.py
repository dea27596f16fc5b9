"""The names of captures, restores and VADP jobs on the command line: how they are written, and their completion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.adapters.in_time import in_time
from velero_vmservice.archive.schema import is_time
from velero_vmservice.cli import access
from velero_vmservice.kube.manifest import RESTORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from velero_vmservice.captures.catalogue import Catalogue

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""As Kubernetes names a Backup, and `capture` names captures."""


class CaptureName(click.ParamType[str]):
    """NAME or NAME/TIME, or a word that stands for a capture; whether there is one is not asked."""

    name = "capture"

    def __init__(self, *reserved: str) -> None:
        """Take the words; '' among them for a capture that need not be named."""
        self._reserved = reserved

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is written; refuses what no capture can be named."""
        reference = str(value)
        name, _, started = reference.partition("/")
        if reference not in self._reserved and not (_NAME.fullmatch(name) and (not started or is_time(started))):
            self.fail(f'"{reference}" is not of the form NAME or NAME/TIME, as nightly/20261130T040000Z', param, ctx)
        return reference


def capture_names(*reserved: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes NAME, and after a slash NAME/TIME; `reserved` are the words that stand for a capture."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        listed = _of_catalogue(context, lambda catalogue: catalogue.names(typed))
        return [name for name in (*reserved, *listed) if name.startswith(typed)]

    return complete


def restore_names(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a restore: of Velero, or of the command, whose restores bear the name of their capture."""
    of_velero = access.live(RESTORE)(context, parameter, typed)
    of_captures = _of_catalogue(context, lambda catalogue: catalogue.names())
    return sorted({*of_velero, *(name for name in of_captures if name.startswith(typed))})


def job_names(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a VADP job that a capture of the command names."""
    return [name for name in _of_catalogue(context, lambda catalogue: catalogue.jobs()) if name.startswith(typed)]


def _of_catalogue(context: click.Context, ask: Callable[[Catalogue], Sequence[str]]) -> Sequence[str]:
    chosen = access.current(context)
    return in_time(lambda: ask(access.connected(chosen)[1].catalogue))
