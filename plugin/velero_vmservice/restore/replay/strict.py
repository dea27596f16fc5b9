"""The memory of a strict restore: which gates are open, and what it has been given up for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import VMS_ALONE
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.restore.replay.state.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun


class Strict:
    """Judges a restore that replays every object or none; does nothing under another mode."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    def judge(self, rounds: Rounds, run: RestoreRun) -> None:
        """Note which gates are open, under mode=strict."""
        if rounds.policy.mode == "strict":
            rounds.judge_gates(run)

    def gives_up(self, rounds: Rounds, task: ReplayOperation) -> bool:
        """Fail an object of a strict restore that cannot become whole any more; say whether it was."""
        lost = rounds.given_up()
        if not lost or task.stage is not Stage.WAITING or task.replay.kind == VMS_ALONE:
            return False
        reason = f"not replayed: the policy is mode=strict, and {lost}"
        task.given_up = True
        task.tell(reason, self._clock.now(), stage=Stage.FAILED)
        return True
