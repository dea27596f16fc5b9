"""All output of the commands: foreign text is cleaned, nothing is markup, nothing is cut off.

A sentence or a command is one line however narrow the terminal is, so that it can be copied; the terminal folds it.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

import click
import yaml
from rich.cells import cell_len
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from velero_vmservice.text import on_one_line, spelled_out

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

PROGRAM: Final = "velero-vmservice"
EMPTY: Final = "-"
"""What stands for an empty cell of a table."""
_GAP: Final = 2
"""Columns of a terminal between two of ours."""
_FROM: Final = re.compile("--from(=.*)?$")
_LEAST_LAST: Final = 16
"""The least width of the last column, which has the sentences."""


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


def remark(text: str) -> None:
    """Print what a person may want to know beside the output, on standard error."""
    click.echo(f"note: {on_one_line(text)}", err=True)


def agreed(question: str) -> bool:
    """Ask a question that only yes answers; raises `click.Abort` where nothing can be typed."""
    return click.confirm(on_one_line(question))


def write(document: str) -> None:
    """Print a document of several lines; JSON means the same after it."""
    click.echo(spelled_out(document))


def write_json(content: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON, on one line without an indent."""
    write(json.dumps(content, indent=indent, ensure_ascii=False))


def write_yaml(content: Any) -> None:
    """Print a value as YAML: what JSON holds of it, with no line folded."""
    plain = json.loads(json.dumps(content))  # enumerations are text, and what is named twice is written twice
    document = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=math.inf)
    if document != spelled_out(document):
        document = yaml.safe_dump(plain, sort_keys=False, width=math.inf)  # an escape means itself in plain text
    click.echo(document, nl=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]], *, width: int) -> Table | Group:
    """Return rows as a table that folds the last column; a cell may be a pair of text and style.

    Without columns there are no headers.

    Names and states are never cut, and broken at spaces alone: where the terminal is too narrow for that, each row is
    a block of lines, which name what they have of it.
    """
    cells = [[text(cell) for cell in row] for row in rows]
    headers = [Text(column, style="bold") for column in columns]
    widths = _widths([headers, *cells] if headers else cells, width)
    if widths is None:
        return Group(*(line for row in cells for line in _block(headers, row, width)))
    drawn = Table(box=None, show_header=False, pad_edge=False)
    for fixed in widths:
        drawn.add_column(overflow="fold", width=fixed)
    drawn.add_column(overflow="fold")
    for row in (headers, *cells) if headers else cells:
        drawn.add_row(*row)
    return drawn


def _widths(cells: Sequence[Sequence[Text]], width: int) -> Sequence[int] | None:
    """Return the width of each column but the last: of its whole cells, but for columns that have to give room.

    Those have the width of their longest word, and what has most to give gives first. None where not even that leaves
    the last column room.
    """
    fixed = list(zip(*cells, strict=True))[:-1]
    widths = [max(cell.cell_len for cell in column) for column in fixed]
    least = [max(map(_word_width, column)) for column in fixed]
    room = width - _LEAST_LAST - _GAP * len(fixed)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        giving = max(range(len(widths)), key=lambda number: widths[number] - least[number])
        widths[giving] = least[giving]
    return widths


def _block(headers: Sequence[Text], row: Sequence[Text], width: int) -> Iterator[Padding]:
    """Yield the lines of a row for which the terminal is too narrow: its first cell, then the others by their headers.

    Cells share a line where they fit; empty ones are left out.
    """
    line, indent = row[0], 0
    for number, cell in enumerate(row[1:], start=1):
        if cell.plain == EMPTY:
            continue
        named = Text(" ").join((headers[number], cell)) if headers else cell
        if indent + line.cell_len + _GAP + named.cell_len <= width:
            line = Text("  ").join((line, named))
        else:
            yield Padding(line, (0, 0, 0, indent))
            line, indent = named, _GAP
    yield Padding(line, (0, 0, 0, indent))


def _word_width(cell: Text) -> int:
    return max(map(cell_len, cell.plain.split()), default=0)


def invocation() -> str:
    """Return the command that runs, to be repeated."""
    return shlex.join((PROGRAM, *sys.argv[1:]))


def invocation_from(capture: str, *flags: str, without: Collection[str] = ()) -> str:
    """Return the command that runs, of this capture: `--from` has another value, and flags that come or go."""
    arguments = [argument for argument in sys.argv[1:] if argument not in without]
    index = next(index for index, argument in enumerate(arguments) if _FROM.match(argument))
    value_after = arguments[index] == "--from"
    rest = arguments[index + 1 + value_after :]
    return shlex.join((PROGRAM, *arguments[:index], "--from", capture, *flags, *rest))


def text(cell: str | tuple[str, str]) -> Text:
    """Return a cell, or a line below a table, cleaned."""
    content, style = (cell, "") if isinstance(cell, str) else cell
    return Text(spelled_out(content), style=style)
