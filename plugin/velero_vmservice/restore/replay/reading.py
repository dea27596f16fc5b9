"""Read what is to be replayed; one object that cannot be read does not keep the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.errors import VmServiceError
from velero_vmservice.report.stage import Stage
from velero_vmservice.velero import operation

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.restore.replay.loading.load import Subjects
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.restore.replay.state.session import Rounds
    from velero_vmservice.restore.replay.steps.execute import Steps
    from velero_vmservice.velero.runs import RestoreRun


class Reading:
    """Reads the captures of a restore's objects, each until it could be read."""

    def __init__(self, *, clock: Clock, subjects: Subjects, steps: Steps) -> None:
        self._clock = clock
        self._subjects = subjects
        self._steps = steps

    def read(self, rounds: Rounds, run: RestoreRun, until: float) -> None:
        """Read what is not read yet; a store that is away, or denies, is asked once a round and not for each object."""
        unread = [task for task in rounds.open_tasks() if task.subject is None]
        for task in sorted(unread, key=lambda task: task.tried_at):  # one that stays denied does not keep the others
            now = self._clock.monotonic()
            if not rounds.captures.lasts(now):
                if now > until:
                    return
                task.tried_at = now
                if self._read(task, rounds, run):
                    continue
            why = task.unread or rounds.captures.reason
            if not self._steps.wait_undecided(task, why, run, rounds.policy):
                return

    def _read(self, task: ReplayOperation, rounds: Rounds, run: RestoreRun) -> bool:
        """Read one object; say whether that is settled, else it is waited for."""
        try:
            replay = operation.read_replay_id(task.operation_id)
            task.read(self._subjects.read(replay, run, rounds.policy))
        except VmServiceError as error:
            if not error.passing:
                task.trouble(error, self._clock.now(), stage=Stage.FAILED)
                return True
            task.trouble(error, self._clock.now())
            task.unread = str(error)
            rounds.captures.begin(task.unread, self._clock.monotonic())
            return False
        except Exception as error:  # noqa: BLE001 - logged; it is this object's own and the others are read
            rounds.broke_down(task, error, self._clock)
            return True
        rounds.incidents.over(task.operation_id)
        return True
