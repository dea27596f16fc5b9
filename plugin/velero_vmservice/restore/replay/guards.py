"""What keeps an object from being made: a strict restore that gave up, and a person who has deleted it meanwhile."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from velero_vmservice.errors import NotFound, Remedy, VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.results import Results
    from velero_vmservice.restore.replay.session import Rounds
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


class Deletions:
    """Recognises what was deleted since this restore replayed it."""

    def __init__(self, *, cluster: Cluster, clock: Clock, results: Results) -> None:
        self._cluster = cluster
        self._clock = clock
        self._results = results

    def noticed(self, task: ReplayOperation, subject: Subject, run: RestoreRun) -> bool:
        """Fail an object that was replayed and that the last look did not find; say whether that decides it.

        The object is read by itself: a look finds nothing either while VM Operator's definitions are away.
        """
        if not task.replayed:
            return False
        now = self._clock.now()
        try:
            self._cluster.get(subject.ref)
        except NotFound:
            if self._cluster.served_versions(subject.ref.kind):
                self._fail(task, run)
            else:
                task.tell(f"{subject.ref.kind.resource} is not served any more: VM Operator may be upgraded", now)
        except VmServiceError as error:
            task.tell(f"whether it is still there is not known: {error}", now)
        return True

    def noticed_by_result(self, task: ReplayOperation, run: RestoreRun, rounds: Rounds) -> bool:
        """Fail an object that is about to be made, and that an earlier process has made already; say the same.

        While the store is away nothing is made.
        """
        if task.announced or task.never_ended:
            return False
        now = self._clock.monotonic()
        if not rounds.results.lasts(now):
            try:
                before = self._results.stored(task, run)
            except VmServiceError as error:
                rounds.results.begin(error.message, now)
            else:
                task.never_ended = before is None
                if before is None or not before.replayed:
                    return False
                self._fail(task, run)
                return True
        task.tell(f"looking for an earlier process's results: {rounds.results.reason}", self._clock.now())
        return True

    def _fail(self, task: ReplayOperation, run: RestoreRun) -> None:
        reason = "it was deleted after this restore had replayed it, and is not made a second time"
        remedy = f"If it is wanted, repeat the restore: velero restore create --from-backup {shlex.quote(run.backup)}"
        task.tell(reason, self._clock.now(), stage=Stage.FAILED)
        task.remedy = Remedy(remedy)
