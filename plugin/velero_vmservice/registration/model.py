"""How far the registration of a restored VM is, in one model for every source that can tell.

Replay needs one answer, ready or not; a person needs the rest: what RegisterVM is doing, why it failed, whether
waiting can help. Sources see different parts: Kubernetes the VirtualMachine, vCenter the VM before there is one,
a registration engine its own task. What a source cannot see it leaves unknown and never guesses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, Self

from velero_vmservice.vsphere.registervm_errors import explain
from velero_vmservice.vsphere.wcp import TaskStage, progress_text, stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


class Role(Enum):
    """What a source does about registrations beside reporting them."""

    OBSERVER = "observes what is there"
    CALLER = "is this product's own call of RegisterVM"
    ENGINE = "registers VMs itself"


class Source(StrEnum):
    """A source of registrations, as the settings and the answers spell it."""

    role: Role

    def __new__(cls, name: str, role: Role) -> Self:
        """Make a source of its name and its role."""
        source = str.__new__(cls, name)
        source._value_ = name
        source.role = role
        return source

    KUBERNETES = "kubernetes", Role.OBSERVER
    VCENTER = "vcenter", Role.OBSERVER
    ENGINE = "engine", Role.ENGINE
    TRIGGER = "trigger", Role.CALLER
    """The attempts that this product has made; no setting names it."""


class State(StrEnum):
    """The state of one VM, from nothing to ready; the last four depend on something else."""

    UNKNOWN = "unknown"
    """The source does not know."""
    ABSENT = "absent"
    """Not in vCenter, or not seen by a source that cannot look there."""
    RESTORED = "restored, not registered"
    """In vCenter, and not registered since: no VirtualMachine yet, or one that stands for what was there before."""
    REGISTERING = "registering"
    REGISTERED = "registered"
    """The VirtualMachine is there; its disks or its first reconciliation are not."""
    READY = "ready"
    PAUSED = "paused"
    SNAPSHOT_REVERT = "reverting to a snapshot"
    """Afterwards nothing registers it by itself (guide 7.2.1)."""
    FAILED = "failed"
    NOT_RESTORABLE = "not restorable"
    """No ExtraConfig record, an API version that is too old, or a guest cluster's node."""


NEEDS_A_PERSON: Final = frozenset({State.SNAPSHOT_REVERT, State.FAILED, State.NOT_RESTORABLE})
"""Waiting helps none of these, whichever source sees them; of the other states the source knows whether it does."""

NODE: Final = "a guest cluster's node, which VM Operator does not record: RegisterVM cannot bring it back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What one source says of one VM."""

    name: str
    state: State
    reason: str = ""
    """The sentence for `velero restore describe`, remedy included where there is one."""
    percent: int | None = None
    """Of RegisterVM's task, as it reports it (guide 12.3)."""
    stage: str = ""
    """What is being done, where the source names it; see `doing`."""
    code: str = ""
    """RegisterVM's error code as it came, or ''."""
    remedy: str = ""
    """What a person should do if it stays so, as a hint; '' where the code has it, or nothing does."""
    remedy_said: bool = False
    """Whether the reason says what to do."""
    can_wait: bool = True
    """Whether waiting can help; if not, a person has to act."""
    since: datetime | None = None
    """When the source saw the state begin, if it can tell."""
    first_seen: bool = False
    """Whether `since` is only when this process first saw it so: it may have begun before."""
    sources: tuple[Source, ...] = ()
    """The sources of this answer, by name; several where they agree."""
    owners: tuple[tuple[str, str], ...] = ()
    """Name and UID of each VirtualMachineGroup that the VM's record names as owner, where the source reads records."""
    notes: tuple[str, ...] = ()
    """Notes that change nothing about the state; without the VM's name, so that equal ones are shown once."""
    nothing_there: bool = False
    """Whether the source has looked and seen no VirtualMachine, where one can still come; only Kubernetes sees that."""
    certain: bool = True
    """False where the source concludes what it cannot see, such as vCenter that no VirtualMachine is there; then any
    source that is certain has the word."""

    @property
    def of_engine(self) -> bool:
        """Whether a registration engine is among the sources of this answer."""
        return any(source.role is Role.ENGINE for source in self.sources)

    @property
    def told_by(self) -> str:
        """The sources as they are shown: `engine, kubernetes`."""
        return ", ".join(self.sources)

    @property
    def doing(self) -> str:
        """The stage that is named, else the last of RegisterVM's stages that the percentage has reached."""
        return self.stage or stage(self.percent) or ""

    @property
    def at(self) -> TaskStage | None:
        """Which of RegisterVM's stages that is, if it is one."""
        return TaskStage.named(self.stage) if self.stage else stage(self.percent)

    @property
    def progress(self) -> str:
        """How far it is, as it is shown: `80 %, register volumes`; '' if that is not known."""
        return progress_text(self.percent, self.stage)

    def __str__(self) -> str:
        """Say all but the notes, as progress and tables show it: `registering (80 %, register volumes): …`."""
        progress = f" ({self.progress})" if self.progress else ""
        return f"{self.state}{progress}: {self.reason}" if self.reason else f"{self.state}{progress}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one source said of the VMs of a namespace, or why it could not be asked."""

    source: Source
    registrations: Mapping[str, Registration] | None = None
    """By name; None if it could not be asked."""
    problem: str = ""
    """Why not, remedy included."""


def by_source(name: str, answers: Iterable[Answer]) -> dict[Source, Registration]:
    """Return what each source that was asked says of one VM."""
    return {
        answer.source: answer.registrations[name]
        for answer in answers
        if answer.registrations is not None and name in answer.registrations
    }


OTHER: Final = "other"
"""Stands for a code that this product does not know, so that those of a tally come from a closed list."""


def tally(registrations: Iterable[Registration]) -> Counter[tuple[str, str]]:
    """Count VMs by the name of their state and by RegisterVM's code, '' where there is none."""
    return Counter((each.state.name.lower(), _known(each.code)) for each in registrations)


def _known(code: str) -> str:
    if not code:
        return ""
    entry = explain(code)
    return entry.code if entry.known else OTHER
