"""Which captures are meant: by namespace, application, VADP job, tags and age. Decided on what list and seal say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.archive.schema import captured_object, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.captures.catalogue import Catalogue, StoredCapture
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.velero.runs import CaptureRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One capture of a listing, with its seal as far as that can be read."""

    capture: StoredCapture
    seal: Seal | None = None
    fault: VmServiceError | None = None
    """Why there is a seal and it cannot be used."""

    @property
    def ref(self) -> CaptureRef:
        """How the command line names the capture."""
        return self.capture.ref

    @property
    def started(self) -> datetime:
        """When its run began."""
        return moment(self.capture.run.started)

    @property
    def namespaces(self) -> Sequence[str]:
        """The namespaces that it has anything of."""
        return namespaces(self.capture)

    @property
    def job(self) -> str:
        """The VADP job that saves its VMs, '' where that is not known."""
        return self.seal.vadp.job if self.seal else ""

    @property
    def restore_point(self) -> str:
        """The restore point of that job, '' where that is not known."""
        return self.seal.vadp.restore_point if self.seal else ""

    @property
    def tags(self) -> Mapping[str, str]:
        """What the person who made it noted."""
        return self.seal.taken.tags if self.seal and self.seal.taken else {}

    @property
    def cluster_id(self) -> str:
        """UID of namespace kube-system of the cluster that was captured, '' where that is not known."""
        return self.seal.cluster_id if self.seal else ""

    def has(self, reference: str) -> bool:
        """Say whether it has a group, service or VM of the name NAME or NAMESPACE/NAME."""
        vms = [key.partition("/") for key in self.seal.vadp.machines] if self.seal else []
        named = {*((ref.namespace, ref.name) for ref in self.capture.objects), *((vm[0], vm[2]) for vm in vms)}
        namespace, _, name = reference.rpartition("/")
        return any(name == its_name and namespace in ("", where) for where, its_name in named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a capture has to be; what is empty does not count."""

    namespace: str = ""
    application: str = ""
    job: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    def takes(self, entry: Entry, *, now: datetime) -> bool:
        """Say whether a capture is meant."""
        age = now - entry.started
        return (
            self.namespace in ("", *entry.namespaces)
            and self.job in ("", entry.job)
            and self.tags.items() <= entry.tags.items()
            and (self.older_than is None or age >= self.older_than)
            and (self.newer_than is None or age <= self.newer_than)
            and (not self.application or entry.has(self.application))
        )


def namespaces(capture: StoredCapture) -> Sequence[str]:
    """Return the namespaces that the documents of a capture are about, by their keys."""
    run = capture.run
    facts = f"{run.prefix}namespaces/"
    keys = [document.key for document in capture.documents]
    of_facts = {run.namespace_of(key) for key in keys if key.startswith(facts)}
    return sorted(of_facts | {ref.namespace for key in keys if (ref := captured_object(key)) is not None})


def entries(catalogue: Catalogue, captures: Iterable[StoredCapture]) -> Sequence[Entry]:
    """Read the seals of captures, those that have one, and return each capture with its own."""
    chosen = list(captures)
    seals = catalogue.seals(capture for capture in chosen if capture.sealed)
    return [
        Entry(capture=capture, seal=seals.whole.get(capture.ref), fault=seals.unusable.get(capture.ref))
        for capture in chosen
    ]
