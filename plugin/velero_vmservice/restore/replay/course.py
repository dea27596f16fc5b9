"""The course of a restore on one look at each namespace: when each object is decided, and what holds it back.

A restore and its plan take the same course; they differ in what is done with a decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from velero_vmservice.restore.model import Action
from velero_vmservice.restore.plan import decision

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.restore.model import Step, Subject, View
    from velero_vmservice.restore.replay.guards import Deletions, Strict
    from velero_vmservice.restore.replay.look import NamespaceRound
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun


class Hand(Protocol):
    """Does what was decided, or only tries it."""

    def take(
        self, task: ReplayOperation, subject: Subject, step: Step, *, replayed: bool, rounds: Rounds, run: RestoreRun
    ) -> None:
        """Carry out one decision; `replayed` says that the object is there through this restore."""


class Course:
    """Decides every open object of a restore in its turn."""

    def __init__(self, *, clock: Clock, hand: Hand, strict: Strict, deletions: Deletions) -> None:
        self._clock = clock
        self._hand = hand
        self._strict = strict
        self._deletions = deletions

    def decide(self, rounds: Rounds, run: RestoreRun, until: float) -> None:
        """Decide on the last looks, and do what was decided; after `until` for no more than one object."""
        decided = held = False
        self._strict.judge(rounds, run)
        for task in self._in_turn(rounds):
            subject, view = task.subject, rounds.namespaces.get(task.replay.target)
            if subject is None or view is None or view.at == float("-inf") or task.decided_at == view.at:
                continue
            if decided and self._clock.monotonic() > until:  # at least one, however long the look took
                return
            if view.observed is None:
                continue
            if task.held_at == view.at and (held or rounds.still_holds_back(task)):
                held = True  # what holds one back holds the others: asked once in a poll, not for each of 300
                continue
            try:
                decided |= self._decide(task, subject, view, rounds, run)
                rounds.incidents.over(task.operation_id)
            except Exception as error:  # noqa: BLE001 - logged; it is this object's own
                rounds.broke_down(task, error, self._clock)
                task.decided_at = view.at

    def _in_turn(self, rounds: Rounds) -> list[ReplayOperation]:
        """Return the open tasks in plan order, those that waited longest for a decision first."""
        every = [task for namespace in rounds.targets() for task in self._in_order(rounds, namespace)]
        return sorted(every, key=lambda task: float("-inf") if task.decided_at is None else task.decided_at)

    def _in_order(self, rounds: Rounds, namespace: str) -> list[ReplayOperation]:
        try:
            return rounds.in_order(namespace, self._clock.now())
        except Exception as error:  # noqa: BLE001 - logged; the other namespaces have an order of their own
            for task in rounds.open_tasks():
                if task.replay.target == namespace:
                    rounds.broke_down(task, error, self._clock)
            return []

    def _decide(
        self, task: ReplayOperation, subject: Subject, view: NamespaceRound, rounds: Rounds, run: RestoreRun
    ) -> bool:
        """Decide for one object; say whether something was done, which takes time."""
        known = rounds.view(task, subject, run, view)
        replayed = decision.is_replayed(subject, known)
        if not replayed and self._is_over(rounds, task, subject, known):
            return False
        task.replayed |= replayed
        step = decision.decide(subject, known).minding(view.mind(subject))
        if step.action in (Action.CREATE, Action.UPDATE) and self._is_held(rounds, task, step, run):
            return False
        task.decided_at = view.at
        if not subject.is_group and step.action is not Action.WAIT and task.replay.name not in view.names:
            task.take(step)  # what stands in its way was not looked for
            return False
        self._hand.take(task, subject, step, replayed=replayed, rounds=rounds, run=run)
        return True

    def _is_held(self, rounds: Rounds, task: ReplayOperation, step: Step, run: RestoreRun) -> bool:
        """Say whether something is to be known of others, or of earlier processes, before the object is written."""
        task.take(step)
        if obstacle := rounds.holds_back(task):
            task.tell(f"every VM is ready; {obstacle}", self._clock.now())
            task.held_at = rounds.namespaces[task.replay.target].at
            return True
        return step.action is Action.CREATE and self._deletions.noticed_by_result(task, run, rounds)

    def _is_over(self, rounds: Rounds, task: ReplayOperation, subject: Subject, known: View) -> bool:
        """Fail what is not to be made any more, as a person has deleted it or a strict restore gave up; say whether."""
        if known.observed.live(subject.ref) is None and self._deletions.noticed(task, subject, known.run):
            task.decided_at = rounds.namespaces[task.replay.target].at
            return True
        return self._strict.gives_up(rounds, task)
