"""How a restore in the foreground is followed: a table that is redrawn, or a line for each change where it is piped."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from rich.live import Live

from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.once import LONG
from velero_vmservice.cli.views.table import Column, Output, Row, Sentences, Table
from velero_vmservice.errors import VmServiceError
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from velero_vmservice.clock import Clock
    from velero_vmservice.restore.replay.operation import ReplayOperation

POLL_SECONDS: Final = 5.0
NEVER_GRANTED_SECONDS: Final = 15.0
"""A right that is missing from the first round on is waited for so long: a grant takes a moment to count."""
DENIED_SECONDS: Final = 60.0
"""The same for a right that was there: an API server that starts may deny for a while what it allows."""

Round = tuple["Sequence[ReplayOperation]", str]
"""The operations after one step, and the passing error for which there are none."""


def follow(
    advance: Callable[[], Sequence[ReplayOperation]], clock: Clock, *, timeout: float | None
) -> Sequence[ReplayOperation]:
    """Take steps until every operation or the time is over, showing the state of each; return them.

    Raises an error that does not pass by itself, such as a missing right, once nothing else is left to do.
    """
    console = terminal.console()
    rounds = _rounds(advance, clock, deadline=clock.monotonic() + timeout if timeout else math.inf)
    return _redrawn(console, rounds) if console.is_terminal else _as_news(console, rounds)


def _rounds(advance: Callable[[], Sequence[ReplayOperation]], clock: Clock, *, deadline: float) -> Iterator[Round]:
    patience, denied_since = NEVER_GRANTED_SECONDS, math.inf
    while True:
        try:
            tasks, problem = advance(), ""
        except VmServiceError as error:
            if not error.transient:
                raise
            tasks, problem = (), str(error)
        yield tasks, problem
        if denial := _denial(tasks):
            denied_since = min(denied_since, clock.monotonic())
            if clock.monotonic() - denied_since >= patience:
                raise denial
        elif tasks:
            patience, denied_since = DENIED_SECONDS, math.inf
        left = deadline - clock.monotonic()
        if left <= 0 or (tasks and all(task.over for task in tasks)):
            return
        time.sleep(min(POLL_SECONDS, left))


def _denial(tasks: Sequence[ReplayOperation]) -> VmServiceError | None:
    """Return the missing right or setting that all waits for: what else is open has its VMs, and is held back by it."""
    left = [task for task in tasks if not task.stage.final]
    if any(task.standing.denial is None and not _is_held(task) for task in left):
        return None
    return next((task.standing.denial for task in left if task.standing.denial is not None), None)


def _is_held(task: ReplayOperation) -> bool:
    """Say whether an object has all that it needs and is held back by others."""
    return task.stage is Stage.WAITING and task.decision.gate_open


def _redrawn(console: Console, rounds: Iterator[Round]) -> Sequence[ReplayOperation]:
    """Redraw a table at each step; at the end, however it comes, the table is printed once and whole."""
    tasks: Sequence[ReplayOperation] = ()
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            for operations, problem in rounds:
                tasks = operations or tasks
                live.update(_table(tasks, problem).drawn(Output(), width=console.width), refresh=True)
    finally:
        _table(tasks).print(Output(), console)
    return tasks


def _table(tasks: Sequence[ReplayOperation], problem: str = "") -> Table:
    """Return the operations as rows."""
    return Table(
        columns=(Column("STAGE"), Column("OBJECT"), Column("VMS"), Column("WAITING FOR")),
        rows=[
            Row(
                name=str(task.replay.destination),
                cells=(str(task.stage), str(task.replay.destination), _ready(task), Sentences(*_sentences(task))),
            )
            for task in tasks
        ],
        document=None,
        below=[f"waiting: {problem}"] if problem else (),
    )


def _as_news(console: Console, rounds: Iterator[Round]) -> Sequence[ReplayOperation]:
    """Print one line where an object's state has changed: a pipe is read later, or by a program."""
    tasks: tuple[ReplayOperation, ...] = ()
    news = _News()
    for operations, problem in rounds:
        tasks = tuple(operations) or tasks
        for line in (*news.of_problem(problem), *(line for task in operations for line in news.of(task))):
            terminal.say(line, to=console)
    return tasks


class _News:
    """The lines that were printed before, so that they are not printed again."""

    def __init__(self) -> None:
        self._problem = ""
        self._last: dict[str, tuple[str, ...]] = {}
        self._first_said_of: dict[str, str] = {}

    def of_problem(self, problem: str) -> Iterator[str]:
        if problem and problem != self._problem:
            yield f"waiting: {problem}"
        self._problem = problem

    def of(self, task: ReplayOperation) -> Iterator[str]:
        """Yield the line of an object whose state has changed."""
        standing = (str(task.stage), *_sentences(task))
        before = self._last.get(task.operation_id, ())
        if before == standing:
            return
        self._last[task.operation_id] = standing
        name = str(task.replay.destination)
        stage, reason, *beside = (*standing, "")
        news = [self._referred(sentence, name) for sentence in (reason, *beside) if sentence and sentence not in before]
        yield f"{name}: {stage}: {' | '.join(dict.fromkeys(news))}" if news else f"{name}: {stage}"

    def _referred(self, sentence: str, name: str) -> str:
        """Return a long sentence the first time, and then the name of the object that had it first."""
        if len(sentence) < LONG:
            return sentence
        first = self._first_said_of.setdefault(sentence, name)
        return sentence if first == name else f"as for {first}"


def _ready(task: ReplayOperation) -> str:
    """Return how many of the VMs that an object needs are ready."""
    return f"{task.decision.ready}/{task.decision.total}" if task.decision.total else ""


def _sentences(task: ReplayOperation) -> tuple[str, ...]:
    """Return the sentences about an operation; commands are given once, when all has ended."""
    unstored = str(task.kept) if task.stage.final and not task.kept.whole else ""
    return tuple(
        filter(
            None,
            (
                task.standing.reason,
                *task.verified.notes,
                *(f"note: {warning}" for warning in task.decision.warnings),
                unstored,
            ),
        )
    )
