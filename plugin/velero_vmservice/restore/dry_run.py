"""What a restore would do, without doing it.

The plan takes the looks and the course of a restore; the API server and its webhooks are asked by a server-side dry
run, so that what they would refuse is found before the day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from velero_vmservice.errors import AlreadyExists, NotFound, Rejected, VmServiceError
from velero_vmservice.kube.manifest import ObjectRef, compact_time
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.restore.model import Action, Step, expected_vms
from velero_vmservice.restore.replay.course import Course, Trial
from velero_vmservice.restore.replay.look import TargetNamespace
from velero_vmservice.restore.replay.operation import Cause, LooksUsed, Reading
from velero_vmservice.restore.replay.session import Session
from velero_vmservice.restore.source.backup_objects import identified
from velero_vmservice.restore.verify.application import would_lack
from velero_vmservice.restore.writer import Writer
from velero_vmservice.supervisor.readiness import STABLE_SECONDS
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero.runs import replay_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.model import Source, Subject
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.course import Deletions
    from velero_vmservice.restore.replay.look import Looking
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.turn import Turn
    from velero_vmservice.restore.source.load import Subjects
    from velero_vmservice.velero.runs import Replay, RestoreRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a restore would do with one object."""

    ref: ObjectRef
    step: Step
    source: Source | None = None
    """The object as read; None if it could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the API server says of one object, whether or not its VMs are there."""

    ref: ObjectRef
    """As it would be restored."""
    refused: VmServiceError | None = None
    """Why it would not be taken; None where it would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """The VMs that a restore's objects wait for."""

    machines: Mapping[str, Sequence[ExpectedVm]]
    """By the namespace that they come back in; each once, by name."""
    unread: tuple[str, ...] = ()
    """Objects that could not be read, so that their VMs are missing here, and why."""


def planned_vms(planned: Iterable[Planned]) -> Mapping[str, Sequence[ExpectedVm]]:
    """Return the VMs that planned objects need, by the namespace that they come back in; each once."""
    return _vms(entry.source.subject for entry in planned if entry.source is not None)


class Planning:
    """Plans restores."""

    def __init__(
        self, *, cluster: Cluster, clock: Clock, subjects: Subjects, looking: Looking, deletions: Deletions
    ) -> None:
        """Put together; `looking` MUST NOT call RegisterVM."""
        self._cluster = cluster
        self._clock = clock
        self._subjects = subjects
        self._looking = looking
        self._deletions = deletions

    def needed(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Needed:
        """Return the VMs that these objects wait for; raises what passes by itself."""
        read, unread = dict[ObjectRef, "Subject"](), dict[ObjectRef, VmServiceError]()
        for replay in replays:
            try:
                read[replay.destination] = self._subjects.read(replay, run, policy).subject
            except VmServiceError as error:
                if error.transient:
                    raise
                unread[replay.destination] = error
        return Needed(machines=_vms(read.values()), unread=tuple(f"{ref}: {error}" for ref, error in unread.items()))

    def plan(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Sequence[Planned]:
        """Return what would become of each object, in the order in which it would be done.

        It is what the first rounds of a restore come to that begins now: the same look, the same course, with every
        write tried without consequences. Where a VM has to be seen ready twice the plan takes as long as that.

        Raises what the cluster raises while it cannot be observed.
        """
        run = identified(replace(run, started=compact_time(self._clock.now().isoformat())))
        session, rehearsal = self._begun(replays, run, policy), Rehearsal(cluster=self._cluster)
        course = Course(hand=rehearsal, trial=Trial(self._cluster), deletions=self._deletions)
        self._look_and_decide(session, course, rehearsal)
        if session.settling():
            self._clock.sleep(STABLE_SECONDS)
            self._look_and_decide(session, course, rehearsal)
        lacking = _lacking(session.operations.values())
        return [
            Planned(
                ref=operation.replay.destination,
                step=rehearsal.step(operation).minding(lacking.get(operation.replay.destination, ())),
                source=operation.reading.source,
            )
            for operation in _in_order(session.operations.values())
        ]

    def tried(
        self,
        replays: Sequence[Replay],
        run: RestoreRun,
        policy: RestorePolicy,
        *,
        done: Callable[[], None] = lambda: None,
    ) -> Sequence[Tried]:
        """Try every object on the API server and its webhooks, without consequences and without waiting for VMs.

        What passes by itself is an answer too. `done` is called after each object.
        """
        writer, answers = Writer(self._cluster), list[Tried]()
        for replay in replays:
            refused: VmServiceError | None = None
            try:
                subject = self._subjects.read(replay, run, policy).subject
                if subject.problems:
                    raise Rejected("; ".join(subject.problems))
                writer.rehearse(subject, self._live(subject.ref))
            except VmServiceError as error:
                refused = error
            answers.append(Tried(ref=replay.destination, refused=refused))
            done()
        return answers

    def _live(self, ref: ObjectRef) -> Manifest | None:
        try:
            return self._cluster.get(ref)
        except NotFound:
            return None

    def _begun(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Session:
        """Return what a process remembers of a restore that has just begun and read its objects."""
        session = Session(run, self._clock)
        session.follow(policy)
        session.earlier = {}
        for replay in replays:
            operation = session.operation(replay_id(replay), replay)
            operation.announced = True
            try:
                operation.reading = Reading(source=self._subjects.read(replay, run, policy), current=True)
            except VmServiceError as error:
                if error.transient:
                    raise
                operation.trouble(error, stage=None if error.passing else Stage.FAILED)
        return session

    def _look_and_decide(self, session: Session, course: Course, rehearsal: Rehearsal) -> None:
        """Look at each namespace once, and decide until a further round would come to the same."""
        for name in session.targets():
            namespace = session.namespaces.setdefault(name, TargetNamespace(name))
            self._looking.look(namespace, session.open_in(name), session.for_restore(), until=float("inf"))
        before: list[tuple[Stage, str]] | None = None
        while before != (now := [(each.stage, each.standing.reason) for each in session.operations.values()]):
            before = now
            for operation in session.open():
                rehearsal.forget(operation)
            course.decide(session, float("inf"))


class Rehearsal:
    """The plan's `Hand`, which writes nothing: it tries each decision on the API server, and remembers it."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._writer = Writer(cluster)
        self._steps: dict[str, Step] = {}

    def take(self, turn: Turn, step: Step, *, replayed: bool) -> None:
        """Remember a decision; what a restore would write counts as there for what comes after it.

        Raises what the API server raises that passes by itself.
        """
        del replayed
        if step.action in (Action.CREATE, Action.UPDATE):
            step = self._tried(turn, step)
        turn.operation.take(step)
        self._steps[turn.operation.operation_id] = step
        refused = step.action in (Action.BLOCKED, Action.CONFLICT)
        reason = f"{step.action}: {step.reason}" if refused else step.reason  # as a restore words it
        turn.operation.tell(reason, stage=_stage(step))

    def step(self, operation: ReplayOperation) -> Step:
        """Return what was decided for an object; for one that others decide about, what holds it or has ended it."""
        if (step := self._steps.get(operation.operation_id)) is not None:
            return step
        last, standing, source = operation.decision, operation.standing, operation.reading.source
        return Step(
            action=Action.BLOCKED if standing.stage.final else Action.WAIT,
            reason=standing.reason,
            remedy=standing.remedy,
            warnings=last.warnings[len(source.remarks) if source else 0 :],
            missing=last.missing,
            differences=last.differences,
            final=standing.stage.final,
            gate_open=last.gate_open,
            ready=last.ready,
            total=last.total,
        )

    def forget(self, operation: ReplayOperation) -> None:
        """Decide about an object anew."""
        self._steps.pop(operation.operation_id, None)
        operation.looks = LooksUsed()

    def _tried(self, turn: Turn, step: Step) -> Step:
        try:
            self._writer.rehearse(turn.subject, turn.live)
        except (AlreadyExists, NotFound) as error:  # a restore looks again
            return replace(step, action=Action.WAIT, reason=error.message)
        except VmServiceError as error:
            if error.transient:
                raise
            action = Action.WAIT if error.mendable else Action.BLOCKED
            return replace(step, action=action, reason=str(error), remedy=error.remedy, final=not error.mendable)
        return step


def _vms(subjects: Iterable[Subject]) -> Mapping[str, Sequence[ExpectedVm]]:
    in_namespace: dict[str, list[Subject]] = {}
    for subject in subjects:
        in_namespace.setdefault(subject.ref.namespace, []).append(subject)
    return {name: expected_vms(in_namespace[name]) for name in sorted(in_namespace)}


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


def _lacking(operations: Collection[ReplayOperation]) -> Mapping[ObjectRef, tuple[str, ...]]:
    """Say of each group whose member groups come to nothing that it would be incomplete."""
    stages = {operation.replay.destination: operation.stage for operation in operations}
    subjects = (operation.subject for operation in operations)
    lacking = would_lack((subject for subject in subjects if subject is not None), stages)
    return {
        ref: (f"would be incomplete, for want of a whole {enumerate_some(list(map(str, members)))}",)
        for ref, members in lacking.items()
    }


def _in_order(operations: Iterable[ReplayOperation]) -> list[ReplayOperation]:
    """Sort: what could not be read, then what is to be done in its order; of two of one name the replayed one first."""
    known = list(operations)
    subjects = [operation.subject for operation in known if operation.subject is not None]
    ranks = {subject.ref: rank for rank, subject in enumerate(order.in_order(subjects))}

    def rank(operation: ReplayOperation) -> tuple[int, bool]:
        read = operation.subject is not None
        return ranks[operation.replay.destination] if read else -1, operation.standing.cause is Cause.TWIN

    return sorted(known, key=rank)
