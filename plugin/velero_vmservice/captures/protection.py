"""Whether an application could be restored: what captures hold of it, how old that is, and when the next is due."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.archive import backup_scope, schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.backup.applications import LiveApplication
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.velero.runs import CaptureRef
    from velero_vmservice.velero.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCapture:
    """A capture that is whole, of a Backup or of the command: which objects it holds, and where."""

    ref: CaptureRef
    keys: Mapping[ObjectRef, str] = field(default_factory=dict)
    """The key of each object's document; '' for a VM, which has none of its own."""
    vadp_job: str = ""
    """The VADP job that the capture names; '' where it names none."""
    restore_point: str = ""
    not_restorable: frozenset[ObjectRef] = frozenset()
    """The groups and services of applications that its seal judges to be not restorable, and the VMs in their way."""

    @property
    def started(self) -> datetime:
        return schema.moment(self.ref.started)

    def holds(self, objects: Collection[ObjectRef]) -> bool:
        """Say whether it holds every one of these objects."""
        return all(ref in self.keys for ref in objects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How an application stands."""

    application: LiveApplication
    last: SealedCapture | None = None
    """The newest capture that holds it whole."""
    due: datetime | None = None
    """When a Schedule should make the next capture of it: after the last, or after the application was made; None
    where no Schedule takes it whole."""


def protection(
    application: LiveApplication, captures: Sequence[SealedCapture], schedules: Sequence[Schedule]
) -> Protection:
    """Work out how an application stands; `captures` are the newest first, and of backups only those that exist."""
    last = next((capture for capture in captures if capture.holds(application.objects)), None)
    since = last.started if last else application.created
    due = min(_due(application, schedules, since), default=None)
    return Protection(application=application, last=last, due=due)


def _due(application: LiveApplication, schedules: Sequence[Schedule], since: datetime) -> Iterator[datetime]:
    """Yield when each Schedule that takes the application whole runs next."""
    for schedule in schedules:
        if all(
            backup_scope.selected(schedule.template, ref.kind, ref.namespace, ref.name, labels)
            for ref, labels in application.objects.items()
        ):
            run = schedule.next_after(max(since, schedule.created))
            if run is not None:
                yield run
