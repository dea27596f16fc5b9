"""Advance the operations of a restore, round by round, as far as what is observed allows.

There is no background thread and no stored callback: Velero polls, and each poll is a step that may be the first
after a crash. One round observes each target namespace once; the polls of the other operations use the same look.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

from velero_vmservice.errors import InvalidSettings, VmServiceError
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import policy as restore_policy
from velero_vmservice.restore.plan import decision
from velero_vmservice.restore.replay.ending import Keeping, conclude
from velero_vmservice.restore.replay.look import NamespaceRound
from velero_vmservice.restore.replay.operation import ReplayOperation
from velero_vmservice.restore.replay.session import ROUND_SECONDS, Rounds
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero import operation
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.course import Course
    from velero_vmservice.restore.replay.execute import Steps
    from velero_vmservice.restore.replay.look import Looking
    from velero_vmservice.restore.replay.results import Results
    from velero_vmservice.restore.source.load import Subjects
    from velero_vmservice.velero.actions import Progress
    from velero_vmservice.velero.operation import Replay

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
        self._results = results
        self._steps = steps
        self._reading = Reading(clock=clock, subjects=subjects, steps=steps)
        self._keeping = Keeping(clock=clock, results=results)
        self._looking = looking
        self._course = course
        self._earlier = Earlier(clock=clock, results=results)
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
            if not rounds.logged.begun:
                self._log_beginning(rounds, run)

    def _log_beginning(self, rounds: Rounds, run: RestoreRun) -> None:
        try:
            rounds.logged.begins(run, self.policy(run), executed=not run.resumed)
        except InvalidSettings:  # each poll says so until the annotation is mended, and the policy is logged then
            return

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
            self._keeping.keep(rounds, task, run)
            return task.progress()

    def advance(self, run: RestoreRun) -> Sequence[ReplayOperation]:
        """Do what one round of polls does, without Velero; return every operation as it is now."""
        rounds = self._of(run)
        with rounds.lock:
            for task in rounds.tasks.values():
                task.polls += 1
            self._advance(rounds, run)
            for task in tuple(rounds.tasks.values()):
                self._keeping.keep(rounds, task, run)
            return tuple(rounds.tasks.values())

    def cancel(self, operation_id: str, restore: Manifest) -> None:
        """Stop an operation and keep what it was waiting for as its result.

        Velero does not poll it again. After a restart, Cancel may be the first call about it that this process gets.
        """
        run = RestoreRun.read(restore)
        rounds = self._of(run)
        with rounds.lock:
            task = self._task(rounds, operation_id)
            if not task.stage.final:
                try:
                    self._learn(rounds, task, run)
                except Exception as error:  # noqa: BLE001 - logged; whatever is known of it, it ends here
                    rounds.broke_down(task, error, self._clock)
            if not task.stage.final:
                reason = f"Velero's time for the operation is over (itemOperationTimeout); it was {task.description()}"
                task.tell(f"{reason}. Repeat the restore to go on", self._clock.now(), stage=Stage.CANCELLED)
            self._log_transitions(rounds, run)
            task.asked_again = False
            self._keeping.keep_owed(rounds, run)

    def _learn(self, rounds: Rounds, task: ReplayOperation, run: RestoreRun) -> None:
        """Find out where an object stands that this process has not decided yet; nothing is written."""
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
        self._reading.read(rounds, run, until)
        self._observe(rounds, run, until)
        subject, view = task.subject, rounds.namespaces.get(task.replay.target)
        if subject is None or task.stage.final or view is None or view.observed is None:
            return
        known = rounds.view(task, subject, run, view)
        step, task.replayed = decision.decide(subject, known), decision.is_replayed(subject, known)
        task.take(step)
        made = "replayed, and not verified yet" if task.replayed else "every VM is ready"
        task.tell(step.reason or made, self._clock.now())

    def settle(self) -> None:
        """Store what is still owed for restores that Velero no longer polls; never raises.

        Called whenever a process that Velero launched is over, which it is after each round of polls, each backup and
        each restore: outside of any call, so that a store that hangs delays none.
        """
        with self._lock:
            known = [self._restores.get(key) for key in list(self._restores)]
            owing = [(rounds.run, rounds) for rounds in known if rounds and rounds.run and rounds.owed()]
        for run, rounds in owing:
            if not rounds.lock.acquire(blocking=False):
                continue  # it is being polled, and the poll does the same
            self._of(run)  # what owes something is not forgotten
            try:
                self._keeping.keep_owed_at_leisure(rounds, run)
            finally:
                rounds.lock.release()

    def _of(self, run: RestoreRun) -> Rounds:
        """Return what is remembered of a restore; the time for which it is counts from here anew."""
        with self._lock:
            rounds = self._restores.get(run.key) or Rounds()
            rounds.run = run
            self._restores[run.key] = rounds
            return rounds

    def _task(self, rounds: Rounds, operation_id: str) -> ReplayOperation:
        known = rounds.tasks.get(operation_id)
        return known or self._known(rounds, operation_id, operation.read_replay_id(operation_id))

    def _known(self, rounds: Rounds, operation_id: str, replay: Replay) -> ReplayOperation:
        task = ReplayOperation(operation_id=operation_id, replay=replay.without_item(), started=self._clock.now())
        return rounds.tasks.setdefault(operation_id, task)

    def _advance(self, rounds: Rounds, run: RestoreRun) -> None:
        until = self._clock.monotonic() + BUDGET_SECONDS
        try:
            rounds.follow(self.policy(run))
        except InvalidSettings as error:  # the annotations were changed while it waits, and may be mended again
            for task in rounds.open_tasks():
                task.tell(str(error), self._clock.now())
            self._log_transitions(rounds, run)
            return
        rounds.logged.begins(run, rounds.policy, executed=False)
        self._earlier.recall(rounds, run)
        for step in (self._reading.read, self._observe, self._wait_blind, self._course.decide):
            step(rounds, run, until)
        conclude(rounds, run)
        self._log_transitions(rounds, run)
        if not rounds.waiting_announced and (waiting := [task for task in rounds.open_tasks() if task.reason]):
            rounds.waiting_announced = True
            reasons = enumerate_some([f"{task.replay.destination}: {task.reason}" for task in waiting], most=3)
            self._results.event(run, "Waiting", reasons)

    def _log_transitions(self, rounds: Rounds, run: RestoreRun) -> None:
        rounds.logged.follow(run, tuple(rounds.tasks.values()), rounds.namespaces, now=self._clock.monotonic())

    def _observe(self, rounds: Rounds, run: RestoreRun, until: float) -> None:
        tasks = rounds.open_tasks()
        waiting = sorted({task.replay.target for task in tasks if task.subject is not None})
        views = {name: rounds.namespaces.setdefault(name, NamespaceRound(at=float("-inf"))) for name in waiting}
        for namespace, view in sorted(views.items(), key=lambda item: item[1].at):  # none starves another
            now = self._clock.monotonic()
            if now - view.at < ROUND_SECONDS:
                continue
            if now >= until:
                return
            in_namespace = [task for task in tasks if task.replay.target == namespace]
            try:
                self._looking.look(view, namespace, in_namespace, run, until=until)
                rounds.incidents.over(namespace)
            except VmServiceError as error:
                view.observed, view.problem = None, error
                rounds.incidents.over(namespace)
            except Exception as error:  # noqa: BLE001 - logged; the other namespaces are looked at
                defect = rounds.incidents.met(namespace, f"namespace {namespace}", error, now=now)
                view.observed, view.problem = None, defect
            view.at = self._clock.monotonic()  # when the look ended: one that took long is not repeated at once

    def _wait_blind(self, rounds: Rounds, run: RestoreRun, until: float) -> None:
        """Record why namespaces cannot be observed: what lasts, or is not put right by the deadline, ends the object.

        A cluster that is away is asked again without end: nothing is known meanwhile of what became of the VMs.
        """
        for task in rounds.open_tasks():
            view, now = rounds.namespaces.get(task.replay.target), self._clock.monotonic()
            if task.subject is None or view is None or view.problem is None:
                continue
            why = f"{task.replay.target} cannot be observed: {view.problem}"
            task.remedy, task.held_by = view.problem.remedy, ()
            if rounds.incidents.last(task.replay.target, now=now):
                task.tell(why, self._clock.now(), stage=Stage.FAILED)
            elif view.problem.transient or now > until:
                task.tell(why, self._clock.now())
            elif not self._steps.wait_undecided(task, why, run, rounds.policy):
                return


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


class Earlier:
    """Recalls stored results, so that a group is not judged without the members that ended before a restart."""

    def __init__(self, *, clock: Clock, results: Results) -> None:
        self._clock = clock
        self._results = results

    def recall(self, rounds: Rounds, run: RestoreRun) -> None:
        """Learn what has ended before this process; a store that is away is asked again in the next round."""
        if rounds.earlier is None:
            self._read(rounds, run)
        if rounds.earlier:
            for task in rounds.open_tasks():
                rounds.adopt(task, self._clock.now())

    def _read(self, rounds: Rounds, run: RestoreRun) -> None:
        if all(task.announced for task in rounds.tasks.values()):
            rounds.earlier = {}  # this process was there from the beginning
            return
        now = self._clock.monotonic()
        if rounds.results.lasts(now):
            return
        try:
            rounds.earlier = self._results.earlier(run)
        except VmServiceError as error:
            rounds.results.begin(error.message, now)
