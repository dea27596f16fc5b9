"""The types of a restore's decisions: the object, how far it has come, what is done next and on what grounds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import NO_REMEDY, Remedy
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, Manifest, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from velero_vmservice.archive.schema import SavedStatus
    from velero_vmservice.archive.topology import Topology
    from velero_vmservice.documents import Dropped
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.supervisor.readiness import Gate
    from velero_vmservice.velero.runs import RestoreRun
    from velero_vmservice.vmoperator.references import MissingReference


class Action(StrEnum):
    """What to do now."""

    WAIT = "wait"
    CREATE = "create"
    UPDATE = "update"
    SKIP = "skip-identical"
    """It is there as captured, or this restore made it: what is left is to verify it."""
    RETAIN = "retain"
    CONFLICT = "conflict"
    """Something is in the way that only a person can move."""
    BLOCKED = "blocked"
    """It cannot be created as it is, or another VM has a name that it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One object to replay: what is wanted, and what it is connected to."""

    ref: ObjectRef
    wanted: Manifest
    topology: Topology
    captured_at: str = ""
    """When the backup saw the VMs, RFC 3339; '' if not known."""
    problems: tuple[str, ...] = ()
    """Why VM Operator on this Supervisor would never accept it, in sentences."""
    started_anyway: tuple[str, ...] = ()
    """Of a group that was to run at backup: VMs in it that were off, and that VM Operator powers on with it."""

    @property
    def is_group(self) -> bool:
        return self.ref.kind == VIRTUAL_MACHINE_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was read of one object."""

    subject: Subject
    before: SavedStatus
    """What the object was like at backup."""
    captured_without: tuple[Dropped, ...]
    """What sanitising took off at backup."""
    dropped: tuple[Dropped, ...]
    """Fields of the captured object that the target does not take."""
    remarks: tuple[str, ...]
    """Remarks on the object, as sentences."""
    restore_notes: tuple[str, ...] = ()
    """Notes that hold for every object like it, as sentences."""


def expected_vms(subjects: Iterable[Subject]) -> list[ExpectedVm]:
    """Return the VMs that the objects need, each once, with what the capture knows of them."""
    known = {
        name: (subject.topology.vm(name), subject.captured_at)
        for subject in subjects
        for name in subject.topology.needs
    }
    return [
        ExpectedVm(name=name, instance_uuid=facts.instance_uuid, bios_uuid=facts.bios_uuid, facts=facts, captured_at=at)
        if facts
        else ExpectedVm(name=name, captured_at=at)
        for name, (facts, at) in sorted(known.items())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field at which a live object is not as wanted; None stands for a field that is absent."""

    path: str
    wanted: Any
    live: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The decision for one object."""

    action: Action
    reason: str = ""
    remedy: Remedy = NO_REMEDY
    """What a person should do about a refusal."""
    denial: VmServiceError | None = None
    """The right or setting that is missing to carry it out."""
    warnings: tuple[str, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    """Objects that its VMs refer to, that are absent, and that nothing recreates."""
    differences: tuple[Difference, ...] = ()
    """Where the live object is not as captured."""
    held_by: tuple[ObjectRef, ...] = ()
    """The VMs and objects that it waits for."""
    final: bool = False
    """Whether a later look cannot change a refusal."""
    gate_open: bool = False
    """Whether all that the object needs is there; what comes before it may still be to do."""
    settling: bool = False
    """Whether only another look is missing."""
    ready: int = 0
    """VMs whose gate is open."""
    total: int = 0

    @property
    def mind(self) -> tuple[str, ...]:
        """All warnings, as sentences."""
        return (*self.warnings, *(reference.message for reference in self.missing))

    def minding(self, notes: tuple[str, ...]) -> Step:
        """Return the same decision with more warnings."""
        return replace(self, warnings=(*self.warnings, *notes)) if notes else self


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the decision for one object rests on."""

    run: RestoreRun
    policy: RestorePolicy
    observed: NamespaceState
    gates: Mapping[str, Gate]
    """For each VM that the object needs, whether it is ready."""
    pending: Iterable[Subject] = ()
    """The other objects of this restore that are not replayed yet."""
    stuck: Collection[ObjectRef] = ()
    """Those of them that wait for a VM, or are blocked."""
    cycles: Mapping[str, str] = field(default_factory=dict)
    """Groups of the namespace that contain themselves, with the chain in words."""
    written: bool = False
    """Whether this process has created or updated the object for this restore."""
