"""All that a capture holds, read and checked against its seal: what it says of its objects, VMs and applications."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.archive.facts import NamespaceFacts
from velero_vmservice.archive.findings import ApplicationObject, ApplicationVerdict
from velero_vmservice.archive.restore_point import read_seal, unsealed
from velero_vmservice.archive.schema import Capture, captured_object
from velero_vmservice.archive.store import READERS
from velero_vmservice.backup.read_back import read_whole
from velero_vmservice.captures.applications import of_topologies
from velero_vmservice.errors import VmServiceError, as_ours
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.archive.topology import Topology
    from velero_vmservice.captures.catalogue import StoredCapture


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The documents of a capture, as far as they are what the seal says."""

    capture: StoredCapture
    seal: Seal | None = None
    """None where there is none, or where it cannot be used."""
    objects: Mapping[ObjectRef, Capture] = field(default_factory=dict)
    namespaces: Mapping[str, NamespaceFacts] = field(default_factory=dict)
    faults: Mapping[str, VmServiceError] = field(default_factory=dict)
    """By key: why a document, or the seal, cannot be used."""
    unlisted: tuple[str, ...] = ()
    """Keys of documents that lie beside the sealed ones and that the seal does not list."""

    @property
    def documents(self) -> int:
        """How many documents were looked at, the seal among them."""
        return len(self.objects) + len(self.namespaces) + len(self.faults) + (self.seal is not None)

    def demand_whole(self) -> Seal:
        """Return the seal; raises `NotRestorable` where there is none, and the first fault where there is one."""
        for key in sorted(self.faults, key=lambda key: key != self.capture.run.seal_key):
            raise self.faults[key]
        if self.seal is None:
            raise unsealed(self.capture.run)
        return self.seal

    def applications(self) -> Sequence[ApplicationVerdict]:
        """Return its applications with their verdicts; without a seal, as its objects are connected."""
        if self.seal is not None and self.seal.applications is not None:
            return applications(self.seal)
        connected_objects = list(_connected({ref: capture.topology for ref, capture in self.objects.items()}))
        return (*connected_objects, *(_alone(name) for name in (self.seal.without_application if self.seal else ())))


def applications(seal: Seal) -> Sequence[ApplicationVerdict]:
    """Return the applications that a seal judges, and the VMs that belong to none, as one application each.

    What has no verdict has '' for it: a VM that belongs to no application, and all that an earlier release sealed.
    """
    return (*(seal.applications or ()), *map(_alone, seal.without_application))


def _connected(topologies: Mapping[ObjectRef, Topology]) -> Iterator[ApplicationVerdict]:
    for application in of_topologies(topologies):
        name = application.name
        objects = tuple(ApplicationObject(kind=ref.kind.name, name=ref.name) for ref in application.objects)
        yield _application(name.kind.name, name.namespace, name.name, objects, application.vms)


def _alone(key: str) -> ApplicationVerdict:
    namespace, _, name = key.partition("/")
    return _application(VIRTUAL_MACHINE.name, namespace, name, (), (name,))


def _application(
    kind: str, namespace: str, name: str, objects: tuple[ApplicationObject, ...], vms: tuple[str, ...]
) -> ApplicationVerdict:
    return ApplicationVerdict(verdict="", kind=kind, namespace=namespace, name=name, objects=objects, vms=vms)


def read_contents(capture: StoredCapture, *, done: Callable[[], None] = lambda: None) -> Contents:
    """Read every document of a capture, and check each against the seal; `done` is called after each.

    Where the seal cannot be used, documents are read as they lie in the bucket. A fault keeps no other document from
    being read; nothing is raised for one.
    """
    seal, faults = None, dict[str, VmServiceError]()
    run, beside = capture.run, [document.key for document in capture.documents]
    if capture.sealed:
        try:
            seal = read_seal(capture.store, run)
        except Exception as raised:  # noqa: BLE001 - a fault of this document; the others are of use without it
            faults[run.seal_key] = as_ours(raised, run.seal_key)
        done()
    digests = {key: "" for key in beside if key != run.seal_key}
    if seal is not None:
        digests = dict(seal.digests)

    def read(key: str) -> Capture | NamespaceFacts | VmServiceError:
        try:
            return read_whole(capture.store, run, key, digests[key])[0]
        except Exception as raised:  # noqa: BLE001 - a fault of this document; the others are of use without it
            return as_ours(raised, key)

    objects, namespaces = dict[ObjectRef, Capture](), dict[str, NamespaceFacts]()
    with ThreadPoolExecutor(READERS, thread_name_prefix="contents") as readers:
        for key, answer in zip(digests, readers.map(read, digests), strict=True):
            if isinstance(answer, VmServiceError):
                faults[key] = answer
            elif isinstance(answer, NamespaceFacts):
                namespaces[answer.namespace] = answer
            elif (ref := captured_object(key)) is not None:
                objects[ref] = answer
            done()
    return Contents(
        capture=capture,
        seal=seal,
        objects=dict(sorted(objects.items())),
        namespaces=dict(sorted(namespaces.items())),
        faults=faults,
        unlisted=tuple(sorted(set(beside) - digests.keys() - {run.seal_key})) if seal else (),
    )
