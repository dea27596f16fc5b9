"""What the user sees: a table that lives on a terminal, a line for each change everywhere else.

Nothing is decided here; both ways show the same rows.
"""

from __future__ import annotations

import os
import textwrap
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from tests.demo.facts import Fact

_COLOURS = {"waiting": "yellow", "replayed": "cyan", "verified": "green"}
_MOST_COLUMNS: Final = 100
"""A sentence is not read well across a very wide terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VmRow:
    """A VM on its way back: what vCenter shows, and what Kubernetes has."""

    name: str
    vcenter: str
    kubernetes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRow:
    """One operation of the restore, as Velero hears of it."""

    name: str
    stage: str
    count: str
    reason: str


class Screen:
    """Prints the story; a `Watch` shows what goes on in between."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    @property
    def columns(self) -> int:
        """How wide a sentence may be."""
        return min(self._console.width, _MOST_COLUMNS)

    @property
    def lively(self) -> bool:
        """Whether a table can be drawn again in place."""
        return self._console.is_terminal and not self._console.is_dumb_terminal and not os.environ.get("CI")

    def title(self, text: str) -> None:
        """Begin a part of the story."""
        self._console.print()
        if self.lively:
            self._console.print(Rule(Text(text, style="bold"), align="left", style="dim"))
        else:
            self._console.print(Text(f"== {text}", style="bold"), soft_wrap=True)

    def say(self, *lines: str, style: str = "", hang: int = 2) -> None:
        """Print sentences, broken between words; what does not fit continues `hang` columns further in."""
        for line in lines:
            for part in _folded(line, self.columns, hang):
                self.say_as_it_is(part, style=style)

    def say_as_it_is(self, *lines: str, style: str = "") -> None:
        """Print lines unbroken, so that a command can be copied; a terminal breaks long ones itself."""
        for line in lines:
            self._console.print(Text(line, style=style), soft_wrap=True)

    def draw(self, picture: RenderableType) -> None:
        """Print anything that rich can print."""
        self._console.print(picture)

    def fact(self, fact: Fact) -> None:
        """Print whether something is so, and what was found where it is not."""
        mark, style = ("ok ", "green") if fact.holds else ("NO ", "bold red")
        actual = "" if fact.holds else f" (found: {fact.actual or 'nothing'})"
        self.say(f"{mark}{fact.statement}{actual}", style="" if fact.holds else style, hang=len(mark))

    def watch(self) -> Watch:
        """Show rows until the block ends."""
        return LiveWatch(self._console, self) if self.lively else PlainWatch(self)


class Watch:
    """Shows the rows of a restore while it goes on; a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def show(self, vms: Sequence[VmRow], objects: Sequence[ObjectRow]) -> None:
        """Show how things stand now."""
        raise NotImplementedError


class PlainWatch(Watch):
    """Prints what changed; objects that stand alike share a line."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._began = screen.elapsed
        self._shown: dict[str, VmRow | ObjectRow] = {}

    def show(self, vms: Sequence[VmRow], objects: Sequence[ObjectRow]) -> None:
        clock = f"{self._screen.elapsed - self._began:4.0f} s  "
        alike: dict[str, list[str]] = {}
        for vm in vms:
            if self._is_news(vm):
                alike.setdefault(f"{vm.vcenter}; in Kubernetes: {vm.kubernetes}", []).append(vm.name)
        for row in objects:
            if self._is_news(row):
                stands = f"{row.stage}{f' {row.count} VMs' if row.count else ''}"
                alike.setdefault(f"{stands}: {row.reason}" if row.reason else stands, []).append(row.name)
        for stands, names in alike.items():
            self._screen.say(f"{clock}{', '.join(names)}: {stands}", hang=len(clock))

    def _is_news(self, row: VmRow | ObjectRow) -> bool:
        if self._shown.get(row.name) == row:
            return False
        self._shown[row.name] = row
        return True


class LiveWatch(Watch):
    """Draws two tables again and again; the last state stays on the screen, each row of it.

    Where the terminal has too few lines for all rows, those that stand alike share one while it goes on.
    """

    def __init__(self, console: Console, screen: Screen) -> None:
        self._screen = screen
        self._console = console
        self._began = screen.elapsed
        self._last: Group | None = None
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._last is not None:
            self._live.update(self._last)
        self._live.stop()

    def show(self, vms: Sequence[VmRow], objects: Sequence[ObjectRow]) -> None:
        clock = Text(f"{self._screen.elapsed - self._began:.0f} s since the restore began", style="dim")
        self._last = Group(_vm_table(vms), _object_table(objects), clock)
        fitting = self._last if self._fits(self._last) else Group(*_tables_of_alike(vms, objects), clock)
        self._live.update(fitting, refresh=True)

    def _fits(self, drawing: Group) -> bool:
        return len(self._console.render_lines(drawing, pad=False)) < self._console.height


def _tables_of_alike(vms: Sequence[VmRow], objects: Sequence[ObjectRow]) -> tuple[Table, Table]:
    """Draw the rows that stand alike as one, under the names of all."""
    vms_alike: dict[VmRow, list[str]] = {}
    for vm in vms:
        vms_alike.setdefault(replace(vm, name=""), []).append(vm.name)
    objects_alike: dict[ObjectRow, list[str]] = {}
    for row in objects:
        objects_alike.setdefault(replace(row, name=""), []).append(row.name)
    return (
        _vm_table([replace(vm, name=", ".join(names)) for vm, names in vms_alike.items()]),
        _object_table([replace(row, name=_short(names)) for row, names in objects_alike.items()]),
    )


def _short(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} +{len(names) - 1}"


def _folded(line: str, columns: int, hang: int) -> Sequence[str]:
    folded = textwrap.wrap(line, columns, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False)
    return folded or [""]


def _vm_table(rows: Sequence[VmRow]) -> Table:
    table = Table("VM", "vCenter", "Kubernetes", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(row.name, row.vcenter, Text(row.kubernetes))
    return table


def _object_table(rows: Sequence[ObjectRow]) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True)
    for heading in ("object", "stage", "VMs"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what Velero hears: waited for, or found", ratio=1)
    for row in rows:
        stage = Text(row.stage, style=_COLOURS.get(row.stage, "red"))
        table.add_row(row.name, stage, row.count, Text(row.reason))  # words in brackets are not markup here
    return table
