"""The report of a drill, as it is stored and read back; docs/archive-format.md describes every field."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from velero_vmservice import __version__
from velero_vmservice.archive.findings import ApplicationVerdict
from velero_vmservice.documents import Document, Name

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "drills"
"""First part of the keys of drills: what restores leave lies below another."""
REPORT = "report.json"
PAGE = "report.html"


class DrillVerdict(StrEnum):
    """What a drill came to; the worse, the later."""

    READY = "ready"
    WITH_WARNINGS = "with-warnings"
    INCOMPLETE = "incomplete"
    """Nothing was found in the way, but a part could not be tried."""
    NOT_READY = "not-ready"


IN_WORDS: Final[Mapping[str, str]] = {
    DrillVerdict.READY: "a restore would succeed, as far as a drill can tell",
    DrillVerdict.WITH_WARNINGS: "a restore would succeed, with warnings",
    DrillVerdict.INCOMPLETE: "nothing was found in the way, but not all could be tried",
    DrillVerdict.NOT_READY: "a restore would not succeed as things are",
}


class Trial(StrEnum):
    """What the API server said of an object in a dry run."""

    ACCEPTED = "accepted"
    NAME_TAKEN = "name-taken"
    """An object of that name is there, and nothing else was found against it."""
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    """The object could not be read from the capture, so there was nothing to try."""
    NO_NAMESPACE = "no-namespace"
    """The target namespace does not exist, so the API server cannot be asked."""
    NOT_ASKED = "not-asked"
    """The API server or a webhook could not be asked."""

    @property
    def tried(self) -> bool:
        """Whether the API server has judged the object."""
        return self in {Trial.ACCEPTED, Trial.NAME_TAKEN, Trial.REFUSED}


class DrilledObject(Document):
    """One group or service, as a restore would create it."""

    kind: str
    namespace: Name
    """In the capture."""
    target: Name
    """Where it was tried."""
    name: Name
    trial: str
    """As `Trial`."""
    message: str = ""
    """What the API server said against it, or why it was not asked."""
    action: str = ""
    """What the plan says a restore would do with it now."""
    reason: str = ""

    def belongs_to(self, application: ApplicationVerdict) -> bool:
        """Say whether it is one of the objects of an application."""
        parts = {(part.kind, part.name) for part in application.objects}
        return self.namespace == application.namespace and (self.kind, self.name) in parts


class DrilledCapture(Document):
    """The capture that the drill was made from."""

    name: Name
    started: str
    maker: str
    location: Name = ""
    vadp_job: str = ""
    restore_point: str = ""


class DrillTarget(Document):
    """The Supervisor that was drilled against."""

    cluster: str = ""
    """Address of its API server."""
    cluster_id: str = ""
    """UID of its namespace kube-system."""
    release: str = ""
    other: bool = False
    """Whether it is another than the one whose captures these are."""


class LastRestore(Document):
    """The newest stored report of a restore of these namespaces."""

    restore: Name
    started: str
    seconds: int
    outcome: str


class DrillReport(Document):
    """One drill."""

    schema_version: Literal[1] = 1
    drill: Name
    """Name of the capture, which drills go by."""
    started: str
    ended: str
    plugin: str = __version__
    verdict: str
    """As `DrillVerdict`."""
    capture: DrilledCapture
    target: DrillTarget = DrillTarget()
    namespace_mapping: dict[str, str] = {}
    chosen: tuple[Name, ...] = ()
    """The applications that were asked for; none for all."""
    applications: tuple[ApplicationVerdict, ...] = ()
    """What a restore to new VMs would meet at the target, and what vCenter says of the VMs' records."""
    objects: tuple[DrilledObject, ...] = ()
    not_tried: tuple[str, ...] = ()
    """The parts that were not tried, and why, in sentences."""
    last_restore: LastRestore | None = None
