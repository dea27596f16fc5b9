"""What earlier processes of a restore have ended with, read once after a restart: Velero asks for none of it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.errors import VmServiceError

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.restore.replay.results.store import Results
    from velero_vmservice.restore.replay.state.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun


class Earlier:
    """Recalls stored results, so that a group is not judged without the members that ended before a restart."""

    def __init__(self, *, clock: Clock, results: Results) -> None:
        self._clock = clock
        self._results = results

    def recall(self, rounds: Rounds, run: RestoreRun) -> None:
        """Learn what has ended before this process; a store that is away is asked again in the next round."""
        if rounds.earlier is None:
            self._read(rounds, run)
        if rounds.earlier:
            for task in rounds.open_tasks():
                rounds.adopt(task, self._clock.now())

    def _read(self, rounds: Rounds, run: RestoreRun) -> None:
        if all(task.announced for task in rounds.tasks.values()):
            rounds.earlier = {}  # this process was there from the beginning
            return
        now = self._clock.monotonic()
        if rounds.results.lasts(now):
            return
        try:
            rounds.earlier = self._results.earlier(run)
        except VmServiceError as error:
            rounds.results.begin(error.message, now)
