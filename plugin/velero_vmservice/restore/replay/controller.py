"""Advance the operations of a restore, round by round, as far as what is observed allows.

There is no background thread and no stored callback: Velero polls, and each poll is a step that may be the first
after a crash. One round observes each target namespace once; the polls of the other operations use the same look.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cachetools import TTLCache

from velero_vmservice.errors import InvalidSettings, VmServiceError
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import policy as restore_policy
from velero_vmservice.restore.plan import decision
from velero_vmservice.restore.replay.ending import Keeping, conclude
from velero_vmservice.restore.replay.look import TargetNamespace
from velero_vmservice.restore.replay.operation import Reading
from velero_vmservice.restore.replay.session import ROUND_SECONDS, Session
from velero_vmservice.restore.replay.turn import Turn
from velero_vmservice.velero.runs import RestoreRun, read_replay_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.clock import Clock
    from velero_vmservice.restore.policy import RestoreDefaults, RestorePolicy
    from velero_vmservice.restore.replay.course import Course
    from velero_vmservice.restore.replay.execute import Steps
    from velero_vmservice.restore.replay.look import Looking
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.results import Results
    from velero_vmservice.restore.source.load import Subjects
    from velero_vmservice.velero.actions import Progress
    from velero_vmservice.velero.runs import Replay

BUDGET_SECONDS: Final = 4.0
"""One Progress call begins nothing more after this long: Velero polls all waiting restores one after the other.

What it has begun is bounded by the timeouts of the adapters.
"""
LACKING_UNKNOWN: Final = "cannot tell which captured objects Velero's archive lacks"
REMEMBERED_RESTORES: Final = 64
REMEMBERED_SECONDS: Final = 24 * 3600.0


class Replays:
    """The replay of every restore that this process is asked about."""

    def __init__(
        self,
        *,
        clock: Clock,
        policy: RestoreDefaults,
        subjects: Subjects,
        steps: Steps,
        results: Results,
        looking: Looking,
        course: Course,
        can_register: bool,
    ) -> None:
        """Put together; `can_register` says whether RegisterVM can be called, where a restore asks for that."""
        self._clock = clock
        self._policy = policy
        self._subjects = subjects
        self._results = results
        self._steps = steps
        self._keeping = Keeping(results)
        self._looking = looking
        self._course = course
        self._can_register = can_register
        self._sessions: TTLCache[str, Session] = TTLCache(
            REMEMBERED_RESTORES, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def policy(self, run: RestoreRun) -> RestorePolicy:
        """Return the effective policy of a restore; raises `InvalidSettings`, naming what would be valid."""
        return restore_policy.effective(
            self._policy, run.annotations, run.existing_resource_policy, can_register=self._can_register
        )

    def announce(self, operation_id: str, replay: Replay, run: RestoreRun) -> None:
        """Make an operation known before Velero polls it, so that the first round can keep the order."""
        session = self._session(run)
        with session.lock:
            session.operation(operation_id, replay).announced = True
            if not session.logged.begun:
                with suppress(InvalidSettings):  # each poll says so until the annotation is mended, and logs it then
                    session.logged.begins(session.run, self.policy(session.run), executed=not session.run.resumed)

    def progress(self, operation_id: str, restore: Mapping[str, Any]) -> Progress:
        """Advance every known operation of the restore and report on one.

        A transient fault is a description, never an error; only an id that is not ours raises `InvalidItem`.
        """
        session = self._session(RestoreRun.read(Manifest.read(dict(restore))))
        with session.lock:
            operation = session.operation(operation_id)
            operation.polls += 1
            self._advance(session)
            for each in (operation, *session.asked_with(operation)):
                self._keeping.keep(session, each)
            return session.progress(operation)

    def advance(self, run: RestoreRun) -> Sequence[ReplayOperation]:
        """Do what one round of polls does, without Velero; return every operation as it is now."""
        session = self._session(run)
        with session.lock:
            for operation in session.operations.values():
                operation.polls += 1
            self._advance(session)
            for operation in tuple(session.operations.values()):
                self._keeping.keep(session, operation)
            return tuple(session.operations.values())

    def cancel(self, operation_id: str, restore: Mapping[str, Any]) -> None:
        """Stop an operation, and keep what it was waiting for as its result; nothing is created after this returns.

        Velero does not poll it again. After a restart, Cancel may be the first call about it that this process gets.
        """
        session = self._session(RestoreRun.read(Manifest.read(dict(restore))))
        with session.lock:
            operation = session.operation(operation_id)
            if not operation.stage.final:
                try:
                    self._learn(session, operation)
                except Exception as error:  # noqa: BLE001 - logged; whatever is known of it, it ends here
                    session.broke_down(operation, error)
            self._keeping.cancel(session, (operation, *session.asked_with(operation)))

    def settle(self) -> None:
        """Store what is still owed for restores that Velero no longer polls; never raises.

        Called whenever a process that Velero launched is over, which it is after each round of polls, each backup and
        each restore: outside of any call, so that a store that hangs delays none.
        """
        with self._lock:
            known = [self._sessions.get(key) for key in list(self._sessions)]
        for session in known:
            if session is None or not session.lock.acquire(blocking=False):
                continue  # it is being polled, and the poll does the same
            try:
                if session.owed():
                    self._session(session.run)  # what owes something is not forgotten
                    self._keeping.keep_owed_at_leisure(session)
            finally:
                session.lock.release()

    def owes_results(self) -> bool:
        """Say whether `settle` has still something to store."""
        with self._lock:
            return any(session.owed() for session in self._sessions.values())

    def _session(self, run: RestoreRun) -> Session:
        """Return what is remembered of a restore; the time for which it is counts from here anew."""
        with self._lock:
            session = self._sessions[run.key] = self._sessions.get(run.key) or Session(run, self._clock)
            session.run = run
            return session

    def _follow(self, session: Session) -> None:
        """Take over the policy where the Restore asks for another than at the last poll; raises `InvalidSettings`."""
        inputs = session.run.annotations, session.run.existing_resource_policy
        if session.policy_inputs != inputs:
            session.follow(self.policy(session.run))
            session.policy_inputs = inputs

    def _learn(self, session: Session, operation: ReplayOperation) -> None:
        """Find out where an object stands that this process has not decided yet; nothing is written."""
        if operation.decision.action:
            return
        try:
            if (result := self._results.stored(session, operation)) is not None:
                operation.tell(result.reason, stage=Stage(result.stage))
                return
            self._follow(session)
        except VmServiceError as error:
            operation.tell(str(error))
            return
        until = self._clock.monotonic() + BUDGET_SECONDS
        self._read(session, until)
        self._look(session, until)
        turn = Turn.of(session, operation)
        if turn is None or operation.stage.final:
            return
        turn.namespace.note(turn.subject)
        view = turn.view()
        step, replayed = decision.decide(turn.subject, view), decision.is_replayed(turn.subject, view)
        operation.made = replace(operation.made, replayed=replayed)
        operation.take(step)
        operation.tell(step.reason or ("replayed, and not verified yet" if replayed else "every VM is ready"))

    def _advance(self, session: Session) -> None:
        """Take the steps of one round; each goes as far as it can until the call's time is over."""
        until = self._clock.monotonic() + BUDGET_SECONDS
        try:
            self._follow(session)
        except InvalidSettings as error:  # the annotations were changed while it waits, and may be mended again
            for operation in session.open():
                operation.tell(str(error))
            session.log_news()
            return
        session.logged.begins(session.run, session.policy, executed=False)
        self._results.recall(session)
        self._results.mark(session)
        self._stand_in(session)
        for step in (self._read, self._look, self._steps.wait_blind, self._course.decide):
            step(session, until)
        conclude(session)
        session.log_news()
        self._results.announce_waiting(session)

    def _stand_in(self, session: Session) -> None:
        """Learn which captured objects Velero asks nothing about, once all that it asks about is known."""
        if not session.all_asked() or session.earlier is None or session.captures.lasts(self._clock.monotonic()):
            return
        for operation in session.to_stand_in():
            try:
                captured = self._subjects.captured(operation.replay.namespace, session.run)
            except VmServiceError as error:
                if error.transient:
                    session.captures.begin(str(error), self._clock.monotonic())
                    return
                why, waits = str(error), error.mendable and not operation.replay.unread
            except Exception as error:  # noqa: BLE001 - logged; the objects that Velero asks about go on
                key, now = f"{LACKING_UNKNOWN} {operation.operation_id}", self._clock.monotonic()
                about = f"what Velero's archive lacks of namespace {operation.replay.namespace}"
                why = str(session.incidents.met(key, about, error, now=now))
                waits = not session.incidents.last(key, now=now)
            else:
                session.logged.stands_in(session.stand_in(operation, captured))
                continue
            session.lacking_unknown[operation.operation_id] = f"{LACKING_UNKNOWN}: {why}"
            if not waits:
                session.stood_in[operation.operation_id] = (f"{LACKING_UNKNOWN}: {why}",)

    def _read(self, session: Session, until: float) -> None:
        """Read what is not read yet; a store that is away, or denies, is asked once a round and not for each object."""
        unread = [operation for operation in session.open() if operation.subject is None]
        denial: VmServiceError | None = None
        for operation in sorted(unread, key=lambda each: each.reading.tried_at):  # one that is denied keeps no other
            now = self._clock.monotonic()
            if not session.captures.lasts(now):
                if now > until:
                    return
                operation.reading = replace(operation.reading, tried_at=now)
                if self._read_one(session, operation):
                    continue
                denial = operation.standing.denial
            elif denial is not None:
                operation.deny(denial)
            why = operation.reading.failure or session.captures.reason
            if not self._steps.wait_undecided(session, operation, why):
                return

    def _read_one(self, session: Session, operation: ReplayOperation) -> bool:
        """Read one object; say whether that is settled, else it is waited for."""
        try:
            replay = read_replay_id(operation.operation_id)
            source = self._subjects.read(replay, session.run, session.policy)
        except VmServiceError as error:
            operation.trouble(error, stage=None if error.passing else Stage.FAILED)
            if not error.passing:
                return True
            operation.reading = replace(operation.reading, failure=str(error))
            session.captures.begin(str(error), self._clock.monotonic())
            return False
        except Exception as error:  # noqa: BLE001 - logged; it is this object's own and the others are read
            session.broke_down(operation, error)
            return True
        operation.reading = Reading(source=source, current=True)
        session.incidents.over(operation.operation_id)
        return True

    def _look(self, session: Session, until: float) -> None:
        """Look at each namespace that the last look at is older than a round."""
        targets = [session.namespaces.setdefault(name, TargetNamespace(name)) for name in session.targets()]
        for namespace in sorted(targets, key=lambda target: target.looked_at):  # none starves another
            now = self._clock.monotonic()
            if now - namespace.looked_at < ROUND_SECONDS:
                continue
            if now >= until:
                return
            name = namespace.name
            try:
                self._looking.look(namespace, session.open_in(name), session.for_restore(), until=until)
            except VmServiceError as error:
                namespace.hide(error, self._clock.monotonic())
            except Exception as error:  # noqa: BLE001 - logged; the other namespaces are looked at
                defect = session.incidents.met(name, f"namespace {name}", error, now=now)
                namespace.hide(defect, self._clock.monotonic())
                continue
            session.incidents.over(name)
