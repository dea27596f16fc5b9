"""Everything that a command prints goes through here: foreign text is cleaned, nothing is markup, nothing is cut off.

A sentence or a command is one line however narrow the terminal is, so that it can be copied; the terminal folds it.
"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from velero_vmservice.core.foreign_text import on_one_line, spelled_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROGRAM: Final = "velero-vmservice"
_LONGEST_WORD: Final = 40
"""Characters to which a column is kept wide enough for its longest word: a name is best copied whole."""


def console() -> Console:
    """Return standard output, as a terminal or as a pipe."""
    return Console(highlight=False, markup=False, emoji=False)


def say(line: str, *, to: Console | None = None, style: str = "") -> None:
    """Print one line."""
    (to or console()).print(Text(on_one_line(line), style=style), soft_wrap=True)


def complain(message: str, hint: str = "") -> None:
    """Print what happened and, on a line of its own, what to do, on standard error."""
    click.echo(f"{PROGRAM}: {on_one_line(message)}", err=True)
    if hint:
        click.echo(f"hint: {on_one_line(hint)}", err=True)


def write(document: str) -> None:
    """Print a document of several lines; JSON means the same after it."""
    click.echo(spelled_out(document))


def write_json(content: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON, on one line without an indent."""
    write(json.dumps(content, indent=indent, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]]) -> Table:
    """Return a table that folds what is too long; a cell may be a pair of text and style."""
    cells = [[text(cell) for cell in row] for row in rows]
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        words = (word for row in cells for word in row[number].plain.split())
        longest = max(map(len, words), default=0)
        drawn.add_column(column, overflow="fold", min_width=min(longest, _LONGEST_WORD) or None)
    for row in cells:
        drawn.add_row(*row)
    return drawn


def invocation() -> str:
    """Return the command that runs, to be repeated."""
    return shlex.join((PROGRAM, *sys.argv[1:]))


def text(cell: str | tuple[str, str]) -> Text:
    """Return a cell, or a line below a table, cleaned."""
    words, style = (cell, "") if isinstance(cell, str) else cell
    return Text(spelled_out(words), style=style)
