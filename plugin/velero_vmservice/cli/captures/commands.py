"""`velero-vmservice captures`: one module for each of its commands."""

from __future__ import annotations

import click

from velero_vmservice.cli.captures.diff import diff
from velero_vmservice.cli.captures.export import export
from velero_vmservice.cli.captures.listing import list_captures
from velero_vmservice.cli.captures.prune import prune
from velero_vmservice.cli.captures.show import show
from velero_vmservice.cli.captures.verify import verify


@click.group()
def captures() -> None:
    """List, show, compare, verify, export and prune captures, Velero's and those of `capture` alike.

    CAPTURE is NAME or NAME/TIME as `captures list` prints it; NAME alone stands for the newest of that name.
    """


captures.add_command(list_captures)
captures.add_command(show)
captures.add_command(diff)
captures.add_command(verify)
captures.add_command(export)
captures.add_command(prune)
