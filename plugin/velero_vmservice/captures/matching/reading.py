"""Reads captures as far as they are compared: seal and facts, the newest first and no further than asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
from velero_vmservice.archive.restore_point import read_seal
from velero_vmservice.archive.schema import captured_object, moment
from velero_vmservice.archive.store import READERS, read_facts
from velero_vmservice.captures import selection
from velero_vmservice.captures.applications import sealed_applications
from velero_vmservice.captures.matching.candidate import Candidate
from velero_vmservice.errors import VmServiceError, as_ours
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, ObjectRef
from velero_vmservice.supervisor.identity import ClusterChoice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.captures.applications import CapturedApplication
    from velero_vmservice.captures.catalogue import StoredCapture
    from velero_vmservice.velero.runs import CaptureRef

BATCH: Final = 20
"""Captures that are read before it is asked whether more have to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of captures that is compared."""

    namespaces: tuple[str, ...] = ()
    """Empty for all that a capture has."""
    application: str = ""
    """NAME or NAMESPACE/NAME of a group or service; '' for all VMs."""
    clusters: ClusterChoice = field(default_factory=ClusterChoice)
    """The clusters whose captures are compared."""


@dataclass(slots=True)
class ReadCaptures:
    """What was read so far."""

    candidates: list[Candidate] = field(default_factory=list)
    """The newest first."""
    stored: dict[CaptureRef, StoredCapture] = field(default_factory=dict)
    unusable: dict[CaptureRef, VmServiceError] = field(default_factory=dict)
    """Why a capture cannot be compared: its seal or its facts are gone, damaged or unread."""
    unread: int = 0
    """How many older captures were not looked at."""


class CaptureReader:
    """Reads sealed captures, the newest first and at most so many.

    A capture of another cluster, or that holds nothing of an application that is asked for, is no candidate. Nothing is
    raised for a capture.
    """

    def __init__(self, captures: Sequence[StoredCapture], part: Part, *, most: int) -> None:
        self._waiting = list(captures)
        self._part = part
        self._left = most
        self.known = ReadCaptures(unread=len(captures))

    def read(self, namespaces: Collection[str] = ()) -> bool:
        """Read the next few captures, of these namespaces where any are named; say whether there were any."""
        batch = self._of(namespaces)[: min(BATCH, self._left)]
        refs = {capture.ref for capture in batch}
        self._waiting = [capture for capture in self._waiting if capture.ref not in refs]
        self._left -= len(batch)
        self.known.unread -= len(batch)
        with ThreadPoolExecutor(READERS, thread_name_prefix="match") as readers:
            for capture, answer in zip(batch, readers.map(lambda each: _attempt(each, self._part), batch), strict=True):
                if isinstance(answer, VmServiceError):
                    self.known.unusable[capture.ref] = answer
                elif answer is not None:
                    self.known.candidates.append(answer)
                    self.known.stored[capture.ref] = capture
        return bool(batch)

    def unread(self, namespaces: Collection[str]) -> int:
        """Return how many captures of these namespaces were not read."""
        return len(self._of(namespaces)) if namespaces else 0

    def _of(self, namespaces: Collection[str]) -> Sequence[StoredCapture]:
        if not namespaces:
            return self._waiting
        return [each for each in self._waiting if not set(selection.namespaces(each)).isdisjoint(namespaces)]


def _attempt(capture: StoredCapture, part: Part) -> Candidate | VmServiceError | None:
    """Return a capture with what it holds, None if it is not of cluster and application, or why it cannot be used."""
    try:
        return _candidate(capture, read_seal(capture.store, capture.run), part)
    except Exception as raised:  # noqa: BLE001 - the answer for this capture; the others are of use without it
        return as_ours(raised, f"the capture {capture.ref}")


def _candidate(capture: StoredCapture, seal: Seal, part: Part) -> Candidate | None:
    if not part.clusters.takes(seal.cluster_id):
        return None
    applications = [
        application
        for application in sealed_applications(capture.store, seal, namespaces=part.namespaces)
        if not part.application or application.is_named(part.application)
    ]
    if part.application and not applications:
        return None
    facts = dict(_facts(capture, seal, part))
    vms = dict(_vms(seal, facts, part))
    if part.application:
        names = {(application.name.namespace, name) for application in applications for name in application.vms}
        vms = {name: vm for name, vm in vms.items() if name in names}
    return Candidate(
        ref=capture.ref,
        started=moment(capture.run.started),
        cluster=seal.cluster_id or part.clusters.own,
        job=seal.vadp.job,
        restore_point=seal.vadp.restore_point,
        vms=vms,
        objects=dict(_objects(seal, applications, part)),
        namespaces=facts.keys(),
        existing=frozenset(ref for namespace in facts.values() for ref in _existing(namespace)),
        uids={(facts_of.namespace, vm.name): vm.uid for facts_of in facts.values() for vm in facts_of.machines},
    )


def _objects(
    seal: Seal, applications: Sequence[CapturedApplication], part: Part
) -> Iterator[tuple[ObjectRef, CapturedApplication]]:
    by_object = {ref: application for application in applications for ref in application.objects}
    for sealed in seal.objects:
        ref = captured_object(sealed.key)
        if ref in by_object and _is_in(ref.namespace, part.namespaces):
            yield ref, by_object[ref]


def _facts(capture: StoredCapture, seal: Seal, part: Part) -> Iterator[tuple[str, NamespaceFacts]]:
    for sealed in seal.namespaces:
        namespace = capture.run.namespace_of(sealed.key)
        if _is_in(namespace, part.namespaces):
            yield namespace, read_facts(capture.store, capture.run, namespace, sha256=sealed.sha256)


def _vms(seal: Seal, facts: Mapping[str, NamespaceFacts], part: Part) -> Iterator[tuple[tuple[str, str], VmFacts]]:
    """Yield the VMs that belong in the job of a capture, with what its facts know of them."""
    for key, version in sorted(seal.vadp.machines.items()):
        namespace, _, name = key.partition("/")
        if _is_in(namespace, part.namespaces):
            known = facts[namespace].by_name.get(name) if namespace in facts else None
            yield (namespace, name), known or VmFacts(name=name, backup_version=version)


def _existing(facts: NamespaceFacts) -> Iterator[ObjectRef]:
    for kind, entries in (
        (VIRTUAL_MACHINE, facts.machines),
        (VIRTUAL_MACHINE_GROUP, facts.groups),
        (VIRTUAL_MACHINE_SERVICE, facts.services),
    ):
        yield from (ObjectRef(kind, facts.namespace, entry.name) for entry in entries)


def _is_in(namespace: str, namespaces: Collection[str]) -> bool:
    return not namespaces or namespace in namespaces
