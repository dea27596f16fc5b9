"""What a process remembers of one restore between two polls: its operations, the last look at each namespace."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.incidents import Incidents
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VMS_ALONE
from velero_vmservice.report.application import is_group
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.restore.model import Action, View
from velero_vmservice.restore.plan.decision import decide
from velero_vmservice.restore.plan.power import Powering
from velero_vmservice.restore.policy import RestorePolicy
from velero_vmservice.restore.replay.transition_log import TransitionLog
from velero_vmservice.supervisor.readiness import STABLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.report.application import Part
    from velero_vmservice.report.model import Result
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.look import NamespaceRound
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun

LEARNING: Final = "learning what else this restore replays"
RECALLING: Final = "looking for an earlier process's results"
_GATE_OPEN: Final = (Action.CREATE, Action.UPDATE, Action.SKIP)
"""What was decided for an object once all that it needs was there."""
_LOST: Final = {
    Stage.FAILED: "whose replay has failed",
    Stage.CANCELLED: "whose replay was cancelled",
    Stage.INCOMPLETE: "which is incomplete",
}
"""Why a group that this restore would power on is left off."""


class Rounds:
    """What this process remembers of one restore."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tasks: dict[str, ReplayOperation] = {}
        self.namespaces: dict[str, NamespaceRound] = {}
        self.run: RestoreRun | None = None
        """The restore as of the last call."""
        self.incidents = Incidents()
        self.captures = Absence()
        self.results = Absence()
        self.refused_since: float | None = None
        """When the store began to refuse results; None while it takes them."""
        self.patience = 0.0
        """For how long the last refusal lets an operation that has ended be held open, in seconds."""
        self.refusal_announced = False
        """Whether an Event says that an operation ended without its result being stored."""
        self.offered_at = float("-inf")
        """When what is owed was last offered to the store outside of a poll."""
        self.waiting_announced = False
        self.logged = TransitionLog()
        self.reported = frozenset[str]()
        """The operations that were known when this process last saw a report of all of them."""
        self.powered: dict[ObjectRef, float] = {}
        """What this process has asked to run, and when: no object is asked twice, even if it is switched off again."""
        self.concluded = frozenset[str]()
        """The operations whose end this process has drawn conclusions from, but for those of others under way."""
        self.earlier: Mapping[Part, Result] | None = None
        """What earlier processes of this restore have ended with; None while that is not known."""
        self.policy = RestorePolicy()
        """As the Restore said at the last poll."""

    def follow(self, policy: RestorePolicy) -> None:
        """Take over the policy; what was read under another is read again."""
        if policy != self.policy:
            self.policy = policy
            for task in self.open_tasks():
                task.subject = None

    def view(self, task: ReplayOperation, subject: Subject, run: RestoreRun, look: NamespaceRound) -> View:
        """Return what the decision for an object rests on; the look MUST have an observation."""
        if look.observed is None:
            raise ValueError("nothing was observed")
        return View(
            run=run,
            policy=self.policy,
            observed=look.observed,
            gates=look.gates(subject),
            pending=self.pending(task),
            stuck={item.subject.ref for item in self.open_tasks() if item.subject and not item.gate_open},
            cycles=look.cycles,
            written=task.written,
        )

    def groups(self, namespace: str) -> Mapping[str, Stage]:
        """Return how far each group of the restore has come in a namespace, whichever process has ended it."""
        results = (result for result in (self.earlier or {}).values() if is_group(result))
        earlier = {result.name: Stage(result.stage) for result in results if result.namespace == namespace}
        return earlier | {group.replay.name: group.stage for group in self._groups(namespace) if not group.twin}

    def adopt(self, task: ReplayOperation, now: datetime) -> None:
        """Take over how an earlier process has ended with an operation that came to nothing.

        A result is written once, and one that says that all is well is worth another look.
        """
        replay = task.replay
        before = (self.earlier or {}).get((replay.kind.name, replay.target, replay.name))
        source = replay.namespace if replay.namespace != replay.target else ""
        if before is None or task.announced or before.source_namespace != source:
            return
        if Stage(before.stage).broken:
            task.adopt(before, now)

    def coming(self, task: ReplayOperation) -> set[str]:
        """Return the names of the groups that are still to be replayed into a task's namespace."""
        return {
            group.replay.name
            for group in self._groups(task.replay.target)
            if group is not task and group.stage is Stage.WAITING
        }

    def settling(self) -> bool:
        """Say whether a VM was seen ready that has to be seen so once more."""
        subjects = [task.subject for task in self.open_tasks() if task.subject is not None]
        return any(
            gate.settling
            for subject in subjects
            if subject.ref.namespace in self.namespaces
            for gate in self.namespaces[subject.ref.namespace].gates(subject).values()
        )

    def open_tasks(self) -> list[ReplayOperation]:
        """Return the tasks that something is still to be done for."""
        return [task for task in self.tasks.values() if not task.stage.final]

    def targets(self) -> list[str]:
        """Return the namespaces that open tasks go into."""
        return sorted({task.replay.target for task in self.open_tasks()})

    def in_order(self, namespace: str, now: datetime) -> list[ReplayOperation]:
        """Return the open tasks of one target namespace in the order in which they are decided.

        What is to be written comes first, in plan order, then what is to be verified, members before their groups.
        Objects of two namespaces that are mapped into one may have one name: all but the first fail.
        """
        by_ref: dict[ObjectRef, ReplayOperation] = {}
        in_namespace = [task for task in self.open_tasks() if task.replay.target == namespace]
        for task in sorted(in_namespace, key=lambda task: task.replay.namespace):
            if task.subject is None:
                continue
            first = by_ref.setdefault(task.subject.ref, task)
            if first is not task:
                task.twin = True
                reason = f"namespace {first.replay.namespace} has one of that name, and both are mapped into"
                task.tell(f"{reason} {task.replay.target}", now, stage=Stage.FAILED)
        subjects = [task.subject for task in by_ref.values() if task.subject is not None]
        in_order = [by_ref[subject.ref] for subject in order.in_order(subjects)]
        to_write = [task for task in in_order if task.stage is Stage.WAITING]
        return [*to_write, *(task for task in reversed(in_order) if task.stage is not Stage.WAITING)]

    def broke_down(self, task: ReplayOperation, error: Exception, clock: Clock) -> None:
        """Record a defect of one object: the object is tried again, and fails if the defect lasts."""
        now = clock.monotonic()
        defect = self.incidents.met(task.operation_id, str(task.replay.destination), error, now=now)
        lasting, task.gate_open = self.incidents.last(task.operation_id, now=now), False
        task.trouble(defect, clock.now(), stage=Stage.FAILED if lasting else None)

    def owed(self) -> list[ReplayOperation]:
        """Return what is not stored of operations that Velero no longer asks about."""
        return [task for task in self.tasks.values() if not task.asked_again and not task.stored]

    def known(self) -> bool:
        """Say whether every operation of the restore is known.

        After a restart operations become known as Velero polls them, one after the other: once one is polled again,
        all the others have been.
        """
        tasks = self.tasks.values()
        return all(task.announced for task in tasks) or any(task.polls > 1 for task in tasks)

    def pending(self, but: ReplayOperation) -> list[Subject]:
        """Return the other objects that are not replayed yet."""
        return [
            task.subject
            for task in self.tasks.values()
            if task is not but and task.stage is Stage.WAITING and task.subject is not None
        ]

    def powering(self, task: ReplayOperation, run: RestoreRun, observed: NamespaceState) -> Powering:
        """Return what a power decision rests on: groups that came to nothing, or are left as they are, power no VM."""
        groups = {group.replay.name: group for group in self._groups(observed.namespace)}
        before = {
            result.name: result
            for result in (self.earlier or {}).values()
            if is_group(result) and result.namespace == observed.namespace and result.name not in groups
        }
        lost_before = {name: _LOST[Stage(ended.stage)] for name, ended in before.items() if Stage(ended.stage) in _LOST}
        return Powering(
            run=run,
            policy=self.policy,
            observed=observed,
            captured={
                name: group.before.power_state
                for name, group in groups.items()
                if group.before
                and group.stage is not Stage.RETAINED
                and not (group.stage.final and name not in observed.groups)
            }
            | {name: before[name].power_before for name in lost_before if name in observed.groups},
            coming=self.coming(task),
            under_way={name for name, group in groups.items() if not group.stage.final},
            lost=lost_before | {name: _LOST[group.stage] for name, group in groups.items() if group.stage in _LOST},
            asked={ref for ref, at in self.powered.items() if at < observed.at},
            absent={
                name: {member.name for member in group.subject.topology.members if not member.found}
                for name, group in groups.items()
                if group.subject
            },
        )

    def holds_back(self, task: ReplayOperation) -> str:
        """Say what is still unknown, or in strict mode shut, that has to be settled before a task's object; or ''."""
        return self.unknown(task) or (self._shut(task) if self.policy.mode == "strict" else "")

    def still_holds_back(self, task: ReplayOperation) -> bool:
        """Say whether what was held back is still only waited for, and not given up."""
        return not self.given_up() and bool(self.holds_back(task))

    def unknown(self, task: ReplayOperation) -> str:
        """Say what is still unknown of the other objects in a task's namespace, or ''.

        A group whose capture could not be read yet may be the parent of any object.
        """
        if not self.known():
            return LEARNING
        for open_task in self.open_tasks():
            unread = open_task.subject is None and open_task.replay.target == task.replay.target
            if unread and open_task.replay.kind == VIRTUAL_MACHINE_GROUP:
                return f"waits for the capture of {open_task.replay.destination}"
        return ""

    def judge_gates(self, run: RestoreRun) -> None:
        """Note which gates are open at the last looks: a strict restore creates nothing on an earlier one."""
        for task in self.open_tasks():
            look = self.namespaces.get(task.replay.target)
            if task.subject is None or look is None or look.observed is None:
                task.gate_open, task.judged_at = False, None
            elif task.judged_at != look.at:
                task.gate_open = self._gate_is_open(task, task.subject, run, look)
                task.judged_at = look.at

    def _gate_is_open(self, task: ReplayOperation, subject: Subject, run: RestoreRun, look: NamespaceRound) -> bool:
        if self.incidents.holds(task.operation_id):
            return False
        try:
            return decide(subject, self.view(task, subject, run, look)).gate_open
        except Exception:  # noqa: BLE001 - met, told and logged where the object is decided
            return False

    def _groups(self, namespace: str) -> list[ReplayOperation]:
        return [
            task
            for task in self.tasks.values()
            if task.replay.kind == VIRTUAL_MACHINE_GROUP and task.replay.target == namespace
        ]

    def _shut(self, task: ReplayOperation) -> str:
        """Say which other object keeps a strict restore from creating anything."""
        if self.earlier is None:
            return RECALLING
        for blocker in self.tasks.values():
            if (
                blocker is task
                or blocker.replay.kind == VMS_ALONE
                or blocker.gate_open
                or blocker.stage not in (Stage.WAITING, Stage.FAILED, Stage.CANCELLED)
            ):
                continue
            why = f"{blocker.stage}: {blocker.reason}"
            return f"the policy is mode=strict, and {blocker.replay.destination} is not ready ({why})"
        return ""

    def given_up(self) -> str:
        """Say for the sake of which object a strict restore creates nothing any more, or ''."""
        if self.policy.mode != "strict":
            return ""
        over = (Stage.FAILED, Stage.CANCELLED)
        objects = (task for task in self.tasks.values() if task.replay.kind != VMS_ALONE)
        lost = (item for item in objects if item.stage in over and not item.gate_open)
        if cause := next((task for task in lost if not task.given_up), None):
            return f"{cause.replay.destination} {cause.stage}: {cause.reason}"
        earlier = (result for result in (self.earlier or {}).values() if result.kind != VMS_ALONE.name)
        before = next((result for result in earlier if result.stage in over and result.action not in _GATE_OPEN), None)
        return f"{before.label} {before.stage}: {before.reason}" if before else ""


ROUND_SECONDS: Final = STABLE_SECONDS
"""An observation, and a failure to observe, serves every operation polled within this time."""


@dataclass(slots=True)
class Absence:
    """A store that was away: not asked again in this round, so that it costs one timeout and not one per object."""

    until: float = float("-inf")
    reason: str = ""

    def lasts(self, now: float) -> bool:
        return now < self.until

    def begin(self, reason: str, now: float) -> None:
        self.until, self.reason = now + ROUND_SECONDS, reason
