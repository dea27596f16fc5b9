"""The course of a restore on one look at each namespace: when each object is decided, and what delays it.

A restore and its plan take the same course; they differ in what is done with a decision. An object is held back by what
is not known yet, by a strict restore, by a person who has deleted it, and by a refusal that is foreseen.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from velero_vmservice.errors import NotFound, Rejected, Remedy, VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.plan import decision
from velero_vmservice.restore.plan.decision import decide
from velero_vmservice.restore.replay.operation import Cause
from velero_vmservice.restore.replay.session import RECALLING
from velero_vmservice.restore.replay.turn import Turn
from velero_vmservice.restore.writer import Writer

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.model import Step
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.results import Results
    from velero_vmservice.restore.replay.session import Session

_GATE_OPEN: Final = (Action.CREATE, Action.UPDATE, Action.SKIP)
"""What was decided for an object once all that it needs was there."""
_NOT_MADE: Final = (Stage.FAILED, Stage.CANCELLED)
PAUSE_SECONDS: Final = 60.0
"""After a fault of the API server or of a webhook that does not answer: each try may take as long as its time-out."""


class Hand(Protocol):
    """Does what was decided, or only tries it."""

    def take(self, turn: Turn, step: Step, *, replayed: bool) -> None:
        """Carry out one decision; `replayed` says that the object is there through this restore."""


class Course:
    """Decides every open object of a restore in its turn."""

    def __init__(self, *, hand: Hand, trial: Trial, deletions: Deletions) -> None:
        self._hand = hand
        self._trial = trial
        self._deletions = deletions

    def decide(self, session: Session, until: float) -> None:
        """Decide on the last looks, and do what was decided; after `until` for no more than one object."""
        session.note()
        judge_gates(session)
        fail_twins(session)
        decided = held = False
        for operation in in_turn(session):
            turn = Turn.of(session, operation)
            if turn is None or operation.looks.decided == turn.look.at:
                continue
            if decided and session.clock.monotonic() > until:  # at least one, however long the look took
                return
            if operation.looks.held == turn.look.at and (held or (not given_up(session) and holds_back(turn))):
                held = True  # what holds one back holds the others: asked once in a poll, not for each of 300
                continue
            try:
                decided |= self._decide(turn)
                session.incidents.over(operation.operation_id)
            except Exception as error:  # noqa: BLE001 - logged; it is this object's own
                session.broke_down(operation, error)
                _decided(turn)

    def _decide(self, turn: Turn) -> bool:
        """Decide for one object; say whether something was done, which takes time."""
        operation, subject, view = turn.operation, turn.subject, turn.view()
        replayed = decision.is_replayed(subject, view)
        if not replayed and self._is_over(turn):
            return False
        operation.made = replace(operation.made, replayed=operation.made.replayed or replayed)
        step = self._trial.judged(turn, decision.decide(subject, view)).minding(turn.look.notes(subject))
        if step.action in (Action.CREATE, Action.UPDATE) and self._is_held(turn, step):
            return False
        _decided(turn)
        if not subject.is_group and step.action is not Action.WAIT and operation.replay.name not in turn.look.names:
            operation.take(step)  # what stands in its way was not looked for
            return False
        self._hand.take(turn, step, replayed=replayed)
        return True

    def _is_held(self, turn: Turn, step: Step) -> bool:
        """Say whether more has to be known of other objects, or of earlier processes, before the object is written."""
        operation = turn.operation
        operation.take(step)
        if obstacle := holds_back(turn):
            operation.tell(f"every VM is ready; {obstacle}")
            operation.looks = replace(operation.looks, held=turn.look.at)
            return True
        return step.action is Action.CREATE and self._deletions.noticed_by_result(turn)

    def _is_over(self, turn: Turn) -> bool:
        """Fail an object that a person has deleted, or of a strict restore that gave up; say whether it was failed."""
        if turn.live is None and self._deletions.noticed(turn):
            _decided(turn)
            return True
        return gives_up(turn)


def fail_twins(session: Session) -> None:
    """Fail all but the first of the objects that get the same name because their namespaces are mapped into one."""
    for namespace in session.targets():
        for first, twin in session.twins(namespace):
            reason = f"namespace {first.replay.namespace} has one of that name, and both are mapped into"
            twin.fail(f"{reason} {namespace}", Cause.TWIN)


def in_turn(session: Session) -> list[ReplayOperation]:
    """Return the open operations in plan order, those that waited longest for a decision first."""
    every = [operation for namespace in session.targets() for operation in _in_order(session, namespace)]
    return sorted(every, key=lambda operation: operation.looks.decided)


def _in_order(session: Session, namespace: str) -> list[ReplayOperation]:
    try:
        return session.in_order(namespace)
    except Exception as error:  # noqa: BLE001 - logged; the other namespaces have an order of their own
        for operation in session.open_in(namespace):
            session.broke_down(operation, error)
        return []


def _decided(turn: Turn) -> None:
    turn.operation.looks = replace(turn.operation.looks, decided=turn.look.at)


def judge_gates(session: Session) -> None:
    """Note which gates are open at the last looks: a strict restore creates nothing on an earlier one."""
    if session.policy.mode != "strict":
        return
    for operation in session.open():
        turn = Turn.of(session, operation)
        if turn is None:
            operation.decision = replace(operation.decision, gate_open=False)
            operation.looks = replace(operation.looks, judged=float("-inf"))
        elif operation.looks.judged != turn.look.at:
            operation.decision = replace(operation.decision, gate_open=_gate_is_open(turn))
            operation.looks = replace(operation.looks, judged=turn.look.at)


def _gate_is_open(turn: Turn) -> bool:
    if turn.session.incidents.holds(turn.operation.operation_id):
        return False
    try:
        return decide(turn.subject, turn.view()).gate_open
    except Exception:  # noqa: BLE001 - met, told and logged where the object is decided
        return False


def holds_back(turn: Turn) -> str:
    """Say what is still unknown, or in strict mode shut, that has to be settled before an object is written; or ''."""
    return turn.unknown() or (_shut(turn) if turn.policy.mode == "strict" else "")


def _shut(turn: Turn) -> str:
    """Return which other object keeps a strict restore from creating anything."""
    if turn.session.earlier is None:
        return RECALLING
    for other in _objects(turn.session):
        may_be_shut = other.stage is Stage.WAITING or other.stage in _NOT_MADE
        if other is not turn.operation and may_be_shut and not other.decision.gate_open:
            why = f"{other.stage}: {other.standing.reason}"
            return f"the policy is mode=strict, and {other.replay.destination} is not ready ({why})"
    return ""


def given_up(session: Session) -> str:
    """Return the object because of which a strict restore creates nothing any more, or ''."""
    if session.policy.mode != "strict":
        return ""
    for lost in _objects(session):
        if lost.stage in _NOT_MADE and not lost.decision.gate_open and lost.standing.cause is not Cause.STRICT:
            return f"{lost.replay.destination} {lost.stage}: {lost.standing.reason}"
    for result in (session.earlier or {}).values():
        if result.kind != VMS_ALONE.name and result.stage in _NOT_MADE and result.action not in _GATE_OPEN:
            return f"{result.label} {result.stage}: {result.reason}"
    return ""


def _objects(session: Session) -> list[ReplayOperation]:
    """Return the operations that stand for an object, and not for VMs without an application."""
    return [operation for operation in session.operations.values() if operation.replay.kind != VMS_ALONE]


def gives_up(turn: Turn) -> bool:
    """Fail an object of a strict restore that cannot become whole any more; say whether it was."""
    operation, lost = turn.operation, given_up(turn.session)
    if not lost or operation.stage is not Stage.WAITING or operation.replay.kind == VMS_ALONE:
        return False
    operation.fail(f"not replayed: the policy is mode=strict, and {lost}", Cause.STRICT)
    return True


class Deletions:
    """Recognises what was deleted since this restore replayed it: it is not made again, and the result says so.

    This process knows what it has written or seen, and the results that earlier ones have stored. An object without a
    result that was deleted before this process first looked is like one that was never made: it is made again.
    """

    def __init__(self, *, cluster: Cluster, results: Results) -> None:
        self._cluster = cluster
        self._results = results

    def noticed(self, turn: Turn) -> bool:
        """Fail an object that was replayed and that the last look did not find; say whether that decides it.

        The object is read by itself: a look finds nothing either while VM Operator's definitions are away.
        """
        operation, ref = turn.operation, turn.subject.ref
        if not operation.made.replayed:
            return False
        try:
            self._cluster.get(ref)
        except NotFound:
            if self._cluster.served_versions(ref.kind):
                _fail_deleted(turn)
            else:
                operation.tell(f"{ref.kind.resource} is not served any more: VM Operator may be upgraded")
        except VmServiceError as error:
            operation.tell(f"cannot tell whether it is still there: {error}")
            operation.deny(error)
        return True

    def noticed_by_result(self, turn: Turn) -> bool:
        """Fail an object that is about to be made, and that an earlier process has made already; say the same.

        While the store is away nothing is made.
        """
        operation, session = turn.operation, turn.session
        if operation.announced or operation.kept.never_before:
            return False
        absence, now = session.results.absence, session.clock.monotonic()
        if not absence.lasts(now):
            try:
                result = self._results.stored(session, operation)
            except VmServiceError as error:
                absence.begin(error.message, now)
            else:
                operation.kept = replace(operation.kept, never_before=result is None)
                if result is None or not result.replayed:
                    return False
                _fail_deleted(turn)
                return True
        operation.tell(f"looking for an earlier process's results: {absence.reason}")
        return True


def _fail_deleted(turn: Turn) -> None:
    remedy = f"If it is wanted, repeat the restore: velero restore create --from-backup {shlex.quote(turn.run.backup)}"
    turn.operation.fail("it was deleted after this restore had replayed it, and is not made a second time")
    turn.operation.advise(Remedy(remedy))


class Trial:
    """Tries the objects that wait.

    VM Operator's webhooks judge a service or group by the object alone, so a dry run says before the VMs are there what
    it would say after (docs/adr/0007-no-admission-rules-of-our-own.md).
    """

    def __init__(self, cluster: Cluster) -> None:
        self._writer = Writer(cluster)
        self._not_before = float("-inf")

    def judged(self, turn: Turn, step: Step) -> Step:
        """Return the decision to wait, with what the API server has against the object.

        An object that is accepted is asked about once, one that is refused at each look: the refusal may be a policy
        that changes until the VMs are there. It is final only in a strict restore, which creates nothing without it.
        """
        reading, now = turn.operation.reading, turn.session.clock.monotonic()
        waits = step.action in (Action.WAIT, Action.BLOCKED) and not step.final
        nowhere = turn.live is not None or not turn.observed.exists or turn.subject.ref.kind == VMS_ALONE
        if not waits or nowhere or reading.acceptable or now < self._not_before:
            return step
        try:
            self._writer.rehearse(turn.subject, None)
        except Rejected as error:
            reason = f"{error}; {step.reason}"
            final = turn.policy.mode == "strict"
            return replace(step, action=Action.BLOCKED, reason=reason, remedy=error.remedy, final=final)
        except VmServiceError as error:
            if error.transient:
                self._not_before = now + PAUSE_SECONDS
                return step
            if error.mendable:
                return replace(step, reason=f"{error}; {step.reason}", remedy=error.remedy, denial=error)
        turn.operation.reading = replace(reading, acceptable=True)
        return step
