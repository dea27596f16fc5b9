"""A progress bar for what takes longer than two seconds, on a terminal alone and beside the output."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AFTER_SECONDS: Final = 2.0
"""What ends earlier shows no bar."""


@contextlib.contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield what is to be called after each of `total` steps; the bar goes when all is done."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        reached(done, total)

    with progress_of(label) as reached:
        yield step


@contextlib.contextmanager
def progress_of(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what is to be told how many of how many steps are done; the bar goes at the end."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    bar, began = Progress(console=console, transient=True, disable=not console.is_terminal), time.monotonic()
    task, shown = bar.add_task(label, total=None), False

    def reached(done: int, total: int) -> None:
        nonlocal shown
        bar.update(task, completed=done, total=total)
        if not shown and time.monotonic() - began > AFTER_SECONDS:
            bar.start()
            shown = True

    try:
        yield reached
    finally:
        if shown:
            bar.stop()
