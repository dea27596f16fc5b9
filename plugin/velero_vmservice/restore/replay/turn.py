"""One object of a restore in its turn: the grounds of its decision and of every step that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP
from velero_vmservice.report.application import is_group
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import View
from velero_vmservice.restore.plan.power import Powering
from velero_vmservice.restore.replay.operation import Cause
from velero_vmservice.restore.replay.session import LEARNING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.report.model import Result
    from velero_vmservice.restore.model import Source, Subject
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.look import NamespaceLook, TargetNamespace
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.session import Session
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun

_LOST: Final = {
    Stage.FAILED: "whose replay has failed",
    Stage.CANCELLED: "whose replay was cancelled",
    Stage.INCOMPLETE: "which is incomplete",
}
"""Why a group that this restore would power on is left off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An operation whose object is read, and the last look at its namespace."""

    session: Session
    operation: ReplayOperation
    source: Source
    namespace: TargetNamespace
    look: NamespaceLook

    @classmethod
    def of(cls, session: Session, operation: ReplayOperation) -> Turn | None:
        """Return an operation's turn; None while its object is not read, or its namespace cannot be observed."""
        source, namespace = operation.reading.source, session.namespace(operation)
        if operation.subject is None or source is None or namespace is None or namespace.look is None:
            return None
        return cls(session=session, operation=operation, source=source, namespace=namespace, look=namespace.look)

    @property
    def run(self) -> RestoreRun:
        return self.session.run

    @property
    def policy(self) -> RestorePolicy:
        return self.session.policy

    @property
    def subject(self) -> Subject:
        return self.source.subject

    @property
    def observed(self) -> NamespaceState:
        return self.look.observed

    @property
    def live(self) -> Manifest | None:
        """The object as it is in the cluster."""
        return self.observed.live(self.subject.ref)

    def view(self) -> View:
        """Return what the decision for the object rests on."""
        others = [operation for operation in self.session.operations.values() if operation is not self.operation]
        return View(
            run=self.run,
            policy=self.policy,
            observed=self.observed,
            gates=self.namespace.gates(self.subject),
            pending=[other.subject for other in others if other.stage is Stage.WAITING and other.subject is not None],
            stuck={
                operation.subject.ref
                for operation in self.session.open()
                if operation.subject and not operation.decision.gate_open
            },
            cycles=self.look.cycles,
            written=self.operation.made.written,
        )

    def _groups(self) -> list[ReplayOperation]:
        """Return the operations of the namespace's groups."""
        groups = (each for each in self.session.operations.values() if each.replay.kind == VIRTUAL_MACHINE_GROUP)
        return [each for each in groups if each.replay.target == self.namespace.name]

    def _earlier_groups(self) -> dict[str, Result]:
        """Return how earlier processes have ended with groups of the namespace, by name."""
        results = (result for result in (self.session.earlier or {}).values() if is_group(result))
        return {result.name: result for result in results if result.namespace == self.namespace.name}

    def group_stages(self) -> Mapping[str, Stage]:
        """Return the stage of each group of the restore in the namespace, whichever process has ended it."""
        earlier = {group: Stage(result.stage) for group, result in self._earlier_groups().items()}
        return earlier | {
            group.replay.name: group.stage for group in self._groups() if group.standing.cause is not Cause.TWIN
        }

    def powering(self) -> Powering:
        """Return the grounds of a power decision: groups that failed, or are left as they are, power no VM."""
        live_groups, operations = self.observed.groups, self._groups()
        groups = {operation.replay.name: operation for operation in operations}
        sources = {group: operation.reading.source for group, operation in groups.items()}
        earlier = {group: result for group, result in self._earlier_groups().items() if group not in groups}
        lost_before = {
            group: _LOST[Stage(result.stage)] for group, result in earlier.items() if Stage(result.stage) in _LOST
        }
        return Powering(
            run=self.run,
            policy=self.policy,
            observed=self.observed,
            captured={
                group: source.before.power_state
                for group, source in sources.items()
                if source
                and groups[group].stage is not Stage.RETAINED
                and not (groups[group].stage.final and group not in live_groups)
            }
            | {group: earlier[group].power_before for group in lost_before if group in live_groups},
            coming={
                operation.replay.name
                for operation in operations
                if operation is not self.operation and operation.stage is Stage.WAITING
            },
            under_way={group for group, operation in groups.items() if not operation.stage.final},
            lost=lost_before
            | {group: _LOST[operation.stage] for group, operation in groups.items() if operation.stage in _LOST},
            power_requested={ref for ref, at in self.session.powered.items() if at < self.observed.at},
            absent={
                group: {member.name for member in operation.subject.topology.members if not member.found}
                for group, operation in groups.items()
                if operation.subject
            },
        )

    def unknown(self) -> str:
        """Return what is still unknown of the other objects in the namespace, or ''.

        A group whose capture could not be read yet may be the parent of any object.
        """
        if not self.session.known():
            return LEARNING
        for operation in self.session.open_in(self.namespace.name):
            if operation.subject is None and operation.replay.kind == VIRTUAL_MACHINE_GROUP:
                return f"waits for the capture of {operation.replay.destination}"
        return ""
