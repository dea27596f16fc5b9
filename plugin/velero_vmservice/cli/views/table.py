"""The one table of the command line: drawn on a terminal, aligned in a pipe, and as JSON, YAML or names for programs.

Columns and headers are the same on a terminal and in a pipe, so that what is read on the one can be cut from the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Group

from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.once import Shared, said_once
from velero_vmservice.text import on_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console, RenderableType

_GAP: Final = "  "


class Form(StrEnum):
    """What `--output` chooses among."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"
    HTML = "html"
    """A page, of the commands that have one."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a table is asked for."""

    form: Form = Form.TABLE
    headers: bool = True
    """Without them nothing but the rows is printed, each with its sentences whole."""

    @property
    def tabular(self) -> bool:
        """Whether a table is printed, and not a document or names."""
        return self.form in (Form.TABLE, Form.WIDE)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    header: str
    """In capitals."""
    wide: bool = False
    """Whether `-o wide` alone shows it."""


@dataclass(frozen=True, slots=True, init=False)
class Sentences:
    """A cell of sentences; a long one that several rows have stands once, below the table."""

    texts: tuple[str, ...]

    def __init__(self, *texts: str) -> None:
        """Take the sentences; empty ones are left out."""
        object.__setattr__(self, "texts", tuple(filter(None, texts)))


Cell = str | tuple[str, str] | Sentences
"""Text, a pair of text and style, or sentences; an empty one is shown as `-`."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table."""

    name: str
    """What `-o name` prints: an argument of the next command."""
    cells: Sequence[Cell]
    """One for each column, those of `-o wide` included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a command shows; a cell of the last column is folded where a terminal is too narrow."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    document: Any
    """The same for programs, as JSON and YAML have it."""
    above: Sequence[str] = ()
    """Lines before the rows."""
    below: Sequence[str] = ()
    """Lines after the rows: sums, and commands to copy."""
    page: Callable[[], str] = str
    """Makes the page, of a command that has one."""

    def show(self, output: Output) -> None:
        """Print the table as it is asked for."""
        match output.form:
            case Form.JSON:
                terminal.write_json(self.document)
            case Form.YAML:
                terminal.write_yaml(self.document)
            case Form.HTML:
                terminal.write(self.page())
            case Form.NAME:
                for row in self.rows:
                    terminal.say(row.name)
            case _:
                self.print(output, terminal.console())

    def print(self, output: Output, console: Console) -> None:
        """Print lines and rows, drawn on a terminal and aligned in a pipe."""
        layout = self._layout(output)
        for line in layout.above:
            terminal.say(line, to=console)
        if console.is_terminal and self.rows:
            console.print(layout.drawn(console.width))
        else:
            for line in layout.lines(aligned=True):
                terminal.say(line, to=console)
        for line in layout.below:
            terminal.say(line, to=console)

    def drawn(self, output: Output, *, width: int) -> RenderableType:
        """Return rows and lines for a terminal that is redrawn."""
        layout = self._layout(output)
        rows = [layout.drawn(width)] if self.rows else []
        return Group(*map(terminal.text, layout.above), *rows, *map(terminal.text, layout.below))

    def lines(self, output: Output) -> Iterator[str]:
        """Yield headers, rows and the lines around them, not aligned: for what is printed bit by bit."""
        layout = self._layout(output)
        return chain(layout.above, layout.lines(aligned=False), layout.below)

    def _layout(self, output: Output) -> _Layout:
        kept = [at for at, column in enumerate(self.columns) if output.form is Form.WIDE or not column.wide]
        headers = [self.columns[at].header for at in kept]
        cells = [[row.cells[at] for at in kept] for row in self.rows]
        sentences = [next((cell.texts for cell in row if isinstance(cell, Sentences)), ()) for row in cells]
        shared = said_once(sentences) if output.headers else Shared(tuple(map("; ".join, sentences)), ())
        return _Layout(
            headers=headers if output.headers and self.rows else (),
            cells=[[_styled(cell, text) for cell in row] for row, text in zip(cells, shared.rows, strict=True)],
            above=self.above if output.headers else (),
            below=(*shared.below, *self.below) if output.headers else (),
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is printed of a table, cell by cell."""

    headers: Sequence[str]
    cells: Sequence[Sequence[tuple[str, str]]]
    above: Sequence[str] = field(default=())
    below: Sequence[str] = field(default=())

    def drawn(self, width: int) -> RenderableType:
        return terminal.table(self.headers, self.cells, width=width)

    def lines(self, *, aligned: bool) -> Iterator[str]:
        rows = [[on_one_line(content) for content, _ in row] for row in self.cells]
        if self.headers:
            rows.insert(0, list(self.headers))
        widths = [max(map(cell_len, column)) if aligned else 0 for column in zip(*rows, strict=True)]
        for row in rows:
            padded = (set_cell_size(text, max(width, cell_len(text))) for text, width in zip(row, widths, strict=True))
            yield _GAP.join(padded).rstrip()


def _styled(cell: Cell, sentences: str) -> tuple[str, str]:
    """Return the text and style of a cell; `sentences` is what its row shows of the sentences."""
    match cell:
        case Sentences():
            return sentences or terminal.EMPTY, ""
        case str():
            return cell or terminal.EMPTY, ""
        case text, style:
            return text or terminal.EMPTY, style
