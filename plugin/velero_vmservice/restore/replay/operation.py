"""The memory of one operation between two polls. All of it can be lost: the next poll works it out again."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import NO_REMEDY, Remedy
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.replay.kept import Kept
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero.actions import Progress

if TYPE_CHECKING:
    from datetime import datetime

    from velero_vmservice.clock import Clock
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.report.model import Result
    from velero_vmservice.restore.model import Difference, Source, Step, Subject
    from velero_vmservice.restore.verify.application import Verification
    from velero_vmservice.velero.runs import Replay
    from velero_vmservice.vmoperator.references import MissingReference

TIMELINE_LENGTH: Final = 50
_NEVER: Final = float("-inf")


class Cause(Enum):
    """Why an operation failed."""

    OWN = auto()
    TWIN = auto()
    """Another object of the restore has its name, from a namespace that is mapped into the same one."""
    STRICT = auto()
    """Another object failed, and a strict restore is replayed whole or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of the object, and the last try to read it."""

    source: Source | None = None
    current: bool = False
    """Whether it was read under the restore's policy as it is now."""
    tried_at: float = _NEVER
    failure: str = ""
    """Why the last try failed: its own reason, which does not change with the next object that is read."""
    acceptable: bool = False
    """Whether a dry run found nothing against the object while its VMs were waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was last decided for the object."""

    action: str = ""
    """'' until this process has decided."""
    gate_open: bool = False
    ready: int = 0
    total: int = 0
    warnings: tuple[str, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    """What its VMs refer to and is not there."""
    differences: tuple[Difference, ...] = ()

    @property
    def to_mind(self) -> tuple[str, ...]:
        """All warnings, as sentences."""
        return (*self.warnings, *(reference.message for reference in self.missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class LooksUsed:
    """The looks at the target namespace, by their time, on which each step was taken."""

    noted: float = _NEVER
    """The look whose VMs were noted."""
    decided: float = _NEVER
    held: float = _NEVER
    """The look on which other objects held the object back."""
    judged: float = _NEVER
    """The look on which a strict restore judged the object's gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of the object in the cluster."""

    written: bool = False
    """Whether this process has created or updated it."""
    replayed: bool = False
    """Whether this restore has, as far as this process has done or seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of the object, as reported to Velero."""

    stage: Stage = Stage.WAITING
    since: datetime | None = None
    """When the stage began; None for the first."""
    reason: str = "looking for the VMs"
    remedy: Remedy = NO_REMEDY
    """What a person should do if it ends so."""
    denial: VmServiceError | None = None
    """The missing right or setting that it waits for, which no time brings."""
    held_by: tuple[ObjectRef, ...] = ()
    """The VMs and objects that it waits for, as the last decision says."""
    updated: datetime | None = None
    cause: Cause = Cause.OWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What the last comparison with the live object showed, and what follows from it."""

    verification: Verification | None = None
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    """The commands that power its application on, where it was the last object of that to end."""


@dataclass(slots=True, kw_only=True)
class ReplayOperation:
    """One operation of a restore: what is known of it, each part replaced as a whole by the step that learns more."""

    operation_id: str
    replay: Replay
    """Without the item, which is read from the id when it is asked for."""
    clock: Clock
    started: datetime
    announced: bool = False
    """Whether Execute announced it in this process; else the first poll did."""
    polls: int = 0
    asked_again: bool = True
    """Whether Velero will ask about it again, which it does not after Cancel."""
    asked_with: str = ""
    """The operation with which Velero asks about it: its object is not in Velero's archive."""
    reading: Reading = field(default_factory=Reading)
    looks: LooksUsed = field(default_factory=LooksUsed)
    decision: Decision = field(default_factory=Decision)
    made: Made = field(default_factory=Made)
    standing: Standing = field(default_factory=Standing)
    timeline: tuple[tuple[str, str], ...] = ()
    """When its state changed, and to what."""
    verified: Verified = field(default_factory=Verified)
    probes: dict[tuple[str, int], str] = field(default_factory=dict)
    """Load balancer address and port, and why it does not answer; '' once it has."""
    kept: Kept = field(default_factory=Kept)

    @property
    def subject(self) -> Subject | None:
        """The object to replay; None until it is read under the present policy."""
        return self.reading.source.subject if self.reading.source and self.reading.current else None

    @property
    def stage(self) -> Stage:
        return self.standing.stage

    @property
    def over(self) -> bool:
        """Whether the operation has ended for Velero: stored, or not waited for any more."""
        return self.stage.final and (self.kept.whole or not self.asked_again)

    def take(self, step: Step) -> None:
        """Remember a decision; that nothing is left to do takes nothing from what was decided before."""
        last, remarks = self.decision, self.reading.source.remarks if self.reading.source else ()
        idle = step.action is Action.SKIP
        self.decision = Decision(
            action=last.action if idle and self.made.written else step.action,
            gate_open=step.gate_open,
            ready=step.ready,
            total=step.total,
            warnings=(*remarks, *step.warnings),
            missing=step.missing,
            differences=last.differences if idle and not step.differences else step.differences,
        )
        self.standing = replace(self.standing, remedy=step.remedy, denial=step.denial, held_by=step.held_by)

    def adopt(self, result: Result) -> None:
        """End as an earlier process has ended with the operation."""
        self.decision = replace(self.decision, action=result.action, warnings=result.warnings)
        self.made = replace(self.made, replayed=result.replayed)
        self.kept = replace(self.kept, elsewhere=True)
        self.verified = replace(self.verified, notes=result.notes, commands=result.next_commands)
        self.tell(result.reason, stage=Stage(result.stage))
        self.advise(Remedy(" ".join(result.remedy), result.remedy_said))

    def give_time(self) -> None:
        """Let the stage's deadline count from now: what it waits for is this restore's own to do."""
        self.standing = replace(self.standing, since=self.clock.now())

    def tell(self, reason: str, *, stage: Stage | None = None) -> None:
        """Remember the object's state as a sentence; a change is kept in the timeline.

        Without a change the time stays too, so that Velero need not store its list of operations at every poll.
        """
        last, now = self.standing, self.clock.now()
        stage = stage or last.stage
        if (stage, reason) == (last.stage, last.reason):
            return
        since = last.since if stage == last.stage else now
        self.standing = replace(last, stage=stage, since=since, reason=reason, updated=now)
        if len(self.timeline) < TIMELINE_LENGTH:
            self.timeline = (*self.timeline, (now.isoformat(), f"{stage}: {reason}"))

    def fail(self, reason: str, cause: Cause = Cause.OWN) -> None:
        """End the operation as failed."""
        self.tell(reason, stage=Stage.FAILED)
        self.standing = replace(self.standing, cause=cause)

    def advise(self, remedy: Remedy) -> None:
        """Remember what a person should do if it ends so."""
        self.standing = replace(self.standing, remedy=remedy)

    def trouble(self, error: VmServiceError, *, stage: Stage | None = None) -> None:
        """Remember a product error, and what its hint says to do."""
        self.tell(str(error), stage=stage)
        self.standing = replace(self.standing, remedy=error.remedy, held_by=())
        self.deny(error)

    def deny(self, error: VmServiceError) -> None:
        """Remember an error that keeps the operation waiting, if a person has to act before it passes.

        It is a copy, as the raised error would keep all that its round has seen in memory.
        """
        self.standing = replace(self.standing, denial=copy(error) if error.mendable else None)

    def progress(self) -> Progress:
        """Return what `velero restore describe --details` shows."""
        failed = self.stage in (Stage.FAILED, Stage.CANCELLED)
        total, replayed = self.decision.total, not failed and self.stage is not Stage.WAITING
        return Progress(
            completed=self.over,
            error=self._error() if self.over and failed else "",
            done=self.decision.ready if total else int(replayed),
            total=total or 1,
            units="VMs" if total else "object",
            description=self.description(),
            started=self.started,
            updated=self.standing.updated,
        )

    def _error(self) -> str:
        """Return why it failed, with remedy and warnings: a reader of the error may see nothing else."""
        parts = [self.standing.remedy.after(f"{self.replay.destination}: {self.standing.reason}"), self._mind()]
        if not self.kept.whole:
            parts.append(str(self.kept))
        return " | ".join(filter(None, parts))

    def description(self) -> str:
        """Return the stage, its reason and the warnings, as one line."""
        reason = self.standing.reason
        parts = [
            f"{self.stage}: {reason}" if reason else str(self.stage),
            enumerate_some(list(self.verified.notes)),
            f"to go on: {enumerate_some(list(self.verified.commands), most=2)}" if self.verified.commands else "",
            self._mind(),
            str(self.kept) if self.stage.final else "",
        ]
        return " | ".join(filter(None, parts))

    def _mind(self) -> str:
        return f"note: {enumerate_some(list(self.decision.to_mind))}" if self.decision.to_mind else ""
