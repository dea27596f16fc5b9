"""Completion of captures and VADP jobs by the names in the buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.adapters.in_time import in_time
from velero_vmservice.cli import access

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

    from velero_vmservice.captures.catalogue import Catalogue


def capture_names(*reserved: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes NAME, and after a slash NAME/TIME; `reserved` are the words that stand for a capture."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        listed = _of_catalogue(context, lambda catalogue: catalogue.names(typed))
        return [name for name in (*reserved, *listed) if name.startswith(typed)]

    return complete


def job_names(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a VADP job that a capture of the command names."""
    return [name for name in _of_catalogue(context, lambda catalogue: catalogue.jobs()) if name.startswith(typed)]


def _of_catalogue(context: click.Context, ask: Callable[[Catalogue], Sequence[str]]) -> Sequence[str]:
    chosen = access.current(context)
    return in_time(lambda: ask(access.connected(chosen)[1].catalogue))
