"""Chooses a capture: the latest, or the one that fits the VMs that are registered now, and what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.captures import selection
from velero_vmservice.captures.applications import ObjectName
from velero_vmservice.captures.matching import ranking, shortfall
from velero_vmservice.captures.matching.reading import CaptureReader, Part
from velero_vmservice.captures.naming import Flaw, PassedOver
from velero_vmservice.errors import NotFound
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.supervisor.identity import ANY
from velero_vmservice.text import enumerate_some
from velero_vmservice.vmoperator.virtual_machine import is_recorded, read_vm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.captures.catalogue import Catalogue, StoredCapture
    from velero_vmservice.captures.matching.candidate import Candidate, VmName
    from velero_vmservice.captures.matching.ranking import Concerns, Match
    from velero_vmservice.captures.matching.reading import ReadCaptures
    from velero_vmservice.captures.matching.shortfall import Lack
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.velero.runs import CaptureRef
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

LATEST: Final = "latest"
MATCH: Final = "match"
"""The words that `--from` reserves."""
MOST_COMPARED: Final = 500
"""Captures that are read at most, the newest first."""
LATER: Final = 20
"""Captures after one that is named that are read to see whether it was taken during a recovery."""


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
    concerns: Concerns = ranking.concerns_all
    """Whether what a capture lacks is asked for."""
    from_cluster: str = ""
    """Captures of the cluster with this id, or of `any`; of the connected one without it."""
    location: str = ""
    """Captures in the bucket of this location; '' for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The captures, the best first."""

    matches: Sequence[Match]
    stored: Mapping[CaptureRef, StoredCapture]
    problems: Sequence[str]
    """In sentences: what could not be read, and which newer capture is not the best though it fits as well."""
    unread: int = 0
    """How many older captures were not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """The newest capture that holds what is asked for."""

    capture: StoredCapture
    lacks: Sequence[Lack]
    """What it does not hold, though an earlier one does."""
    passed_over: Sequence[str] = ()
    """Why newer captures are not meant, in sentences."""


class CaptureChoice:
    """Ranks the captures of all buckets."""

    def __init__(self, *, catalogue: Catalogue, cluster: Cluster) -> None:
        self._catalogue = catalogue
        self._cluster = cluster

    def latest(
        self,
        namespaces: Collection[str] = (),
        applications: Collection[str | ObjectName] = (),
        *,
        location: str = "",
        from_cluster: str = "",
    ) -> Latest:
        """Return the newest sealed capture, of these namespaces and with the applications that are named, if any.

        An application is named by itself, or by an object that it has.

        It is of the connected cluster, or of the one that is named. One that holds nothing, or that cannot be read, is
        passed over. Raises `NotFound` if there is none, and the error of a bucket that could not be listed where it may
        lie there.
        """
        listing = self._catalogue.list(location=location)
        sealed, clusters = _sealed(listing.captures, namespaces), self._catalogue.clusters(from_cluster)
        newest, short = None, set[str]()
        reader = CaptureReader(sealed, Part(namespaces=tuple(namespaces), clusters=clusters), most=MOST_COMPARED)
        known = reader.known
        while reader.read(short):
            newest = newest or next((each for each in known.candidates if _is_meant(each, applications)), None)
            short = shortfall.unreached(newest, known.candidates) if newest else short
            if newest is not None and not short:
                break
        if newest is None:
            if listing.unread:
                raise listing.unread[0]
            raise _none(namespaces, applications, others=bool(sealed) and clusters.excludes)
        return Latest(
            capture=known.stored[newest.ref],
            lacks=shortfall.lacks_of(known.candidates)[newest.ref],
            passed_over=[
                *_unsealed(listing.captures, newest, namespaces),
                *_passed_over(newest, known, applications),
                *_not_compared(newest.ref, reader.unread(short)),
            ],
        )

    def lacks(self, capture: StoredCapture, namespaces: Collection[str] = (), *, location: str = "") -> Sequence[Lack]:
        """Return what a sealed capture does not hold, though one of those before it does; raises as catalogues do.

        Of a capture that cannot be read nothing is known: what is wrong with it is said where it is restored.
        """
        own = tuple(namespaces or selection.namespaces(capture))
        captures = self._catalogue.list(location=location).captures
        alike = [each for each in _sealed(captures, own) if each.ref != capture.ref]
        later = [each for each in alike if each.run.started > capture.run.started][-LATER:]
        earlier = [each for each in alike if each.run.started < capture.run.started]
        part = Part(namespaces=own, clusters=self._catalogue.clusters(ANY))
        reader = CaptureReader([*later, capture, *earlier], part, most=MOST_COMPARED)
        while reader.read() and capture.ref not in reader.known.unusable:
            chosen = [each for each in reader.known.candidates if each.ref == capture.ref]
            if chosen and not shortfall.unreached(chosen[0], reader.known.candidates):
                break
        return shortfall.lacks_of(reader.known.candidates).get(capture.ref, ())

    def since_last(self, ref: CaptureRef) -> Sequence[Lack]:
        """Return what a capture lacks of the last sealed one of its name that shares a namespace with it.

        Raises what the catalogue raises, and the error of either that cannot be read.
        """
        captures = self._catalogue.list(name=ref.name, location=ref.location).captures
        own = [capture for capture in captures if (capture.run.maker, capture.started) == (ref.maker, ref.started)]
        of_namespaces = _sealed(captures, selection.namespaces(own[0])) if own else ()
        last = next((capture for capture in of_namespaces if capture.started < ref.started), None)
        if last is None:
            return ()
        reader = CaptureReader([own[0], last], Part(), most=2)
        reader.read()
        for error in reader.known.unusable.values():
            raise error
        return shortfall.lacks_of(reader.known.candidates)[own[0].ref]

    def ranked(
        self, request: MatchRequest, *, read: Callable[[int, int], None] = lambda _done, _total: None
    ) -> Ranking:
        """Return the sealed captures that the request is about, the best first.

        They are read the newest first, until one fits and enough before it are known; `read` is told how many of how
        many have been. Raises `NotFound` if there is none, and what cluster and catalogue raise.
        """
        listing = self._catalogue.list(location=request.location)
        sealed, clusters = _sealed(listing.captures, request.namespaces), self._catalogue.clusters(request.from_cluster)
        part = Part(namespaces=request.namespaces, application=request.application, clusters=clusters)
        reader = CaptureReader(sealed, part, most=MOST_COMPARED)
        live, known, matches = _LiveVms(self._cluster, request), reader.known, list["Match"]()
        best, short = None, set[str]()
        while reader.read(short):
            read(len(sealed) - known.unread, min(len(sealed), MOST_COMPARED))
            matches = list(_ranked(known.candidates, live, request))
            best = ranking.best(matches)
            short = shortfall.unreached(best.candidate, known.candidates) if best else set()
            if best is not None and not short:
                break
        if not matches:
            if listing.unread:
                raise listing.unread[0]
            named = (request.application,) if request.application else ()
            raise _none(request.namespaces, named, others=bool(sealed) and clusters.excludes)
        return Ranking(
            matches=matches,
            stored=known.stored,
            problems=[
                *(f"not searched: {error.message}" for error in listing.unread),
                *_left_out(known.unusable),
                *(_not_chosen(best, ranking.passed_over(matches, best)) if best else ()),
                *(_not_compared(best.candidate.ref, reader.unread(short)) if best else ()),
            ],
            unread=known.unread,
        )


class _LiveVms:
    """The VMs as they are registered, each namespace listed once."""

    def __init__(self, cluster: Cluster, request: MatchRequest) -> None:
        self._cluster = cluster
        self._mapping = request.mapping
        self._whole = not request.application
        self._by_namespace: dict[str, Mapping[VmName, ObservedVm]] = {}

    def of(self, candidates: Iterable[Candidate]) -> Mapping[VmName, ObservedVm]:
        """Return the VMs where the captured ones come back; of an application those of its names alone."""
        names = {(self._mapping.get(name[0], name[0]), name[1]) for candidate in candidates for name in candidate.vms}
        live = dict["VmName", "ObservedVm"]()
        for namespace in sorted({name[0] for name in names}):
            if namespace not in self._by_namespace:
                observed = self._cluster.read_all(
                    VIRTUAL_MACHINE, namespace, lambda vm: read_vm(vm) if is_recorded(vm) else None
                )
                self._by_namespace[namespace] = {(namespace, vm.name): vm for vm in observed if vm is not None}
            live |= self._by_namespace[namespace]
        return live if self._whole else {name: vm for name, vm in live.items() if name in names}


def _ranked(candidates: Sequence[Candidate], live: _LiveVms, request: MatchRequest) -> Sequence[Match]:
    if request.restore_point:
        return ranking.by_restore_point(candidates, request.restore_point, job=request.job, concerns=request.concerns)
    if request.time is not None:
        return ranking.by_time(candidates, request.time, concerns=request.concerns)
    return ranking.by_vms(candidates, live.of(candidates), mapping=request.mapping, concerns=request.concerns)


def _sealed(captures: Iterable[StoredCapture], namespaces: Collection[str]) -> Sequence[StoredCapture]:
    return [capture for capture in captures if capture.sealed and _is_about(capture, namespaces)]


def _is_about(capture: StoredCapture, namespaces: Collection[str]) -> bool:
    if not namespaces:
        return True
    facts = {capture.run.namespace_key(namespace) for namespace in namespaces}
    return any(document.key in facts for document in capture.documents) or any(
        ref.namespace in namespaces for ref in capture.objects
    )


def _is_meant(candidate: Candidate, applications: Collection[str | ObjectName]) -> bool:
    if not applications:
        return not candidate.is_empty
    return all(_holds(candidate, name) for name in applications)


def _holds(candidate: Candidate, name: str | ObjectName) -> bool:
    """Say whether NAME or NAMESPACE/NAME is a group, a service, or a VM without an application."""
    if isinstance(name, ObjectName):
        return any(map(name.is_of, candidate.objects))
    alone = (text for namespace, vm in candidate.vms for text in (vm, f"{namespace}/{vm}"))
    return any(application.is_named(name) for application in candidate.objects.values()) or name in alone


def _left_out(unusable: Mapping[CaptureRef, VmServiceError]) -> Iterable[str]:
    return (f"capture {ref} is left out: {error.message}" for ref, error in unusable.items())


def _not_chosen(best: Match, newer: Sequence[Match]) -> Iterable[str]:
    """Yield why the newest of the captures that fit as well is not the best."""
    for match in newer[:1]:
        lacks = enumerate_some([str(lack.ref) for lack in match.lacks if lack.recovering])
        more = f" with {len(newer) - 1} more" if newer[1:] else ""
        yield (
            f"capture {match.candidate.ref}, {match.fit} and newer than {best.candidate.ref}, is passed over{more}:"
            f" it may have been taken during a recovery, as it lacks {lacks}"
        )


def _not_compared(ref: CaptureRef, older: int) -> Iterable[str]:
    if older:
        yield f"whether capture {ref} lacks anything of {older} older captures is not known: they were not compared"


def _unsealed(captures: Iterable[StoredCapture], chosen: Candidate, namespaces: Collection[str]) -> Iterable[str]:
    for capture in captures:
        if not capture.sealed and capture.started > chosen.ref.started and _is_about(capture, namespaces):
            yield PassedOver(stored=capture, flaw=Flaw.UNSEALED).sentence


def _passed_over(chosen: Candidate, known: ReadCaptures, applications: Collection[str | ObjectName]) -> Iterable[str]:
    for candidate in known.candidates:
        if candidate.started > chosen.started:
            lacking = f"does not hold {', '.join(map(str, applications))}"
            yield f"capture {candidate.ref} is passed over: it {lacking if applications else Flaw.EMPTY}"
    newer = {ref: error for ref, error in known.unusable.items() if ref.started > chosen.ref.started}
    yield from _left_out(newer)


def _none(namespaces: Collection[str], applications: Collection[str | ObjectName], *, others: bool) -> NotFound:
    about = f" of namespace {', '.join(sorted(namespaces))}" if namespaces else ""
    about += f" with application {', '.join(map(str, applications))}" if applications else ""
    hint = "list them: velero-vmservice captures list"
    if others:
        hint += " -o wide; those of another cluster are taken with --from-cluster"
    return NotFound(f"no bucket has a sealed capture{about}", hint=hint)
