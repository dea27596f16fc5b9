"""An object that this restore replayed and a person then deleted is not made again: the result says so.

This process knows what it has written or seen, and what an earlier process has stored a result of. An
object that an earlier process made, that was deleted before the next one looked for the first time, and whose
operation had not ended cannot be told from one that was never made: it is made again.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from velero_vmservice.errors import NotFound, VmServiceError
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.results.store import Results
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.restore.replay.state.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun


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
        task.tell(f"{reason}. {remedy}", self._clock.now(), stage=Stage.FAILED)
        task.remedy = remedy
