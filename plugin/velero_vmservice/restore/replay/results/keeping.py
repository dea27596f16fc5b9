"""Have the store keep what has ended: now, or whenever it takes it.

An operation that has ended is held open for Velero while the store refuses its result, so that a restart of this
process costs nothing; but not for ever. After a while it ends and says what is not stored. What is owed stays in
memory and is offered again by every later poll, and whenever a process that Velero launched is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import ReadOnlyStorage, VmServiceError

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.restore.replay.results.store import Results
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.restore.replay.state.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

LASTING_SECONDS: Final = 300.0
"""An ended operation is held open this long where the store refuses until a person acts: a bucket that is renamed, or
keys that were changed. A location that is ReadOnly, as Velero's guide to disaster recovery has it for a restore, is
meant to stay so: that is not waited for."""
OUTAGE_SECONDS: Final = 3600.0
"""The same where the store is away: that passes by itself."""
OFFER_SECONDS: Final = 30.0
"""What is owed is offered outside of a poll at most this often: a store that is away costs a time-out each time."""
RESULTS: Final = "results"
"""What a defect in storing is remembered under."""


class Keeping:
    """Stores results and the report, and decides for how long Velero waits for that."""

    def __init__(self, *, clock: Clock, results: Results) -> None:
        self._clock = clock
        self._results = results

    def keep(self, rounds: Rounds, task: ReplayOperation, run: RestoreRun) -> None:
        """Store what is owed, then what the operation that is asked about has come to, if it has ended."""
        if not rounds.results.lasts(self._clock.monotonic()):
            self.keep_owed(rounds, run)
        if not task.stage.final or task.stored:
            return
        if rounds.results.lasts(self._clock.monotonic()):
            task.not_stored = rounds.results.reason
        elif self._store(rounds, task, run):
            return
        if task.asked_again and self._has_waited(rounds):
            self._let_go(rounds, task, run)

    def keep_owed(self, rounds: Rounds, run: RestoreRun) -> None:
        """Store what Velero no longer asks about; a store that refuses one refuses the others and is asked once."""
        for task in rounds.owed():
            if not self._store(rounds, task, run):
                return

    def keep_owed_at_leisure(self, rounds: Rounds, run: RestoreRun) -> None:
        """Do the same outside of a poll, and not every time."""
        now = self._clock.monotonic()
        if rounds.owed() and now - rounds.offered_at >= OFFER_SECONDS:
            rounds.offered_at = now
            self.keep_owed(rounds, run)

    def _store(self, rounds: Rounds, task: ReplayOperation, run: RestoreRun) -> bool:
        """Store what one operation has come to; say whether the store took it."""
        try:
            self._results.keep(task, run, rounds)
        except VmServiceError as error:
            self._refused(rounds, task, error)
        except Exception as error:  # noqa: BLE001 - logged; a report that cannot be made keeps no operation open
            now = self._clock.monotonic()
            task.not_stored = str(rounds.incidents.met(RESULTS, f"the results of restore {run.name}", error, now=now))
        else:
            rounds.refused_since = None
            rounds.incidents.over(RESULTS)
            return True
        return False

    def _refused(self, rounds: Rounds, task: ReplayOperation, error: VmServiceError) -> None:
        now = self._clock.monotonic()
        if rounds.refused_since is None:
            rounds.refused_since = now
            log.warning(
                "result not stored",
                object=str(task.replay.destination),
                cause=error.message,
                hint=error.hint,
                consequence="it is kept in memory and offered to the store again",
            )
        rounds.patience = _patience(error)
        task.not_stored = str(error)
        rounds.results.begin(task.not_stored, now)

    def _has_waited(self, rounds: Rounds) -> bool:
        now, since = self._clock.monotonic(), rounds.refused_since
        refused = since is not None and now - since >= rounds.patience
        return refused or rounds.incidents.last(RESULTS, now=now)

    def _let_go(self, rounds: Rounds, task: ReplayOperation, run: RestoreRun) -> None:
        """End an operation for Velero though its result is not stored."""
        task.asked_again, task.go_on, task.shown_by = False, run.again, run.describe_command
        if not rounds.refusal_announced:
            rounds.refusal_announced = True
            message = f"{task.replay.destination} has ended and {task.kept()}"
            self._results.event(run, "NotStored", message, warning=True)


def _patience(error: VmServiceError) -> float:
    """Return for how long a refusal lets an operation that has ended be held open, in seconds."""
    if isinstance(error, ReadOnlyStorage):
        return 0.0
    return OUTAGE_SECONDS if error.transient else LASTING_SECONDS
