"""Advance the operations of a restore, round by round, as far as what is observed allows.

There is no background thread and no stored callback: Velero polls, and each poll is a step that may be the first
after a crash. One round observes each target namespace once; the polls of the other operations use the same look.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.core import operation, plan, restore_policy
from velero_vmservice.core.errors import InvalidSettings, VmServiceError
from velero_vmservice.core.operation import RestoreRun, enumerate_some
from velero_vmservice.core.plan import Stage
from velero_vmservice.flows.rounds import ROUND_SECONDS, Rounds
from velero_vmservice.flows.task import NamespaceRound, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.core.actions import Progress
    from velero_vmservice.core.manifest import Manifest
    from velero_vmservice.core.operation import Replay
    from velero_vmservice.core.ports import Clock
    from velero_vmservice.core.restore_policy import RestorePolicy
    from velero_vmservice.flows.course import Course
    from velero_vmservice.flows.looking import Looking
    from velero_vmservice.flows.results import Results
    from velero_vmservice.flows.steps import Steps
    from velero_vmservice.flows.subjects import Subjects

log = structlog.get_logger()

BUDGET_SECONDS: Final = 4.0
"""One Progress call begins nothing more after this long: Velero polls all waiting restores one after the other.

What it has begun is bounded by the timeouts of the adapters.
"""
REMEMBERED_RESTORES: Final = 64
REMEMBERED_SECONDS: Final = 24 * 3600.0


class Replays:
    """The replay of every restore that this process is asked about."""

    def __init__(
        self,
        *,
        clock: Clock,
        policy: RestorePolicy,
        subjects: Subjects,
        steps: Steps,
        results: Results,
        looking: Looking,
        course: Course,
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._subjects = subjects
        self._steps = steps
        self._results = results
        self._looking = looking
        self._course = course
        self._restores: TTLCache[str, Rounds] = TTLCache(REMEMBERED_RESTORES, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def policy(self, run: RestoreRun) -> RestorePolicy:
        """Return the effective policy of a restore; raises `InvalidSettings`, naming what would be valid."""
        return restore_policy.effective(self._policy, run.annotations, run.existing_resource_policy)

    def announce(self, operation_id: str, replay: Replay, run: RestoreRun) -> None:
        """Make an operation known before Velero polls it, so that the first round can keep the order."""
        rounds = self._of(run)
        with rounds.lock:
            self._known(rounds, operation_id, replay).announced = True

    def progress(self, operation_id: str, restore: Manifest) -> Progress:
        """Advance every known operation of the restore and report on one.

        A transient fault is a description, never an error; only an id that is not ours raises `InvalidItem`.
        """
        run = RestoreRun.read(restore)
        rounds = self._of(run)
        with rounds.lock:
            task = self._task(rounds, operation_id)
            task.polls += 1
            self._advance(rounds, run)
            if not rounds.results.lasts(self._clock.monotonic()):
                self._keep_cancelled(rounds, run)
            if task.stage.final and not task.stored:
                self._keep(rounds, task, run)
            return task.progress()

    def advance(self, run: RestoreRun) -> Sequence[Task]:
        """Do what one round of polls does, without Velero; return every operation as it is now."""
        rounds = self._of(run)
        with rounds.lock:
            for task in rounds.tasks.values():
                task.polls += 1
            self._advance(rounds, run)
            for task in [one for one in rounds.tasks.values() if one.stage.final and not one.stored]:
                self._keep(rounds, task, run)
            return tuple(rounds.tasks.values())

    def cancel(self, operation_id: str, restore: Manifest) -> None:
        """Stop an operation and keep what it was waiting for as its result.

        Velero does not ask about it again, and after a restart it may be the first that this process hears of it.
        """
        run = RestoreRun.read(restore)
        rounds = self._of(run)
        with rounds.lock:
            task = self._task(rounds, operation_id)
            if not task.stage.final:
                self._learn(rounds, task, run)
            if not task.stage.final:
                words = f"Velero's time for the operation is over (itemOperationTimeout); it was {task.description()}"
                task.tell(f"{words}. Repeat the restore to go on", self._clock.now(), stage=Stage.CANCELLED)
            task.asked_again = False
            self._keep_cancelled(rounds, run)

    def _learn(self, rounds: Rounds, task: Task, run: RestoreRun) -> None:
        """Find out where an object stands that this process has decided nothing of; nothing is written."""
        if task.action:
            return
        try:
            if (before := self._results.stored(task, run)) is not None:
                task.tell(before.reason, self._clock.now(), stage=Stage(before.stage))
                return
            rounds.follow(self.policy(run))
        except VmServiceError as error:
            task.tell(str(error), self._clock.now())
            return
        until = self._clock.monotonic() + BUDGET_SECONDS
        self._read_subjects(rounds, run, until)
        self._observe(rounds, run, until)
        subject, view = task.subject, rounds.namespaces.get(task.replay.target)
        if subject is None or task.stage.final or view is None or view.observed is None:
            return
        known = rounds.view(task, subject, run, view)
        step, task.replayed = plan.decide(subject, known), plan.is_replayed(subject, known)
        task.take(step)
        made = "replayed, and not verified yet" if task.replayed else "every VM is ready"
        task.tell(step.reason or made, self._clock.now())

    def _keep_cancelled(self, rounds: Rounds, run: RestoreRun) -> None:
        """Keep what nobody asks about again; a store that was away at one Cancel may be back at another."""
        for task in [one for one in rounds.tasks.values() if not one.asked_again and not one.stored]:
            self._results.keep(task, run, rounds, asked_again=False)
            if not task.stored:
                log.warning("result not stored", object=str(task.replay.destination), cause=task.not_stored)
                rounds.results.begin(task.not_stored, self._clock.monotonic())
                return

    def _keep(self, rounds: Rounds, task: Task, run: RestoreRun) -> None:
        if rounds.results.lasts(self._clock.monotonic()):
            task.not_stored = rounds.results.words
            return
        self._results.keep(task, run, rounds)
        if not task.stored:
            rounds.results.begin(task.not_stored, self._clock.monotonic())

    def _of(self, run: RestoreRun) -> Rounds:
        with self._lock:
            if run.key not in self._restores:
                self._restores[run.key] = Rounds()
            return self._restores[run.key]

    def _task(self, rounds: Rounds, operation_id: str) -> Task:
        known = rounds.tasks.get(operation_id)
        return known or self._known(rounds, operation_id, operation.read_replay_id(operation_id))

    def _known(self, rounds: Rounds, operation_id: str, replay: Replay) -> Task:
        task = Task(operation_id=operation_id, replay=replay.without_item(), started=self._clock.now())
        return rounds.tasks.setdefault(operation_id, task)

    def _advance(self, rounds: Rounds, run: RestoreRun) -> None:
        until = self._clock.monotonic() + BUDGET_SECONDS
        try:
            rounds.follow(self.policy(run))
        except InvalidSettings as error:  # the annotations were changed while it waits, and may be mended again
            for task in rounds.open_tasks():
                task.tell(str(error), self._clock.now())
            return
        for step in (self._read_subjects, self._observe, self._course.decide):
            step(rounds, run, until)
        if not rounds.waiting_told and (waiting := [task for task in rounds.open_tasks() if task.reason]):
            rounds.waiting_told = True
            words = enumerate_some([f"{task.replay.destination}: {task.reason}" for task in waiting], most=3)
            self._results.event(run, "Waiting", words)

    def _read_subjects(self, rounds: Rounds, run: RestoreRun, until: float) -> None:
        """Read what is to be replayed; whoever is away, or denies, is so for the others too and asked once a round."""
        unread = [task for task in rounds.open_tasks() if task.subject is None]
        for task in sorted(unread, key=lambda one: one.tried_at):  # one that stays denied does not keep the others
            now = self._clock.monotonic()
            if not rounds.captures.lasts(now):
                if now > until:
                    return
                task.tried_at = now
                try:
                    replay = operation.read_replay_id(task.operation_id)
                    task.read(self._subjects.read(replay, run, rounds.policy))
                    continue
                except VmServiceError as error:
                    if not error.passing:
                        task.trouble(error, self._clock.now(), stage=Stage.FAILED)
                        continue
                    task.trouble(error, self._clock.now())
                    task.unread = str(error)
                    rounds.captures.begin(task.unread, self._clock.monotonic())
            try:
                self._steps.wait_for_capture(task, task.unread or rounds.captures.words, run, rounds.policy)
            except VmServiceError:  # nobody can say whether it is there: judged in a later round
                return

    def _observe(self, rounds: Rounds, run: RestoreRun, until: float) -> None:
        tasks = rounds.open_tasks()
        waiting = sorted({task.replay.target for task in tasks if task.subject is not None})
        views = {name: rounds.namespaces.setdefault(name, NamespaceRound(at=float("-inf"))) for name in waiting}
        for namespace, view in sorted(views.items(), key=lambda one: one[1].at):  # none starves another
            now = self._clock.monotonic()
            if now - view.at < ROUND_SECONDS:
                continue
            if now >= until:
                return
            here = [task for task in tasks if task.replay.target == namespace]
            try:
                self._looking.look(view, namespace, here, run, until=until)
            except VmServiceError as error:
                view.observed, view.problem = None, str(error)
            view.at = self._clock.monotonic()  # when the look ended: one that took long is not repeated at once
