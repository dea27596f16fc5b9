"""What a plan does with a decision: it tries it on the API server without consequences, and remembers it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from velero_vmservice.errors import AlreadyExists, NotFound, VmServiceError, advised
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Action, Step
from velero_vmservice.restore.replay.steps.apply import Writer

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.restore.replay.state.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun


class Rehearsal:
    """The hand that writes nothing; one object for each plan."""

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._clock = clock
        self._writer = Writer(cluster)
        self._steps: dict[str, Step] = {}

    def take(
        self, task: ReplayOperation, subject: Subject, step: Step, *, replayed: bool, rounds: Rounds, run: RestoreRun
    ) -> None:
        """Remember a decision; what a restore would write counts as there for what comes after it.

        Raises what the API server raises that passes by itself.
        """
        del replayed, run
        observed = rounds.namespaces[subject.ref.namespace].observed
        if step.action in (Action.CREATE, Action.UPDATE):
            step = self._tried(subject, step, observed.live(subject.ref) if observed else None)
        task.take(step)
        self._steps[task.operation_id] = step
        refused = step.action in (Action.BLOCKED, Action.CONFLICT)
        reason = f"{step.action}: {step.reason}" if refused else step.reason  # as a restore words it
        task.tell(reason, self._clock.now(), stage=_stage(step))

    def step(self, task: ReplayOperation) -> Step:
        """Return what was decided for an object; for one that others decide about, what holds it or has ended it."""
        if (step := self._steps.get(task.operation_id)) is not None:
            return step
        return Step(
            action=Action.BLOCKED if task.stage.final else Action.WAIT,
            reason=task.reason,
            remedy=task.remedy,
            warnings=task.warnings[len(task.remarks) :],
            missing=task.missing,
            differences=task.differences,
            final=task.stage.final,
            gate_open=task.gate_open,
            ready=task.ready,
            total=task.total,
        )

    def forget(self, task: ReplayOperation) -> None:
        """Decide about an object anew."""
        self._steps.pop(task.operation_id, None)
        task.decided_at = task.held_at = task.judged_at = None

    def _tried(self, subject: Subject, step: Step, live: Manifest | None) -> Step:
        try:
            self._writer.rehearse(subject, live)
        except (AlreadyExists, NotFound) as error:  # a restore looks again
            return replace(step, action=Action.WAIT, reason=error.message)
        except VmServiceError as error:
            if error.transient:
                raise
            action = Action.WAIT if error.mendable else Action.BLOCKED
            return replace(step, action=action, reason=str(error), remedy=advised(error.hint), final=not error.mendable)
        return step


def _stage(step: Step) -> Stage | None:
    match step.action:
        case Action.WAIT | Action.BLOCKED if not step.final:
            return None
        case Action.CREATE | Action.UPDATE | Action.SKIP:
            return Stage.VERIFIED
        case Action.RETAIN:
            return Stage.RETAINED
        case _:
            return Stage.FAILED
