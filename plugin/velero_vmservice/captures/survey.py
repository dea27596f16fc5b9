"""Look now and then which applications the cluster has, and which captures hold them.

Each look lists the metadata of all VMs, the groups and services, Velero's Backups and Schedules, and the names of the
captures that the command line made. What a capture holds is read from its seal, once, not beyond the time at which the
application was made. What a capture says of an object's restorability is read from the object's document, once. A look
makes a bounded number of requests to the bucket, so that all there is to read after a start takes several.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from velero_vmservice.archive.schema import Capture
from velero_vmservice.archive.store import read_document
from velero_vmservice.backup.applications import live_applications, vm_labels
from velero_vmservice.captures.holdings import Holdings, Sought
from velero_vmservice.captures.protection import protection
from velero_vmservice.captures.recent_runs import RecentRuns
from velero_vmservice.errors import Corrupt, Forbidden, NotFound, VmServiceError, as_ours
from velero_vmservice.kube.manifest import CAPTURED_KINDS, DEPLOYMENT, SCHEDULE, VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.velero.deployment import VELERO, server_variable
from velero_vmservice.velero.schedule import Schedule, local_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import tzinfo

    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.backup.applications import LiveApplication
    from velero_vmservice.captures.catalogue import Catalogue
    from velero_vmservice.captures.protection import Protection, SealedCapture
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster

log = structlog.get_logger()

RECENT: Final = timedelta(days=35)
"""Captures that began before are not looked at: a month, the longest pause of a usual schedule, and a few days."""
MOST_SEALS: Final = 20
MOST_DOCUMENTS: Final = 100
"""Requests to the bucket in one look; what is left is read by the next."""

Answer = TypeVar("Answer")


class Part(StrEnum):
    """What a look reads."""

    APPLICATIONS = "applications"
    BACKUPS = "backups"
    SCHEDULES = "schedules"
    CAPTURES = "captures"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one look has seen."""

    protections: Sequence[Protection] = ()
    restorable: Mapping[ObjectRef, bool] = field(default_factory=dict)
    """By the application's name, where every document of its last capture was read."""
    unread: Mapping[Part, str] = field(default_factory=dict)
    """What could not be read, with the code of the error."""

    @property
    def captures_known(self) -> bool:
        """Whether an application that no capture seems to hold is held by none."""
        return self.unread.keys().isdisjoint({Part.BACKUPS, Part.CAPTURES})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """What matters of a captured object's document."""

    restorable: bool
    has_vms: bool = False


class Survey:
    """Remembers what it has read of captures; one thread at a time may look."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        locations: StorageLocations,
        catalogue: Catalogue,
        clock: Clock,
        velero_namespace: str,
        zone: tzinfo = UTC,
    ) -> None:
        """Put together; `zone` is the local time zone of this process."""
        self._cluster = cluster
        self._locations = locations
        self._runs = RecentRuns(cluster=cluster, catalogue=catalogue, velero_namespace=velero_namespace)
        self._clock = clock
        self._namespace = velero_namespace
        self._zone = zone
        self._holdings = Holdings(locations=locations, clusters=catalogue.clusters)
        self._documents: dict[str, _Document] = {}
        """By key."""

    def look(self) -> View:
        """Read what is new; a failure to read is a problem of the view, and is never raised."""
        unread: dict[Part, str] = {}
        applications = self._attempt(Part.APPLICATIONS, self._applications, unread)
        schedules = self._attempt(Part.SCHEDULES, self._schedules, unread)
        captures = self._read_captures(applications, unread)
        protections = [protection(application, captures, schedules) for application in applications]
        restorable = self._read_restorable(protections, unread)
        return View(protections=protections, restorable=restorable, unread=unread)

    def _attempt(self, part: Part, read: Callable[[], Sequence[Answer]], unread: dict[Part, str]) -> Sequence[Answer]:
        try:
            return read()
        except Exception as raised:  # noqa: BLE001 - logged; the rest of the view is of use without it
            self._note(part, as_ours(raised, f"the survey of {part}"), unread)
            return ()

    def _note(self, part: Part, error: VmServiceError, unread: dict[Part, str]) -> None:
        unread[part] = error.code
        log.info("protection not known", part=part, cause=error.message, hint=error.hint, code=error.code)

    def _applications(self) -> Sequence[LiveApplication]:
        vms = self._cluster.read_all(VIRTUAL_MACHINE, "", vm_labels, metadata_only=True)
        objects = [manifest for kind in CAPTURED_KINDS for manifest in self._cluster.list(kind, "")]
        return live_applications(objects, vms, now=self._clock.now())

    def _schedules(self) -> Sequence[Schedule]:
        return self._cluster.read_all(SCHEDULE, self._namespace, partial(Schedule.read, zone=self._zone_of_velero()))

    def _zone_of_velero(self) -> tzinfo:
        """Return the zone that Velero's container is given in its Deployment; where none can be seen, our own."""
        try:
            deployment = self._cluster.get(ObjectRef(DEPLOYMENT, self._namespace, VELERO))
        except (NotFound, Forbidden):
            return self._zone
        variable = server_variable(deployment, "TZ")
        return self._zone if variable is None else local_zone(variable)

    def _read_captures(
        self, applications: Collection[LiveApplication], unread: dict[Part, str]
    ) -> Sequence[SealedCapture]:
        sought = [Sought(objects=frozenset(each.objects), created=each.created) for each in applications]
        recent = self._runs.read(since=self._clock.now() - RECENT)
        if recent.backups_unread:
            self._note(Part.BACKUPS, recent.backups_unread, unread)
        held = self._holdings.find(sought, recent.runs, most=MOST_SEALS)
        for error in (*recent.buckets_unread, *held.unread):
            self._note(Part.CAPTURES, error, unread)
        if held.left:
            unread.setdefault(Part.CAPTURES, "unread")
        return held.captures

    def _read_restorable(
        self, protections: Collection[Protection], unread: dict[Part, str]
    ) -> Mapping[ObjectRef, bool]:
        wanted = {
            each.application.name: (each.last.ref.location, [each.last.keys[ref] for ref in each.application.objects])
            for each in protections
            if each.last is not None
        }
        needed = {key for _, keys in wanted.values() for key in keys}
        self._documents = {key: value for key, value in self._documents.items() if key in needed}
        left = MOST_DOCUMENTS
        for location, keys in wanted.values():
            for key in [key for key in keys if key not in self._documents][:left]:
                left -= 1
                try:
                    capture = read_document(self._locations.open(location, namespace=self._namespace), key, Capture)
                except (Corrupt, NotFound) as error:
                    log.warning("captured object not restorable", key=key, cause=error.message, hint=error.hint)
                    self._documents[key] = _Document(restorable=False)
                    continue
                except Exception as raised:  # noqa: BLE001 - logged; the next look goes on
                    self._note(Part.CAPTURES, as_ours(raised, f"the capture {key}"), unread)
                    left = 0
                    break
                self._documents[key] = _Document(
                    restorable=not any(finding.blocks for finding in capture.findings),
                    has_vms=bool(capture.topology.needs),
                )
        refused = {
            each.application.name
            for each in protections
            if each.last and not each.last.not_restorable.isdisjoint(each.application.objects)
        }
        return {
            name: name not in refused and _is_restorable([self._documents[key] for key in keys])
            for name, (_, keys) in wanted.items()
            if all(key in self._documents for key in keys)
        }


def _is_restorable(documents: Collection[_Document]) -> bool:
    """Say whether an application comes back from its documents: none has a finding against it, and one has VMs."""
    return all(each.restorable for each in documents) and any(each.has_vms for each in documents)
