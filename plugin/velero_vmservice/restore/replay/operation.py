"""The memory of one operation between two polls. All of it can be lost: the next poll works it out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.errors import NO_REMEDY, Remedy
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Action
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero.actions import Progress

if TYPE_CHECKING:
    from datetime import datetime

    from velero_vmservice.archive.schema import SavedStatus
    from velero_vmservice.documents import Dropped
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.report.model import Result
    from velero_vmservice.restore.model import Difference, Source, Step, Subject
    from velero_vmservice.restore.verify.application import Verification
    from velero_vmservice.velero.operation import Replay
    from velero_vmservice.vmoperator.references import MissingReference

TIMELINE_LENGTH = 50


@dataclass(slots=True)
class ReplayOperation:
    """One operation of a restore."""

    operation_id: str
    replay: Replay
    """Without the item, which is read from the id when it is asked for."""
    started: datetime
    announced: bool = False
    """Whether Execute announced it in this process; else the first poll did."""
    polls: int = 0
    asked_again: bool = True
    """Whether Velero will ask about it again, which it does not after Cancel."""
    tried_at: float = float("-inf")
    """When its subject was last asked for."""
    unread: str = ""
    """Why it could not be read then: its own reason, which does not change with the next object that is read."""
    source: Source | None = None
    """What was read of the object."""
    subject: Subject | None = None
    before: SavedStatus | None = None
    """What the object was like at backup."""
    captured_without: tuple[Dropped, ...] = ()
    """What sanitising took off at backup."""
    dropped: tuple[Dropped, ...] = ()
    """Fields of the captured object that the target does not take."""
    remarks: tuple[str, ...] = ()
    """What to mind about where the object was read from, whatever is decided."""
    written: bool = False
    """Whether this process has created or updated the object."""
    replayed: bool = False
    """Whether this restore has, as far as this process has done or seen it."""
    never_ended: bool = False
    """Whether no earlier process has stored a result, as far as this one has looked."""
    action: str = ""
    """What the last plan said of it."""
    differences: tuple[Difference, ...] = ()
    gate_open: bool = False
    judged_at: float | None = None
    """Time of the observation that a strict restore has judged its gate by."""
    since: datetime | None = None
    """When the present stage began."""
    stage: Stage = Stage.WAITING
    reason: str = "looking for the VMs"
    remedy: Remedy = NO_REMEDY
    """What a person should do if it ends so."""
    held_by: tuple[ObjectRef, ...] = ()
    """The VMs and objects that it waits for, as the last decision says."""
    warnings: tuple[str, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    """What its VMs refer to and is not there."""
    restore_notes: tuple[str, ...] = ()
    """What holds for every object like it, and is said once for the restore."""
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    """What powers its application on, where it was the last object of that to end."""
    verification: Verification | None = None
    """What the last comparison with the live object found."""
    probes: dict[tuple[str, int], str] = field(default_factory=dict)
    """Load balancer address and port, and why it does not answer; '' once it has."""
    ready: int = 0
    total: int = 0
    decided_at: float | None = None
    """Time of the observation that the last decision rests on."""
    held_at: float | None = None
    """Time of the observation on which others were seen to hold it back."""
    given_up: bool = False
    """Whether it failed for another object's sake alone, as a strict restore is replayed whole or not at all."""
    twin: bool = False
    """Whether another object of the restore has its name, from a namespace that is mapped into the same one."""
    updated: datetime | None = None
    published: bool = False
    """Whether the result is stored and its Event recorded."""
    ended_elsewhere: bool = False
    """Whether another process has stored the result, before this one or beside it."""
    stored: bool = False
    """Whether nothing is left to store: the result, and with the last one the report."""
    report: str = ""
    """Where the report of the whole restore lies; '' until it is stored."""
    report_command: str = ""
    """The command that shows the report once it is stored."""
    not_stored: str = ""
    """Why the store did not take the result, or the report, when it was last asked."""
    go_on: str = ""
    """The command that makes result and report again, where Velero waits for them no more; else ''."""
    shown_by: str = ""
    """The command that shows what became of it without them; '' where the command that runs shows it itself."""
    timeline: list[tuple[str, str]] = field(default_factory=list)

    def read(self, source: Source) -> None:
        """Remember what was read of the object."""
        self.source = source
        self.subject, self.before = source.subject, source.before
        self.dropped, self.remarks = source.dropped, source.remarks
        self.captured_without, self.restore_notes = source.captured_without, source.restore_notes

    def take(self, step: Step) -> None:
        """Remember a decision, its counts and warnings."""
        self.gate_open, self.remedy, self.held_by = step.gate_open, step.remedy, step.held_by
        if not (self.written and step.action is Action.SKIP):
            self.action = step.action
        self.ready, self.total, self.warnings = step.ready, step.total, (*self.remarks, *step.warnings)
        self.missing = step.missing
        if step.differences or step.action != Action.SKIP:
            self.differences = step.differences

    def adopt(self, before: Result, now: datetime) -> None:
        """End as an earlier process has ended with the operation."""
        self.action, self.replayed, self.ended_elsewhere = before.action, before.replayed, True
        self.notes, self.warnings, self.commands = before.notes, before.warnings, before.next_commands
        self.tell(before.reason, now, stage=Stage(before.stage))
        self.remedy = Remedy(" ".join(before.remedy), before.remedy_said)

    def give_time(self, now: datetime) -> None:
        """Let the stage's deadline count from now: what it waits for is this restore's own to do."""
        self.since = now

    def tell(self, reason: str, now: datetime, *, stage: Stage | None = None) -> None:
        """Remember where the object stands, in words; a change is kept in the timeline."""
        changed = reason != self.reason or (stage is not None and stage != self.stage)
        if not changed:
            return  # the same time again, so that Velero need not store its list of operations at every poll
        if stage is not None and stage != self.stage:
            self.since = now
        self.stage, self.reason, self.updated = stage or self.stage, reason, now
        if len(self.timeline) < TIMELINE_LENGTH:
            self.timeline.append((now.isoformat(), f"{self.stage}: {reason}"))

    def trouble(self, error: VmServiceError, now: datetime, *, stage: Stage | None = None) -> None:
        """Remember an error of ours, and what its hint says to do."""
        self.tell(str(error), now, stage=stage)
        self.remedy, self.held_by = error.remedy, ()

    @property
    def over(self) -> bool:
        """Whether the operation has ended for Velero: stored, or not waited for any more."""
        return self.stage.final and (self.stored or not self.asked_again)

    @property
    def mind(self) -> tuple[str, ...]:
        """All that a person has to mind, in words."""
        return (*self.warnings, *(reference.message for reference in self.missing))

    def progress(self) -> Progress:
        """Return what `velero restore describe --details` shows."""
        over = self.over
        failed = self.stage in (Stage.FAILED, Stage.CANCELLED)
        replayed = int(self.stage not in (Stage.WAITING, Stage.FAILED, Stage.CANCELLED))
        return Progress(
            completed=over,
            error=self._error() if over and failed else "",
            done=self.ready if self.total else replayed,
            total=self.total or 1,
            units="VMs" if self.total else "object",
            description=self.description(),
            started=self.started,
            updated=self.updated,
        )

    def _error(self) -> str:
        """Return why it failed, with what to do and to mind: a reader of the error may see nothing else."""
        why = self.remedy.after(f"{self.replay.destination}: {self.reason}")
        parts = [why]
        if self.mind:
            parts.append(f"mind: {enumerate_some(list(self.mind))}")
        if not self.stored:
            parts.append(self.kept())
        return " | ".join(filter(None, parts))

    def description(self) -> str:
        """Return the stage, its reason, and what to mind, as one line."""
        parts = [f"{self.stage}: {self.reason}" if self.reason else str(self.stage)]
        if self.notes:
            parts.append(enumerate_some(list(self.notes)))
        if self.commands:
            parts.append(f"to go on: {enumerate_some(list(self.commands), most=2)}")
        if self.mind:
            parts.append(f"mind: {enumerate_some(list(self.mind))}")
        if self.stage.final and (kept := self.kept()):
            parts.append(kept)
        return " | ".join(parts)

    def kept(self) -> str:
        """Say what is stored of how it ended and where, what is not and why; '' where that is not known yet."""
        if self.stored and self.report:
            return f"report: {self.report} ({self.report_command})"
        if self.stored:
            return f"the report is made when the restore's last object has ended: {self.report_command}"
        if not self.not_stored:
            return ""
        if not self.go_on:
            return f"the {'report' if self.published else 'result'} is not stored yet: {self.not_stored}"
        what = "the report is" if self.published else "its result and the report are"
        shown = f"; {self.shown_by} shows how each object has ended" if self.shown_by else ""
        return f"{what} not stored: {self.not_stored}{shown}; when that is put right: {self.go_on}"
