"""What a restore would do, without doing it: the plan of a dry run, and the objects that the command line restores.

The same decisions as in a restore, on one look at the cluster; the API server and its webhooks are asked by a
server-side dry run, so that what they would refuse is found before the day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from velero_vmservice.core import order, plan, selection
from velero_vmservice.core.archive import Capture, Seal
from velero_vmservice.core.errors import InvalidItem, NotFound, NotRestorable, Rejected, VmServiceError
from velero_vmservice.core.manifest import CAPTURED_KINDS, Manifest, ObjectRef
from velero_vmservice.core.operation import Replay
from velero_vmservice.core.plan import Action, Step, Subject, View
from velero_vmservice.core.readiness import gate
from velero_vmservice.core.references import referred_kinds
from velero_vmservice.flows import documents, observe
from velero_vmservice.flows.registering import wanted
from velero_vmservice.flows.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.core.observation import Observation
    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.ports import Clock, Cluster
    from velero_vmservice.core.registration import Wanted
    from velero_vmservice.core.restore_policy import RestorePolicy
    from velero_vmservice.flows.restore_point import RestorePoints
    from velero_vmservice.flows.subjects import Source, Subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would become of one object."""

    ref: ObjectRef
    step: Step
    source: Source | None = None
    """What was read of it; None if it could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """The machines that a restore's objects wait for."""

    machines: Mapping[str, Sequence[Wanted]]
    """By the namespace that they come back in; each once, by name."""
    unread: tuple[str, ...] = ()
    """Objects that could not be read, so that their machines are missing here, and why."""


class Planning:
    """Plans restores."""

    def __init__(self, *, cluster: Cluster, clock: Clock, restore_points: RestorePoints, subjects: Subjects) -> None:
        self._cluster = cluster
        self._clock = clock
        self._restore_points = restore_points
        self._subjects = subjects
        self._writer = Writer(cluster)

    def captured(self, run: RestoreRun, spec: Mapping[str, Any]) -> Sequence[Replay]:
        """Return what a restore with this spec replays of its backup's capture.

        Raises `NotFound` when the backup, or a capture of it, is not there, `NotRestorable` when it has no seal.
        """
        backup, store = self._restore_points.backup(run), self._restore_points.store(run)
        try:
            seal = documents.read(store, backup.seal_key, Seal)
        except NotFound as error:
            raise NotRestorable(
                f"Backup {backup.name} has no sealed capture",
                hint="it was taken without this plugin, held neither groups nor services, or died: take another one",
            ) from error
        found = []
        for sealed in seal.objects:
            capture = documents.read(store, sealed.key, Capture, sha256=sealed.sha256)
            kind = next((one for one in CAPTURED_KINDS if one.name == capture.kind), None)
            if kind is None:
                raise InvalidItem(f"{sealed.key} is of the kind {capture.kind}", hint="it is of another release")
            ref = ObjectRef(kind, capture.namespace, capture.name)
            if selection.selected(spec, ref, Manifest(capture.manifest).labels):
                target = run.target(capture.namespace)
                found.append(
                    Replay(
                        plural=kind.plural,
                        namespace=capture.namespace,
                        target=target,
                        name=capture.name,
                        key=sealed.key,
                        sha256=sealed.sha256,
                    )
                )
        return found

    def replayed(self, run: RestoreRun, spec: Mapping[str, Any]) -> Sequence[Replay]:
        """Return the same for a command that is about something; raises `NotRestorable` where nothing is replayed."""
        if found := self.captured(run, spec):
            return found
        raise NotRestorable(
            f"nothing of backup {run.backup} is to be replayed", hint="look at the restore's namespaces and resources"
        )

    def needed(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Needed:
        """Return the machines that these objects wait for; raises what passes by itself."""
        sources, unread = self._read(replays, run, policy)
        subjects = [source.subject for source in sources.values()]
        namespaces = sorted({one.ref.namespace for one in subjects})
        machines = {name: wanted(one for one in subjects if one.ref.namespace == name) for name in namespaces}
        return Needed(machines=machines, unread=tuple(f"{ref}: {error}" for ref, error in unread.items()))

    def plan(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> Sequence[Planned]:
        """Return what would become of each object, in the order in which it would be done.

        Raises what the cluster raises while it cannot be observed.
        """
        sources, errors = self._read(replays, run, policy)
        unread = [
            Planned(ref=ref, step=Step(action=Action.BLOCKED, reason=str(error), final=True))
            for ref, error in errors.items()
        ]
        subjects = [source.subject for source in sources.values()]
        looks = {name: self._look(name, subjects) for name in sorted({one.ref.namespace for one in subjects})}
        planned = list(self._steps(subjects, looks, run, policy))
        return [*unread, *(Planned(ref=ref, step=step, source=sources[ref]) for ref, step in planned)]

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

    def _look(self, namespace: str, subjects: Sequence[Subject]) -> Observation:
        here = [one for one in subjects if one.ref.namespace == namespace]
        named = {kind for one in here for kind in referred_kinds(one.topology.machines)}
        present = observe.referred(self._cluster, namespace, sorted(named))
        names = {one.ref.name for one in here}
        return observe.look(self._cluster, self._clock, namespace, services=names, present=present)

    def _steps(
        self, subjects: Sequence[Subject], looks: Mapping[str, Observation], run: RestoreRun, policy: RestorePolicy
    ) -> Iterator[tuple[ObjectRef, Step]]:
        """Decide in plan order; what would be created counts as there for what comes after it."""
        cycles = {name: order.cycles(subjects, look) for name, look in looks.items()}
        waiting, stuck = list[Subject](), set[ObjectRef]()
        for subject in order.in_order(subjects):
            look = looks[subject.ref.namespace]
            facts = {one.name: one for one in subject.topology.machines}
            gates = {
                name: gate(look.machines.get(name), facts.get(name), look.volumes) for name in subject.topology.needs
            }
            view = View(
                run=run,
                policy=policy,
                observed=look,
                gates=gates,
                pending=waiting,
                stuck=stuck,
                cycles=cycles[subject.ref.namespace],
            )
            step = self._rehearsed(subject, plan.decide(subject, view), look)
            if step.action is Action.WAIT or (step.action is Action.BLOCKED and not step.final):
                waiting.append(subject)
                if not step.gate_open:
                    stuck.add(subject.ref)
            yield subject.ref, step

    def _rehearsed(self, subject: Subject, step: Step, look: Observation) -> Step:
        if step.action not in (Action.CREATE, Action.UPDATE):
            return step
        try:
            self._writer.rehearse(subject, look.live(subject.ref))
        except Rejected as error:
            return replace(step, action=Action.BLOCKED, reason=str(error), final=True)
        except NotFound as error:
            return replace(step, action=Action.WAIT, reason=error.message)
        return step


def run_of(backup: str, *, namespace: str, mapping: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    """Return a Restore that nobody has made, for a plan of a backup."""
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
    return replace(run, started=now, uid=run.uid or now, resumed=True)
