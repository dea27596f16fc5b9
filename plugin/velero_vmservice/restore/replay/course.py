"""The course of a restore on one look at each namespace: when each object is decided, and what holds it back.

A restore and its plan take the same course; they differ in what is done with a decision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from velero_vmservice.restore.model import Action
from velero_vmservice.restore.plan import decision
from velero_vmservice.restore.replay.guards import gives_up, holds_back, judge_gates, still_holds_back
from velero_vmservice.restore.replay.operation import Cause
from velero_vmservice.restore.replay.turn import Turn

if TYPE_CHECKING:
    from velero_vmservice.restore.model import Step
    from velero_vmservice.restore.replay.guards import Deletions, Trial
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.session import Session


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
            if operation.looks.held == turn.look.at and (held or still_holds_back(turn)):
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
        """Say whether something is to be known of others, or of earlier processes, before the object is written."""
        operation = turn.operation
        operation.take(step)
        if obstacle := holds_back(turn):
            operation.tell(f"every VM is ready; {obstacle}")
            operation.looks = replace(operation.looks, held=turn.look.at)
            return True
        return step.action is Action.CREATE and self._deletions.noticed_by_result(turn)

    def _is_over(self, turn: Turn) -> bool:
        """Fail what is not to be made any more, as a person has deleted it or a strict restore gave up; say whether."""
        if turn.live is None and self._deletions.noticed(turn):
            _decided(turn)
            return True
        return gives_up(turn)


def fail_twins(session: Session) -> None:
    """Fail all but the first of the objects that come to have one name, as their namespaces are mapped into one."""
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
