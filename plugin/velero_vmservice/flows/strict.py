"""The memory of a strict restore: which gates are open, and what it has been given up for, over a restart too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core.errors import VmServiceError
from velero_vmservice.core.manifest import VMS_ALONE
from velero_vmservice.core.plan import Stage

if TYPE_CHECKING:
    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.ports import Clock
    from velero_vmservice.flows.results import Results
    from velero_vmservice.flows.rounds import Rounds
    from velero_vmservice.flows.task import Task


class Strict:
    """Judges where everybody waits for every one; says nothing under another mode."""

    def __init__(self, *, clock: Clock, results: Results) -> None:
        self._clock = clock
        self._results = results

    def judge(self, rounds: Rounds, run: RestoreRun) -> None:
        """Note which gates are open, where everybody waits for every one."""
        if rounds.policy.mode == "strict":
            self._recall(rounds, run)
            rounds.judge_gates(run)

    def gives_up(self, rounds: Rounds, task: Task) -> bool:
        """Fail an object of a strict restore that cannot become whole any more; say whether it was."""
        lost = rounds.given_up()
        if not lost or task.stage is not Stage.WAITING or task.replay.kind == VMS_ALONE:
            return False
        words = f"not replayed: the policy is mode=strict, and {lost}"
        task.given_up = True
        task.tell(words, self._clock.now(), stage=Stage.FAILED)
        return True

    def _recall(self, rounds: Rounds, run: RestoreRun) -> None:
        """Learn what an earlier process of a strict restore gave up for; a store that is away is asked again."""
        now = self._clock.monotonic()
        if rounds.lost is not None or rounds.results.lasts(now):
            return
        try:
            rounds.lost = self._results.given_up(run)
        except VmServiceError as error:
            rounds.results.begin(error.message, now)
