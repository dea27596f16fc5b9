"""What a process remembers of one restore between two polls: its operations, and the namespaces it restores into."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import Incidents
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.restore.policy import RestorePolicy, for_restore
from velero_vmservice.restore.replay.operation import ReplayOperation
from velero_vmservice.restore.replay.transition_log import TransitionLog
from velero_vmservice.supervisor.readiness import STABLE_SECONDS
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero.runs import read_replay_id, replay_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.registervm.attempt import ForRestore
    from velero_vmservice.report.application import Part
    from velero_vmservice.report.model import Result
    from velero_vmservice.restore.replay.look import TargetNamespace
    from velero_vmservice.velero.actions import Progress
    from velero_vmservice.velero.runs import Replay, RestoreRun

LEARNING: Final = "learning what else this restore replays"
RECALLING: Final = "looking for an earlier process's results"
ROUND_SECONDS: Final = STABLE_SECONDS
"""An observation, and a failure to observe, serves every operation polled within this time."""

_FAILURES: Final = (Stage.FAILED, Stage.CANCELLED)
"""The stages that Velero gets as an error."""


@dataclass(slots=True)
class Absence:
    """A store that was away: it is not asked again in this round, so it costs one timeout and not one per object."""

    until: float = float("-inf")
    reason: str = ""

    def lasts(self, now: float) -> bool:
        return now < self.until

    def begin(self, reason: str, now: float) -> None:
        self.until, self.reason = now + ROUND_SECONDS, reason


@dataclass(slots=True)
class ResultStore:
    """The state of the store of the results."""

    absence: Absence = field(default_factory=Absence)
    refused_since: float | None = None
    """When it began to refuse results; None while it takes them."""
    patience: float = 0.0
    """For how long the last refusal lets an operation that has ended be held open, in seconds."""
    refusal_announced: bool = False
    """Whether an Event says that an operation ended without its result being stored."""
    mark_at: float = float("-inf")
    """When it is to be told next that the restore has begun; never again once it has been."""
    refusal_to_mark: str = ""
    """Why it did not take that; the log says so once."""
    offered_at: float = float("-inf")
    """When the owed results were last offered to it outside of a poll."""


class Session:
    """What this process remembers of one restore."""

    def __init__(self, run: RestoreRun, clock: Clock) -> None:
        self.lock = threading.Lock()
        self.run = run
        """The restore as of the last call."""
        self.clock = clock
        self.policy = RestorePolicy()
        """As the Restore said at the last poll."""
        self.policy_inputs: tuple[Mapping[str, str], str] | None = None
        """The annotations and the existingResourcePolicy that it was made of."""
        self.operations: dict[str, ReplayOperation] = {}
        self.namespaces: dict[str, TargetNamespace] = {}
        self.incidents = Incidents()
        self.captures = Absence()
        self.results = ResultStore()
        self.powered: dict[ObjectRef, float] = {}
        """What this process has asked to run, and when: no object is asked twice, even if it is switched off again."""
        self.earlier: Mapping[Part, Result] | None = None
        """What earlier processes of this restore have ended with; None while that is not known."""
        self.concluded = frozenset[str]()
        """The operations whose end this process has evaluated, but for those of applications that are under way."""
        self.reported = frozenset[str]()
        """The operations that were known when this process last saw a report of all of them."""
        self.stood_in: dict[str, tuple[str, ...]] = {}
        """The operations whose stand-ins are known, with the stand-ins that failed in an earlier process."""
        self.lacking_unknown: dict[str, str] = {}
        """Why it is not known what else an operation stands for, as of the last try to learn it."""
        self.waiting_announced = False
        self.logged = TransitionLog()

    def operation(self, operation_id: str, replay: Replay | None = None) -> ReplayOperation:
        """Return an operation, known from here on; raises `InvalidItem` for an id that is not ours.

        An object that another operation stands for, and that Velero asks about after all, goes on as it stands.
        """
        if (known := self.operations.get(operation_id)) is not None:
            return known
        replay = (replay or read_replay_id(operation_id)).without_item()
        stand_ins = (each for each in self.operations.values() if each.asked_with)
        if begun := next((each for each in stand_ins if _object(each.replay) == _object(replay)), None):
            del self.operations[begun.operation_id]
            operation = replace(begun, operation_id=operation_id, replay=replay, asked_with="")
        else:
            operation = ReplayOperation(
                operation_id=operation_id, replay=replay, clock=self.clock, started=self.clock.now()
            )
        self.operations[operation_id] = operation
        return operation

    def follow(self, policy: RestorePolicy) -> None:
        """Take over the policy; what was read under another is read again."""
        if policy != self.policy:
            self.policy = policy
            for operation in self.open():
                operation.reading = replace(operation.reading, current=False)

    def for_restore(self) -> ForRestore:
        """Return on whose behalf, and how, RegisterVM is called."""
        return for_restore(self.run, self.policy)

    def to_stand_in(self) -> list[ReplayOperation]:
        """Return the operations whose stand-ins are not known yet."""
        unknown = (each for each in self.operations.values() if each.operation_id not in self.stood_in)
        return [each for each in unknown if each.replay.lacking and each.asked_again]

    def stand_in(self, operation: ReplayOperation, captured: Iterable[Replay]) -> list[ReplayOperation]:
        """Let an operation stand for those captured objects that Velero asks nothing about, and return them.

        An object that ended before this process is left out: Velero does not ask about it again either.
        """
        known = {_object(each.replay) for each in self.operations.values()}
        lacking = [replay for replay in captured if _object(replay) not in known]
        ended = [(replay, self._ended_before(replay)) for replay in lacking]
        self.stood_in[operation.operation_id] = tuple(
            f"{end.label} {end.stage}: {end.reason}" for _, end in ended if end and end.stage in _FAILURES
        )
        begun = [self.operation(replay_id(replay), replay) for replay, end in ended if end is None]
        for each in begun:
            each.announced, each.asked_with = True, operation.operation_id
        return begun

    def _ended_before(self, replay: Replay) -> Result | None:
        """Return what an earlier process has ended with for an object of the backup."""
        result = (self.earlier or {}).get((replay.kind.name, replay.target, replay.name))
        return result if result and (result.source_namespace or result.namespace) == replay.namespace else None

    def asked_with(self, operation: ReplayOperation) -> list[ReplayOperation]:
        """Return the operations that this one stands for."""
        return [each for each in self.operations.values() if each.asked_with == operation.operation_id]

    def progress(self, operation: ReplayOperation) -> Progress:
        """Return the progress of an operation, and of those that it stands for."""
        own = operation.progress()
        if not operation.replay.lacking:
            return own
        if operation.operation_id not in self.stood_in:
            why = self.lacking_unknown.get(operation.operation_id, "")
            description = " | ".join(filter(None, (own.description, why)))
            return replace(own, completed=False, error="", description=description)
        others = self.asked_with(operation)
        waiting = _described(each for each in others if not each.over)
        failed = _described(each for each in others if each.stage in _FAILURES)
        failures = enumerate_some([*self.stood_in[operation.operation_id], *failed], most=3)
        over = own.completed and not waiting
        return replace(
            own,
            completed=over,
            error=" | ".join(filter(None, (own.error, failures))) if over else "",
            description=" | ".join(filter(None, (own.description, enumerate_some(waiting, most=3), failures))),
        )

    def open(self) -> list[ReplayOperation]:
        """Return the operations that are not over."""
        return [operation for operation in self.operations.values() if not operation.stage.final]

    def owed(self) -> list[ReplayOperation]:
        """Return the operations that Velero no longer asks about and that are not stored."""
        return [each for each in self.operations.values() if not each.asked_again and not each.kept.whole]

    def known(self) -> bool:
        """Say whether every operation of the restore is known, and every object that is to be replayed."""
        return self.all_asked() and not self.to_stand_in()

    def all_asked(self) -> bool:
        """Say whether Velero has asked about every operation of the restore.

        After a restart operations become known as Velero polls them, one after the other: once one is polled again,
        all the others have been.
        """
        operations = self.operations.values()
        return all(each.announced for each in operations) or any(each.polls > 1 for each in operations)

    def namespace(self, operation: ReplayOperation) -> TargetNamespace | None:
        """Return the namespace that an operation restores into, if it was looked at in this process."""
        return self.namespaces.get(operation.replay.target)

    def targets(self) -> list[str]:
        """Return the target namespaces of the open operations whose object is read."""
        return sorted({operation.replay.target for operation in self.open() if operation.subject is not None})

    def open_in(self, namespace: str) -> list[ReplayOperation]:
        """Return the open operations that go into a namespace."""
        return [operation for operation in self.open() if operation.replay.target == namespace]

    def in_order(self, namespace: str) -> list[ReplayOperation]:
        """Return the open operations of one target namespace in the order in which they are decided.

        What is to be written comes first, in plan order, then what is to be verified, members before their groups.
        """
        subjects = ((operation.subject, operation) for operation in self.open_in(namespace))
        by_ref = {subject.ref: (subject, operation) for subject, operation in subjects if subject is not None}
        in_order = [by_ref[subject.ref][1] for subject in order.in_order([subject for subject, _ in by_ref.values()])]
        to_write = [operation for operation in in_order if operation.stage is Stage.WAITING]
        return [*to_write, *(operation for operation in reversed(in_order) if operation.stage is not Stage.WAITING)]

    def twins(self, namespace: str) -> list[tuple[ReplayOperation, ReplayOperation]]:
        """Return the open operations whose objects have one name, as two namespaces are mapped into this one.

        Each is preceded by the one that goes on, which is the same for all of a name.
        """
        by_ref: dict[ObjectRef, ReplayOperation] = {}
        twins = []
        for operation in sorted(self.open_in(namespace), key=lambda operation: operation.replay.namespace):
            if operation.subject is not None:
                first = by_ref.setdefault(operation.subject.ref, operation)
                twins += [(first, operation)] if first is not operation else []
        return twins

    def settling(self) -> bool:
        """Say whether a VM that was seen ready has to be seen so once more."""
        needed = ((self.namespace(operation), operation.subject) for operation in self.open())
        return any(
            gate.settling
            for namespace, subject in needed
            if namespace is not None and subject is not None
            for gate in namespace.gates(subject).values()
        )

    def note(self) -> None:
        """Note what the last looks show of the VMs that open objects need."""
        for operation in self.open():
            subject, namespace = operation.subject, self.namespace(operation)
            if subject is None or namespace is None or operation.looks.noted == namespace.looked_at:
                continue
            try:
                namespace.note(subject)
            except Exception as error:  # noqa: BLE001 - logged; it is this object's own
                self.broke_down(operation, error)
            operation.looks = replace(operation.looks, noted=namespace.looked_at)

    def adopt(self, operation: ReplayOperation) -> None:
        """Take over the end of an operation that failed in an earlier process.

        A result is written once; a good one is worth another look and is not taken over.
        """
        result = self._ended_before(operation.replay)
        if result is not None and not operation.announced and Stage(result.stage).broken:
            operation.adopt(result)

    def broke_down(self, operation: ReplayOperation, error: Exception) -> None:
        """Record a defect of one object: the object is tried again, and fails if the defect lasts."""
        key, now = operation.operation_id, self.clock.monotonic()
        defect = self.incidents.met(key, str(operation.replay.destination), error, now=now)
        operation.decision = replace(operation.decision, gate_open=False)
        operation.trouble(defect, stage=Stage.FAILED if self.incidents.last(key, now=now) else None)

    def log_news(self) -> None:
        """Log what has changed since the last call."""
        operations, now = tuple(self.operations.values()), self.clock.monotonic()
        self.logged.follow(self.run, operations, self.namespaces, now=now)


def _described(operations: Iterable[ReplayOperation]) -> list[str]:
    return [f"{operation.replay.destination}: {operation.description()}" for operation in operations]


def _object(replay: Replay) -> tuple[ObjectRef, str]:
    """Return what identifies an object of a restore: two namespaces may be mapped into one."""
    return replay.source, replay.target
