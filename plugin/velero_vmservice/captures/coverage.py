"""What of the cluster is protected, object by object, by which capture, and why not: decided on what was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, Manifest, ObjectRef
from velero_vmservice.restore.plan.desired import differences
from velero_vmservice.velero.runs import Maker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.schema import Capture
    from velero_vmservice.captures.protection import SealedCapture
    from velero_vmservice.errors import VmServiceError


class Gap(StrEnum):
    """Why an object is not protected."""

    NO_CAPTURE = "no-capture"
    UNSEALED = "unsealed"
    CREATED_SINCE = "created-since"
    CHANGED_SINCE = "changed-since"
    NOT_RESTORABLE = "not-restorable"
    NO_VMS = "no-vms"
    LACKS_VMS = "lacks-vms"
    DAMAGED = "damaged"
    NO_VADP_JOB = "no-vadp-job"
    NO_APPLICATION = "no-application"
    UNKNOWN = "unknown"


IN_WORDS: Final[Mapping[Gap, str]] = {
    Gap.NO_CAPTURE: "no recent capture holds it",
    Gap.UNSEALED: "only captures without a seal hold it, which are never restored",
    Gap.CREATED_SINCE: "it was created after the capture began",
    Gap.CHANGED_SINCE: "it was changed after the capture",
    Gap.NOT_RESTORABLE: "the capture has a finding with which it, or its application, does not come back as it was",
    Gap.NO_VMS: "its capture has no VM of its application",
    Gap.LACKS_VMS: "its capture lacks a VM that its application has now",
    Gap.DAMAGED: "its document in the capture is damaged or gone",
    Gap.NO_VADP_JOB: "the capture names no VADP job: whether one saves its disks is not known",
    Gap.NO_APPLICATION: "it belongs to no group and no service",
    Gap.UNKNOWN: "not all captures could be read: whether one holds it is not known",
}


MADE_BY: Final[Mapping[Maker, str]] = {Maker.VELERO: "backup", Maker.COMMAND: "capture"}
"""What made a capture, in a word."""


class State(StrEnum):
    """Whether an object is protected."""

    PROTECTED = "protected"
    UNPROTECTED = "unprotected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveObject:
    """A VM, group or service of the cluster."""

    ref: ObjectRef
    created: datetime | None = None
    application: ObjectRef | None = None
    """The object that its application goes by; None for a VM without one."""
    manifest: Manifest | None = None
    """None for a VM, whose own record comes back with its disks."""
    connected: bool = True
    """Whether a VM is a member or is selected; else it only names the group of its application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How one object stands."""

    live: LiveObject
    capture: SealedCapture | None = None
    """The newest that holds it; of a VM, the newest that names a VADP job, where one does."""
    gaps: tuple[Gap, ...] = ()

    @property
    def state(self) -> State:
        if Gap.UNKNOWN in self.gaps:
            return State.UNKNOWN
        return State.UNPROTECTED if self.gaps else State.PROTECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How the objects of namespaces stand."""

    entries: Sequence[Covered] = ()
    """By namespace, application and object."""
    nodes: int = 0
    """VMs of guest clusters, which no VADP job and no capture stands for."""
    now: datetime
    since: datetime
    """Captures that began before were not looked at."""
    unread: Sequence[VmServiceError] = field(default=())
    """What could not be read."""

    def of_state(self, state: State) -> int:
        """Return how many objects stand so."""
        return sum(entry.state is state for entry in self.entries)


def chosen(live: LiveObject, captures: Iterable[SealedCapture]) -> SealedCapture | None:
    """Return the capture that protects an object; `captures` are the newest first."""
    holding = [capture for capture in captures if live.ref in capture.keys]
    if live.ref.kind == VIRTUAL_MACHINE:
        named = next((capture for capture in holding if capture.vadp_job), None)
        if named is not None:
            return named
    return next(iter(holding), None)


def covered(
    live: LiveObject,
    capture: SealedCapture | None,
    *,
    document: Capture | Gap | None = None,
    vms_gap: Gap | None = None,
    unsealed: Collection[ObjectRef] = (),
    complete: bool = True,
) -> Covered:
    """Say how one object stands.

    Args:
        live: the object.
        capture: the capture that holds it, as `chosen` returns it.
        document: its document there; None for a VM.
        vms_gap: what is wrong with the VMs of its application in captures.
        unsealed: the objects that captures without a seal hold.
        complete: whether every capture of the time could be read.
    """
    if capture is None:
        gaps = tuple(_without_capture(live, unsealed, complete=complete))
    else:
        gaps = tuple(dict.fromkeys(_with_capture(live, capture, document, vms_gap)))
    return Covered(live=live, capture=capture, gaps=gaps)


def _without_capture(live: LiveObject, unsealed: Collection[ObjectRef], *, complete: bool) -> Iterator[Gap]:
    if not complete:
        yield Gap.UNKNOWN
    elif live.ref in unsealed or (live.ref.kind == VIRTUAL_MACHINE and live.application in unsealed):
        yield Gap.UNSEALED
    else:
        yield Gap.NO_CAPTURE
    if live.application is None:
        yield Gap.NO_APPLICATION


def vms_gap(vms: Collection[str], documents: Sequence[Capture]) -> Gap | None:
    """Say whether the documents of an application have the VMs that it has now; None if they do."""
    captured = {name for document in documents for name in document.topology.needs}
    if not captured:
        return Gap.NO_VMS
    return None if captured.issuperset(vms) else Gap.LACKS_VMS


def _with_capture(
    live: LiveObject, capture: SealedCapture, document: Capture | Gap | None, vms_gap: Gap | None
) -> Iterator[Gap]:
    if live.created is not None and live.created > capture.started:
        yield Gap.CREATED_SINCE
    if isinstance(document, Gap):
        yield document
    elif document is not None:
        if live.manifest is not None and is_changed(Manifest(document.manifest), live.manifest):
            yield Gap.CHANGED_SINCE
        if any(finding.blocks for finding in document.findings):
            yield Gap.NOT_RESTORABLE
        if vms_gap is not None:
            yield vms_gap
    if live.ref in capture.not_restorable:
        yield Gap.NOT_RESTORABLE
    if live.ref.kind == VIRTUAL_MACHINE and not capture.vadp_job:
        yield Gap.NO_VADP_JOB


def is_changed(captured: Manifest, live: Manifest) -> bool:
    """Say whether a group or service differs from its capture, where both are of one API version."""
    if captured.version != live.version:
        return False
    now = sanitize(live).manifest
    return bool(differences(captured, now) or differences(now, captured))
