"""Finds out what of the cluster is protected: the live objects, the recent captures, and what those say of each.

It is the search that the metrics are made of (`holdings`), for single objects, and without their bound on requests.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive import schema
from velero_vmservice.archive.facts import VmFacts
from velero_vmservice.archive.schema import Capture
from velero_vmservice.archive.store import READERS, check_capture, read_document
from velero_vmservice.backup.applications import connected_objects
from velero_vmservice.captures.coverage import Coverage, Gap, LiveObject, chosen, covered, vms_gap
from velero_vmservice.captures.holdings import Holdings, Sought
from velero_vmservice.captures.recent_runs import RecentRuns
from velero_vmservice.errors import Corrupt, NotFound, VmServiceError, as_ours
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, ObjectRef
from velero_vmservice.supervisor.named_namespace import demand_namespace
from velero_vmservice.vmoperator.virtual_machine import is_recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.captures.catalogue import Catalogue
    from velero_vmservice.captures.protection import SealedCapture
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest

MOST_UNSEALED: Final = 50
"""Captures without a seal whose keys are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LiveVm:
    namespace: str
    facts: VmFacts
    created: datetime | None
    deleting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    objects: Sequence[LiveObject] = field(default=())
    nodes: int = 0


class Covering:
    """Works out the coverage of namespaces."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        locations: StorageLocations,
        catalogue: Catalogue,
        clock: Clock,
        velero_namespace: str,
    ) -> None:
        self._cluster = cluster
        self._locations = locations
        self._catalogue = catalogue
        self._runs = RecentRuns(cluster=cluster, catalogue=catalogue, velero_namespace=velero_namespace)
        self._clock = clock
        self._velero_namespace = velero_namespace

    def of(
        self,
        namespaces: Sequence[str],
        *,
        within: timedelta,
        read: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Coverage:
        """Return how the VMs, groups and services of these namespaces stand, of all where none is named.

        Captures that began longer ago than `within` do not count; `read` is told how many of how many were looked at.
        Raises `NotFound` for a namespace that does not exist, `InvalidSettings` where there is no bucket, and
        what the cluster raises while VMs, groups and services cannot be listed.
        """
        self._catalogue.buckets()
        for namespace in namespaces:
            demand_namespace(self._cluster, namespace)
        now = self._clock.now()
        live = self._live(tuple(dict.fromkeys(namespaces)) or ("",), now)
        recent = self._runs.read(since=now - within)
        sought = [Sought(objects=frozenset({each.ref}), with_job=_is_vm(each)) for each in live.objects]
        held = Holdings(locations=self._locations, readers=READERS, clusters=self._catalogue.clusters).find(
            sought, recent.runs, read=read
        )
        unread = [*recent.buckets_unread, *held.unread]
        if recent.backups_unread is not None:
            unread.insert(0, recent.backups_unread)
        by_object = _first_holders(live.objects, held.captures)
        documents = self._documents(by_object)
        missing = {each.ref for each in live.objects if by_object[each.ref] is None}
        unsealed = self._unsealed(held.unsealed, missing)
        of_vms = _vms_gaps(live.objects, documents)
        entries = [
            covered(
                each,
                by_object[each.ref],
                document=Gap.UNKNOWN if isinstance(document, VmServiceError) else document,
                vms_gap=of_vms.get(each.application),
                unsealed=unsealed,
                complete=not unread,
            )
            for each, document in ((each, documents.get(each.ref)) for each in live.objects)
        ]
        unread += [document for document in documents.values() if isinstance(document, VmServiceError)]
        return Coverage(entries=entries, nodes=live.nodes, now=now, since=now - within, unread=unread)

    def _live(self, namespaces: Collection[str], now: datetime) -> _Live:
        vms = [vm for name in namespaces for vm in self._cluster.read_all(VIRTUAL_MACHINE, name, _live_vm)]
        manifests = {
            ObjectRef(kind, manifest.namespace, manifest.name): manifest
            for name in namespaces
            for kind in CAPTURED_KINDS
            for manifest in self._cluster.list(kind, name)
        }
        applications = connected_objects(manifests.values(), ((vm.namespace, vm.facts) for vm in vms), now=now)
        name_of = {ref: each.name for each in applications for ref in each.objects}
        of_vm = {
            ObjectRef(VIRTUAL_MACHINE, each.name.namespace, vm): each.name for each in applications for vm in each.vms
        }
        objects = [
            LiveObject(ref=ref, created=manifests[ref].created, application=application, manifest=manifests[ref])
            for ref, application in name_of.items()
        ]
        recorded = [vm for vm in vms if vm.facts.recorded]
        for vm in recorded:
            if vm.deleting:
                continue
            ref = ObjectRef(VIRTUAL_MACHINE, vm.namespace, vm.facts.name)
            group = ObjectRef(VIRTUAL_MACHINE_GROUP, vm.namespace, vm.facts.group_name)
            application = of_vm.get(ref) or name_of.get(group)
            objects.append(LiveObject(ref=ref, created=vm.created, application=application, connected=ref in of_vm))
        return _Live(objects=sorted(objects, key=_order), nodes=len(vms) - len(recorded))

    def _documents(
        self, by_object: Mapping[ObjectRef, SealedCapture | None]
    ) -> Mapping[ObjectRef, Capture | Gap | VmServiceError]:
        held = [(ref, capture) for ref, capture in by_object.items() if capture is not None and capture.keys[ref]]
        with ThreadPoolExecutor(READERS, thread_name_prefix="coverage") as readers:
            answers = readers.map(lambda pair: self._document(*pair), held)
            return {ref: answer for (ref, _), answer in zip(held, answers, strict=True)}

    def _document(self, ref: ObjectRef, capture: SealedCapture) -> Capture | Gap | VmServiceError:
        run = self._catalogue.run_of(capture.ref)
        try:
            store = self._locations.open(run.location, namespace=run.namespace)
            document = read_document(store, capture.keys[ref], Capture)
            check_capture(document, ref, run)
        except (Corrupt, NotFound):
            return Gap.DAMAGED
        except Exception as raised:  # noqa: BLE001 - handed back; the other objects are of interest without it
            return as_ours(raised, f"the capture {capture.keys[ref]}")
        return document

    def _unsealed(self, runs: Iterable[BackupRun], missing: Collection[ObjectRef]) -> Collection[ObjectRef]:
        """Return which of the objects that no capture holds lie in one without a seal."""
        unsealed = set[ObjectRef]()
        wanted = {ref for ref in missing if ref.kind != VIRTUAL_MACHINE}
        for run in list(runs)[:MOST_UNSEALED]:
            if not wanted - unsealed:
                break
            try:
                store = self._locations.open(run.location, namespace=run.namespace)
                keys = list(store.list(f"{run.prefix}objects/"))
            except VmServiceError:
                continue
            refs = map(schema.captured_object, keys)
            unsealed |= {ref for ref in refs if ref is not None}
        return unsealed


def _vms_gaps(
    objects: Sequence[LiveObject], documents: Mapping[ObjectRef, Capture | Gap | VmServiceError]
) -> Mapping[ObjectRef | None, Gap | None]:
    """Say of each application what is wrong with its VMs in captures, as far as every document of it was read."""
    vms, captured = defaultdict[ObjectRef | None, list[str]](list), defaultdict[ObjectRef | None, list[Capture]](list)
    unread = set[ObjectRef | None]()
    for each in objects:
        document = documents.get(each.ref)
        if each.ref.kind == VIRTUAL_MACHINE:
            vms[each.application] += [each.ref.name] if each.connected else []
        elif isinstance(document, Capture):
            captured[each.application].append(document)
        elif document is not None:
            unread.add(each.application)
    return {name: vms_gap(vms[name], read) for name, read in captured.items() if name not in unread}


def _first_holders(
    objects: Iterable[LiveObject], captures: Sequence[SealedCapture]
) -> Mapping[ObjectRef, SealedCapture | None]:
    return {each.ref: chosen(each, captures) for each in objects}


def _live_vm(vm: Manifest) -> _LiveVm:
    facts = VmFacts(
        name=vm.name,
        labels={str(key): str(value) for key, value in vm.labels.items()},
        group_name=str(vm.spec.get("groupName", "")),
        recorded=is_recorded(vm),
    )
    return _LiveVm(namespace=vm.namespace, facts=facts, created=vm.created, deleting=vm.deleting)


def _is_vm(live: LiveObject) -> bool:
    return live.ref.kind == VIRTUAL_MACHINE


def _order(live: LiveObject) -> tuple[str, bool, str, bool, str, str]:
    """Sort by namespace, then by application with its groups and services first, then VMs without one."""
    ref, application = live.ref, live.application
    return (
        ref.namespace,
        application is None,
        str(application or ""),
        _is_vm(live),
        ref.kind.name,
        ref.name,
    )
