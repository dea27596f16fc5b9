"""What a restore would do, without doing it: the plan of a dry run, and the objects that the command line restores.

The plan takes the looks and the course of a restore; the API server and its webhooks are asked by a server-side dry
run, so that what they would refuse is found before the day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from velero_vmservice.errors import AlreadyExists, NotFound, NotRestorable, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, Manifest, ObjectRef, compact_time
from velero_vmservice.report.stage import Stage
from velero_vmservice.report.summary import left_out
from velero_vmservice.restore import order
from velero_vmservice.restore.model import Action, Step, expected_vms
from velero_vmservice.restore.replay.course import Course
from velero_vmservice.restore.replay.look import NamespaceRound
from velero_vmservice.restore.replay.operation import ReplayOperation
from velero_vmservice.restore.replay.session import Rounds
from velero_vmservice.restore.replay.writer import Writer
from velero_vmservice.restore.source import sealed_objects
from velero_vmservice.restore.verify.application import would_lack
from velero_vmservice.supervisor.readiness import STABLE_SECONDS
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero import selection
from velero_vmservice.velero.operation import replay_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.model import Source, Subject
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.guards import Deletions, Strict
    from velero_vmservice.restore.replay.look import Looking
    from velero_vmservice.restore.source.load import Subjects
    from velero_vmservice.restore.source.vms_alone import VmsAlone
    from velero_vmservice.velero.operation import Replay
    from velero_vmservice.velero.runs import RestoreRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would become of one object."""

    ref: ObjectRef
    step: Step
    source: Source | None = None
    """What was read of it; None if it could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """The VMs that a restore's objects wait for."""

    machines: Mapping[str, Sequence[ExpectedVm]]
    """By the namespace that they come back in; each once, by name."""
    unread: tuple[str, ...] = ()
    """Objects that could not be read, so that their VMs are missing here, and why."""


class Planning:
    """Plans restores."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Clock,
        restore_points: RestorePoints,
        subjects: Subjects,
        looking: Looking,
        strict: Strict,
        deletions: Deletions,
        vms: VmsAlone,
    ) -> None:
        """Put together; `looking` MUST NOT call RegisterVM."""
        self._cluster = cluster
        self._vms = vms
        self._clock = clock
        self._restore_points = restore_points
        self._subjects = subjects
        self._looking = looking
        self._strict = strict
        self._deletions = deletions

    def captured(self, run: RestoreRun, spec: Mapping[str, Any]) -> Sequence[Replay]:
        """Return what a restore with this spec replays of its backup's capture.

        An object whose capture is damaged or gone is among them: reading it fails then, and for this object alone.
        Raises `NotFound` when there is no backup, `NotRestorable` when it has no sound seal.
        """
        served = sealed_objects.served_resources(self._cluster, spec)
        seal, store = self._restore_points.seal(run), self._restore_points.store(run)
        self._vms.learn(run, seal)
        objects = sealed_objects.replays(seal, store, run, spec, served=served)
        return [*objects, *self._vms.replays(replace(run, spec=spec))]

    def replayed(self, run: RestoreRun, spec: Mapping[str, Any]) -> Sequence[Replay]:
        """Return the same for a command that needs an object; raises `NotRestorable` where nothing is replayed."""
        if replays := self.captured(run, spec):
            return replays
        raise NotRestorable(
            f"nothing of backup {run.backup} is to be replayed", hint="look at the restore's namespaces and resources"
        )

    def beyond(self, run: RestoreRun, replays: Iterable[Replay]) -> Sequence[str]:
        """Return the namespaces of these objects that the Backup does not include, in order.

        What is replayed without Velero's archive is what the seal lists, and anyone with write access to
        the bucket can write a seal. Only the Backup in the cluster says what was meant, as long as it is there.
        """
        namespaces = sorted({replay.namespace for replay in replays})
        try:
            spec = self._cluster.get(ObjectRef(BACKUP, run.namespace, run.backup)).spec
        except NotFound:
            return namespaces
        return [name for name in namespaces if not selection.includes_namespace(spec, name)]

    def not_in_backup(self, replays: Sequence[Replay], run: RestoreRun) -> Sequence[str]:
        """Return what the backup left out of the namespaces of these objects, in sentences."""
        seal = self._vms.seal(run)
        return tuple(left_out(seal, {replay.namespace for replay in replays})) if seal else ()

    def needed(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Needed:
        """Return the VMs that these objects wait for; raises what passes by itself."""
        sources, unread = self._read(replays, run, policy)
        subjects = [source.subject for source in sources.values()]
        namespaces = sorted({subject.ref.namespace for subject in subjects})
        vms = {
            name: expected_vms(subject for subject in subjects if subject.ref.namespace == name) for name in namespaces
        }
        return Needed(machines=vms, unread=tuple(f"{ref}: {error}" for ref, error in unread.items()))

    def plan(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Sequence[Planned]:
        """Return what would become of each object, in the order in which it would be done.

        It is what the first rounds of a restore come to that begins now: the same look, the same course, with every
        write tried without consequences. Where a VM has to be seen ready twice the plan takes as long as that.

        Raises what the cluster raises while it cannot be observed.
        """
        run = replace(run, started=compact_time(self._clock.now().isoformat()))
        rounds, rehearsal = self._begun(replays, run, policy), Rehearsal(cluster=self._cluster, clock=self._clock)
        course = Course(clock=self._clock, hand=rehearsal, strict=self._strict, deletions=self._deletions)
        self._look_and_decide(rounds, rehearsal, course, run)
        if rounds.settling():
            self._clock.sleep(STABLE_SECONDS)
            self._look_and_decide(rounds, rehearsal, course, run)
        lacking = _lacking(rounds.tasks.values())
        return [
            Planned(
                ref=task.replay.destination,
                step=rehearsal.step(task).minding(lacking.get(task.replay.destination, ())),
                source=task.source,
            )
            for task in _in_order(rounds.tasks.values())
        ]

    def _read(
        self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy
    ) -> tuple[dict[ObjectRef, Source], dict[ObjectRef, VmServiceError]]:
        """Read the objects; what cannot be read stands beside them, but for what passes by itself, which is raised."""
        sources, unread = dict[ObjectRef, "Source"](), dict[ObjectRef, VmServiceError]()
        for replay in replays:
            try:
                sources[replay.destination] = self._subjects.read(replay, run, policy)
            except VmServiceError as error:
                if error.transient:
                    raise
                unread[replay.destination] = error
        return sources, unread

    def _begun(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Rounds:
        """Return what a process remembers of a restore that has just begun and read its objects."""
        rounds = Rounds()
        rounds.follow(policy)
        rounds.earlier = {}
        for replay in replays:
            operation_id = replay_id(replay)
            task = ReplayOperation(operation_id=operation_id, replay=replay, started=self._clock.now(), announced=True)
            rounds.tasks[operation_id] = task
            try:
                task.read(self._subjects.read(replay, run, policy))
            except VmServiceError as error:
                if error.transient:
                    raise
                task.trouble(error, self._clock.now(), stage=None if error.passing else Stage.FAILED)
        return rounds

    def _look_and_decide(self, rounds: Rounds, rehearsal: Rehearsal, course: Course, run: RestoreRun) -> None:
        """Look at each namespace once, and decide until a further round would come to the same."""
        waiting = rounds.open_tasks()
        for namespace in sorted({task.replay.target for task in waiting if task.subject is not None}):
            view = rounds.namespaces.setdefault(namespace, NamespaceRound(at=float("-inf")))
            in_namespace = [task for task in waiting if task.replay.target == namespace]
            self._looking.look(view, namespace, in_namespace, run, until=float("inf"))
            view.at = self._clock.monotonic()
        before: list[tuple[Stage, str]] | None = None
        while before != (now := [(task.stage, task.reason) for task in rounds.tasks.values()]):
            before = now
            for task in rounds.open_tasks():
                rehearsal.forget(task)
            course.decide(rounds, run, float("inf"))


def _lacking(tasks: Collection[ReplayOperation]) -> Mapping[ObjectRef, tuple[str, ...]]:
    """Say of each group whose member groups come to nothing that it would be incomplete."""
    stages = {task.replay.destination: task.stage for task in tasks}
    lacking = would_lack((task.subject for task in tasks if task.subject is not None), stages)
    return {
        ref: (f"would be incomplete, for want of a whole {enumerate_some(list(map(str, members)))}",)
        for ref, members in lacking.items()
    }


def _in_order(tasks: Iterable[ReplayOperation]) -> list[ReplayOperation]:
    """Sort: what could not be read, then what is to be done in its order; of two of one name the replayed one first."""
    known = list(tasks)
    ranks = {
        subject.ref: rank for rank, subject in enumerate(order.in_order(task.subject for task in known if task.subject))
    }
    return sorted(known, key=lambda task: (ranks.get(task.replay.destination, -1) if task.subject else -1, task.twin))


def run_of(backup: str, *, namespace: str, mapping: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    """Return a Restore that is not in the cluster, for the plan of a backup."""
    return Manifest(
        {
            "apiVersion": "velero.io/v1",
            "kind": "Restore",
            "metadata": {"name": backup, "namespace": namespace, "annotations": dict(annotations)},
            "spec": {"backupName": backup, "namespaceMapping": dict(mapping)},
        }
    )


def resumed(run: RestoreRun, *, now: str) -> RestoreRun:
    """Return a restore's run that begins now: it leaves results of its own, and takes what is there as it is.

    It keeps the restore's UID, by which RegisterVM's attempts are found: no VM is registered a second time. A restore
    that Velero does not have gets one for the length of the run.
    """
    return replace(run, started=now, began=run.started, uid=run.uid or now, resumed=True)


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
            return replace(step, action=action, reason=str(error), remedy=error.remedy, final=not error.mendable)
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
