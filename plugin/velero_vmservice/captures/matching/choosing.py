"""Reads what `matching` decides on: the captures of all buckets with their VMs, and the VMs that are registered now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
from velero_vmservice.archive.schema import moment
from velero_vmservice.archive.store import READERS, read_facts
from velero_vmservice.captures.applications import applications_of
from velero_vmservice.captures.matching import ranking
from velero_vmservice.captures.matching.ranking import Candidate
from velero_vmservice.errors import NotFound, VmServiceError, as_ours
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.captures.catalogue import Catalogue, StoredCapture
    from velero_vmservice.captures.matching.ranking import Match, VmName
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.velero.runs import CaptureRef
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRequest:
    """What captures are to match; where neither a restore point nor a time is named, the VMs as registered now."""

    namespaces: tuple[str, ...] = ()
    """Namespaces in the capture; empty for all that it has."""
    application: str = ""
    """Its VMs alone; '' for all VMs."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Namespaces that a restore moves."""
    restore_point: str = ""
    job: str = ""
    """The VADP job of the restore point; '' for any."""
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The captures, the best first."""

    matches: Sequence[Match]
    stored: Mapping[CaptureRef, StoredCapture]
    problems: Sequence[str]
    """What could not be read, in sentences: a better capture may be among it."""


class CaptureChoice:
    """Ranks the captures of all buckets."""

    def __init__(self, *, catalogue: Catalogue, cluster: Cluster) -> None:
        self._catalogue = catalogue
        self._cluster = cluster

    def latest(self, namespaces: Collection[str] = ()) -> StoredCapture:
        """Return the newest sealed capture, of these namespaces where there are any.

        Raises `NotFound` if there is none, and the error of a bucket that could not be listed where it may lie there.
        """
        listing = self._catalogue.list()
        if listing.unread:
            raise listing.unread[0]
        for capture in listing.captures:
            if capture.sealed and _is_about(capture, namespaces):
                return capture
        about = f" of namespace {', '.join(sorted(namespaces))}" if namespaces else ""
        raise NotFound(f"no bucket has a sealed capture{about}", hint="list them: velero-vmservice captures list")

    def ranked(self, request: MatchRequest) -> Ranking:
        """Return the sealed captures that the request is about, the best first.

        Raises `NotFound` if there is none, and what cluster and catalogue raise.
        """
        listing = self._catalogue.list()
        problems = [f"not searched: {error.message}" for error in listing.unread]
        sealed = [capture for capture in listing.captures if capture.sealed and _is_about(capture, request.namespaces)]
        seals = self._catalogue.seals(sealed)
        candidates, stored = list[Candidate](), dict["CaptureRef", "StoredCapture"]()
        readable = [capture for capture in sealed if capture.ref in seals.whole]
        with ThreadPoolExecutor(READERS, thread_name_prefix="match") as readers:
            answers = readers.map(lambda capture: _candidate(capture, seals.whole[capture.ref], request), readable)
            for capture, answer in zip(readable, answers, strict=True):
                if isinstance(answer, VmServiceError):
                    problems.append(f"capture {capture.ref} is left out: {answer.message}")
                elif answer is not None:
                    candidates.append(answer)
                    stored[capture.ref] = capture
        problems += [f"capture {ref} is left out: {error.message}" for ref, error in seals.unusable.items()]
        if not candidates and listing.unread:
            raise listing.unread[0]
        if not candidates:
            raise _none(request)
        return Ranking(matches=self._matches(candidates, request), stored=stored, problems=problems)

    def _matches(self, candidates: Sequence[Candidate], request: MatchRequest) -> Sequence[Match]:
        if request.restore_point:
            return ranking.by_restore_point(candidates, request.restore_point, job=request.job)
        if request.time is not None:
            return ranking.by_time(candidates, request.time)
        return ranking.by_vms(candidates, self._live(candidates, request.mapping), mapping=request.mapping)

    def _live(self, candidates: Iterable[Candidate], mapping: Mapping[str, str]) -> Mapping[VmName, ObservedVm]:
        namespaces = sorted({mapping.get(name[0], name[0]) for candidate in candidates for name in candidate.vms})
        live = dict["VmName", "ObservedVm"]()
        for namespace in namespaces:
            vms = self._cluster.read_all(VIRTUAL_MACHINE, namespace, read_vm)
            live |= {(namespace, vm.name): vm for vm in vms}
        return live


def _is_about(capture: StoredCapture, namespaces: Collection[str]) -> bool:
    if not namespaces:
        return True
    facts = {capture.run.namespace_key(namespace) for namespace in namespaces}
    return any(document.key in facts for document in capture.documents) or any(
        ref.namespace in namespaces for ref in capture.objects
    )


def _candidate(capture: StoredCapture, seal: Seal, request: MatchRequest) -> Candidate | VmServiceError | None:
    """Return a capture with its VMs, None if it is not of the application, or why its documents cannot be used."""
    try:
        vms = dict(_vms(capture, seal, request))
        if request.application:
            names = _of_application(capture, seal, request)
            if names is None:
                return None
            vms = {name: vm for name, vm in vms.items() if name in names}
    except Exception as raised:  # noqa: BLE001 - the answer for this capture; the others are of use without it
        return as_ours(raised, f"the capture {capture.ref}")
    return Candidate(
        ref=capture.ref,
        started=moment(capture.run.started),
        job=seal.vadp.job,
        restore_point=seal.vadp.restore_point,
        vms=vms,
    )


def _vms(capture: StoredCapture, seal: Seal, request: MatchRequest) -> Iterator[tuple[VmName, VmFacts]]:
    """Yield the VMs that belong in the job of a capture, with what its facts know of them."""
    if request.restore_point or request.time is not None:
        return  # which VMs are there decides nothing
    digests = {sealed.key: sealed.sha256 for sealed in seal.namespaces}
    known = dict[str, NamespaceFacts | None]()
    for key, version in sorted(seal.vadp.machines.items()):
        namespace, _, name = key.partition("/")
        if request.namespaces and namespace not in request.namespaces:
            continue
        if namespace not in known:
            known[namespace] = _facts(capture, namespace, digests.get(capture.run.namespace_key(namespace), ""))
        facts = known[namespace]
        vm = facts.by_name.get(name) if facts else None
        yield (namespace, name), vm or VmFacts(name=name, backup_version=version)


def _facts(capture: StoredCapture, namespace: str, sha256: str) -> NamespaceFacts | None:
    if not sha256:
        return None
    return read_facts(capture.store, capture.run, namespace, sha256=sha256)


def _of_application(capture: StoredCapture, seal: Seal, request: MatchRequest) -> Collection[VmName] | None:
    applications = [
        entry
        for entry in applications_of(capture.store, seal, namespaces=request.namespaces)
        if entry.is_named(request.application)
    ]
    if not applications:
        return None
    return {(entry.name.namespace, name) for entry in applications for name in entry.vms}


def _none(request: MatchRequest) -> NotFound:
    about = f" of namespace {', '.join(request.namespaces)}" if request.namespaces else ""
    about += f" with application {request.application}" if request.application else ""
    return NotFound(f"no bucket has a sealed capture{about}", hint="list them: velero-vmservice captures list")
