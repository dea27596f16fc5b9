"""What the user sees: a table that lives on a terminal, a line for each change everywhere else.

Nothing is decided here; both ways show the same rows.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """A machine on its way back: what vCenter shows, and what Kubernetes has."""

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

    def say(self, *lines: str, style: str = "") -> None:
        """Print lines as they are, so that a command can be copied; a terminal breaks long ones itself."""
        for line in lines:
            self._console.print(Text(line, style=style), soft_wrap=True)

    def draw(self, picture: RenderableType) -> None:
        """Print anything that rich can print."""
        self._console.print(picture)

    def fact(self, fact: Fact) -> None:
        """Print whether something is so, and what was found where it is not."""
        mark, style = ("ok ", "green") if fact.holds else ("NO ", "bold red")
        found = "" if fact.holds else f" (found: {fact.found or 'nothing'})"
        self._console.print(Text(mark, style=style) + Text(f"{fact.words}{found}"), soft_wrap=True)

    def watch(self) -> Watch:
        """Show rows until the block ends."""
        return LiveWatch(self._console, self) if self.lively else PlainWatch(self)


class Watch:
    """Shows the rows of a restore while it goes on; a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def show(self, machines: Sequence[MachineRow], objects: Sequence[ObjectRow]) -> None:
        """Show how things stand now."""
        raise NotImplementedError


class PlainWatch(Watch):
    """Prints a line for each row that changed."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._began = screen.elapsed
        self._shown: dict[str, MachineRow | ObjectRow] = {}

    def show(self, machines: Sequence[MachineRow], objects: Sequence[ObjectRow]) -> None:
        rows: list[MachineRow | ObjectRow] = [*machines, *objects]
        for row in rows:
            if self._shown.get(row.name) != row:
                self._shown[row.name] = row
                self._screen.say(f"{self._screen.elapsed - self._began:5.1f} s  {row.name:<18} {_line(row)}".rstrip())


class LiveWatch(Watch):
    """Draws two tables again and again; the last state stays on the screen."""

    def __init__(self, console: Console, screen: Screen) -> None:
        self._screen = screen
        self._began = screen.elapsed
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, machines: Sequence[MachineRow], objects: Sequence[ObjectRow]) -> None:
        clock = Text(f"{self._screen.elapsed - self._began:.0f} s since the restore began", style="dim")
        self._live.update(Group(_machine_table(machines), _object_table(objects), clock), refresh=True)


def _line(row: MachineRow | ObjectRow) -> str:
    if isinstance(row, MachineRow):
        return f"{row.vcenter:<15}  {row.kubernetes}"
    return f"{row.stage:<9} {row.count:<5}  {row.reason}"


def _machine_table(rows: Sequence[MachineRow]) -> Table:
    table = Table("machine", "vCenter", "Kubernetes", box=SIMPLE_HEAD)
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
        table.add_row(row.name, stage, row.count, Text(row.reason))  # words in brackets are no markup here
    return table
