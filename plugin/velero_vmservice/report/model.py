"""The report of a restore: what became of every object and VM, as it is stored and read back.

One `Result` is stored per object when its replay ends; `summary` makes the `Report` of them. Both are shown to
people in several forms and written here in one. Times are ISO 8601 in UTC, '' where unknown. docs/report.md describes
every field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from velero_vmservice import __version__
from velero_vmservice.documents import Document, Dropped
from velero_vmservice.errors import InReason
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.report.stage import Outcome
from velero_vmservice.velero.runs import Maker
from velero_vmservice.vmoperator.backup_version import VersionAge

if TYPE_CHECKING:
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.velero.runs import RestoreRun


class Change(Document):
    """A field at which the captured and the live object differ."""

    path: str
    captured: str
    live: str


class Port(Document):
    """One port of a service."""

    name: str = ""
    protocol: str = "TCP"
    port: int
    target_port: int = 0
    probe: str = ""
    """What a TCP probe of the load balancer's port found, as a clause; '' if none was made."""


class MemberResult(Document):
    """One member of a group."""

    kind: Literal["VirtualMachine", "VirtualMachineGroup"] = "VirtualMachine"
    name: str
    linked: bool
    """Whether VM Operator links it to the group (GroupLinked)."""
    order: int = 0
    """Position of its boot order entry, counted from 0."""


class Deviation(Document):
    """Where a restored VM is not what the guide's section 8 says of its restore type."""

    attribute: str
    expected: str
    found: str
    note: str = ""


class Missing(Document):
    """An object that a VM refers to, that no restore recreates, and that is not there."""

    kind: str
    name: str


class VmResult(Document):
    """What became of one VM that an object of the restore needs."""

    namespace: str
    name: str
    registered: bool
    waiting_for: str = ""
    """What it still lacks, as a sentence; '' for a VM that is ready."""
    topic: str = ""
    """What `registration explain` can be asked about its state: RegisterVM's code or a topic; '' for neither."""
    by_hand: bool = False
    """Whether nothing registers it by itself: RegisterVM has to be called by hand."""
    restore_type: str = ""
    """As `supervisor.readiness.RestoreType`; '' for one that did not come."""
    backup_version_captured: str = ""
    backup_version_found: str = ""
    backup_version: VersionAge = VersionAge.UNKNOWN
    """The found version against the captured one."""
    addresses_before: tuple[str, ...] = ()
    addresses_after: tuple[str, ...] = ()
    power_before: str = ""
    power_after: str = ""
    power_asked: str = ""
    """Its `spec.powerState`."""
    powered_by: str = ""
    """The outermost live group that hands its power state down to it; '' where its own power state is set."""
    late: bool = False
    """Whether its group has applied PoweredOn already, so that VM Operator starts it only by its own power state."""
    deleting: bool = False
    """Whether it is being deleted."""
    group_name: str = ""
    deviations: tuple[Deviation, ...] = ()
    missing: tuple[Missing, ...] = ()
    """What it refers to and is not there."""
    notes: tuple[str, ...] = ()
    """What follows from the way it came back, though everything is as expected."""
    timeline: tuple[tuple[str, str], ...] = ()
    """Time and words of each change."""
    ready_at: tuple[str, ...] = ()
    """Times of the changes with which it became ready; a release without this field has stored none."""

    @property
    def ready(self) -> bool:
        """Whether it is there and lacks nothing."""
        return self.registered and not self.waiting_for

    @property
    def key(self) -> str:
        """The VM as `NextStep.about` names it."""
        return f"{VIRTUAL_MACHINE.name}/{self.namespace}/{self.name}"


class EarlierEnd(Document):
    """How an object ended in a run of the restore before this one."""

    stage: str
    reason: str
    ended: str = ""


class Result(Document):
    """How the replay of one object ended."""

    schema_version: Literal[1] = 1
    restore: str
    restore_uid: str = ""
    """'' for a run that Velero has no Restore of."""
    backup: str
    kind: str
    namespace: str
    name: str
    source_namespace: str = ""
    """Namespace in the backup; '' if it is the same."""
    stage: str
    """As `stage.Stage`."""
    reason: str
    action: str = ""
    """What the last plan said of it: create, skip-identical, update, retain, wait, conflict or blocked."""
    held_by: tuple[str, ...] = ()
    """The VMs and objects that it waited for when it ended, as `NextStep.about` names them."""
    earlier: EarlierEnd | None = None
    """How it ended before the restore was last resumed; None in the first run."""
    earlier_ends: tuple[EarlierEnd, ...] = ()
    """How it ended in each run before this one, in their order; `earlier` is the last."""
    replayed: bool = False
    """Whether this restore has created or updated it."""
    notes: tuple[str, ...] = ()
    restore_notes: tuple[str, ...] = ()
    """Notes that hold for every object like it: the report has them once, in its notes."""
    warnings: tuple[str, ...] = ()
    trimmed: tuple[str, ...] = ()
    """Fields that the target's API version does not know."""
    changes: tuple[Change, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    parent: str = ""
    """For a group: the group that it belongs to."""
    members: tuple[MemberResult, ...] = ()
    """For a group: its members in boot order."""
    selected: tuple[str, ...] = ()
    """For a service: VMs that its selector should match. For VMs without an application: their names."""
    ports: tuple[Port, ...] = ()
    addresses_before: tuple[str, ...] = ()
    """For a service: the load balancer's addresses at backup."""
    addresses_after: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    """For a service: VMs behind it now."""
    power_before: str = ""
    """For a group: `spec.powerState` at backup."""
    remedy: tuple[str, ...] = ()
    """What a person should do about it, in sentences."""
    remedy_said: InReason = InReason.NOTHING
    """How much of that the reason says."""
    next_commands: tuple[str, ...] = ()
    """Commands that power its application on, where it was the last object of that to end."""
    capture: str = ""
    """Key of its capture in the bucket."""
    started: str = ""
    ended: str = ""
    timeline: tuple[tuple[str, str], ...] = ()
    """Time and words of each change."""
    machines: tuple[VmResult, ...] = ()
    """The VMs that it needs."""
    plugin: str = __version__

    @property
    def key(self) -> str:
        """The object as `NextStep.about` names it: two namespaces may be mapped into one."""
        source = f"@{self.source_namespace}" if self.source_namespace else ""
        return f"{self.kind}/{self.namespace}/{self.name}{source}"

    @property
    def ends_before(self) -> tuple[EarlierEnd, ...]:
        """How it ended in each earlier run; a report that was stored before it had all of them has one."""
        return self.earlier_ends or ((self.earlier,) if self.earlier else ())

    @property
    def label(self) -> str:
        """The object as people read it: kind, namespace and name; VMs without an application have no name."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.name else f"{self.kind} of {self.namespace}"

    def is_of(self, ref: ObjectRef, run: RestoreRun) -> bool:
        """Say whether this is the result of replaying that object in a restore of that name and backup."""
        own = (self.restore, self.backup, self.kind, self.namespace, self.name)
        return own == (run.name, run.backup, ref.kind.name, ref.namespace, ref.name)


class NextStep(Document):
    """One thing to do now."""

    words: str
    """The cause, what follows from it, and what to do."""
    about: tuple[str, ...] = ()
    """The objects and VMs that the step names: kind, namespace and name, `/` between them."""
    commands: tuple[str, ...] = ()
    """The command that checks comes first, the one that goes on last."""

    @property
    def text(self) -> str:
        """The step as `Report.next_steps` has it."""
        return "\n".join((self.words, *self.commands))

    @classmethod
    def read(cls, text: str) -> NextStep:
        """Read a step of a report that was stored before reports had them in parts."""
        advice, *commands = text.split("\n")
        return cls(words=advice, commands=tuple(commands))


class Report(Document):
    """The whole restore. A VM that several objects need is listed once, in `vms`."""

    schema_version: Literal[1] = 1
    restore: str
    restore_uid: str
    backup: str
    backup_started: str = ""
    made_by: Maker | None = None
    """What took the capture that was restored; a release without this field has not stored it."""
    vadp_job: str = ""
    """The VADP job that saves the VMs, as the capture has it; '' where it names none, or could not be read."""
    vadp_restore_point: str = ""
    """The restore point of that job that belongs to the capture."""
    cluster: str = ""
    """Address of the API server that it was restored to, as the plugin reached it."""
    cluster_id: str = ""
    """UID of that cluster's namespace kube-system, which tells clusters apart; '' where it could not be read."""
    velero: str = ""
    """Image of Velero's server, as its Deployment names it; '' where that could not be read."""
    started: str
    resumed: str = ""
    """When the run that resumed the restore began; '' for the restore's first run."""
    resumes: tuple[str, ...] = ()
    """When each run that resumed the restore, and that the report covers, began; `resumed` is the last."""
    ended: str
    plugin: str = __version__
    outcome: Outcome
    policy: dict[str, str] = {}
    """The effective policy: setting to value."""
    steps: tuple[NextStep, ...] = ()
    """What to do now, by cause, the most urgent first."""
    next_steps: tuple[str, ...] = ()
    """The same as text: the first line of each says what; every further line is a command."""
    warnings: tuple[str, ...] = ()
    """Warnings, worst first; none after a restore that is as expected."""
    notes: tuple[str, ...] = ()
    """Notes on the restore as a whole that call for no action."""
    not_in_backup: tuple[str, ...] = ()
    """What the backup left out, so that no restore brings it back, in sentences."""
    objects: tuple[Result, ...] = ()
    """In plan order: groups, parents first, then services. Their own `vms` are empty here."""
    machines: tuple[VmResult, ...] = ()

    @property
    def to_do(self) -> tuple[NextStep, ...]:
        """What to do now, in parts, whichever release has stored the report."""
        return self.steps or tuple(map(NextStep.read, self.next_steps))
