"""The catalogue: every capture in the buckets that can be listed, whether a Velero Backup or the command line made it.

A list of keys says which captures there are, of what objects, and whether each is sealed; the seal says the rest and is
read where it is asked for. What a bucket says is not vouched for by anything but itself.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.other_backups import location_names
from velero_vmservice.archive.restore_point import read_seal
from velero_vmservice.archive.schema import BackupRun, captured_object, is_time, moment
from velero_vmservice.archive.store import READERS
from velero_vmservice.captures.naming import Flaw, Reference
from velero_vmservice.errors import ForeignStorage, InvalidItem, InvalidSettings, NotFound, VmServiceError, as_ours
from velero_vmservice.supervisor.identity import ClusterChoice, cluster_id
from velero_vmservice.velero.runs import CaptureRef, Maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.archive.store import ObjectStore, StorageLocations, StoredDocument
    from velero_vmservice.captures.naming import Named
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import ObjectRef


_DOCUMENT: Final = re.compile(r"(captures|vadp)/([^/]+)/([^/]+)/.+")
_MAKERS: Final = {maker.root: maker for maker in Maker}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCapture:
    """One capture in a bucket, as the list of its documents shows it."""

    run: BackupRun
    store: ObjectStore
    documents: Sequence[StoredDocument]

    @property
    def ref(self) -> CaptureRef:
        """How the command line names it."""
        run = self.run
        return CaptureRef(maker=run.maker, name=run.name, started=run.started, location=run.location)

    @property
    def started(self) -> str:
        """When its run began: UTC, compact."""
        return self.run.started

    @property
    def sealed(self) -> bool:
        """Whether it is whole: the seal is written last."""
        return any(document.key == self.run.seal_key for document in self.documents)

    @property
    def objects(self) -> Sequence[ObjectRef]:
        """The groups and services that it holds."""
        refs = (captured_object(document.key) for document in self.documents)
        return sorted(ref for ref in refs if ref is not None)

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(document.size for document in self.documents)

    @property
    def written(self) -> datetime:
        """When its last document was written, by the server's clock."""
        return max(document.written for document in self.documents)

    @property
    def where(self) -> str:
        """Where its documents lie, as a person reads it."""
        return self.store.where(f"{self.run.prefix}*")

    def __str__(self) -> str:
        return f"capture {self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The captures in the buckets that could be listed."""

    captures: Sequence[StoredCapture]
    """The newest first."""
    unread: Sequence[VmServiceError] = ()
    """Why buckets could not be listed: a capture that is not here may lie there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seals:
    """The seals of captures, as far as they can be read."""

    whole: Mapping[CaptureRef, Seal] = field(default_factory=dict)
    unusable: Mapping[CaptureRef, VmServiceError] = field(default_factory=dict)
    """Why a seal cannot be used: `NotFound` for a capture without one, `Corrupt` for a damaged one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRuns:
    """What the command line captured, by the names of the captures alone; whether they are whole is not known."""

    runs: Sequence[BackupRun] = ()
    unread: Sequence[VmServiceError] = ()
    """Why buckets could not be listed."""


class Catalogue:
    """Finds captures in the buckets of all BackupStorageLocations, or in the settings' own."""

    def __init__(
        self, *, cluster: Cluster, locations: StorageLocations, velero_namespace: str, own_bucket: bool
    ) -> None:
        self._cluster = cluster
        self._locations = locations
        self._velero_namespace = velero_namespace
        self._own_bucket = own_bucket
        self._own_cluster = ""

    def list(self, *, name: str = "", location: str = "") -> Listing:
        """Return all captures, or those of a name or location; two locations that are one bucket show each once.

        Raises `InvalidSettings` where there is no bucket to look in, and what the cluster raises.
        """
        captures, unread = dict[str, StoredCapture](), list[VmServiceError]()
        for where in self.buckets(location):
            try:
                store = self._locations.open(where)
                for capture in self._listed(store, where, name):
                    captures.setdefault(f"{store.endpoint} {capture.where}", capture)
            except VmServiceError as error:
                unread.append(error)
        newest_first = sorted(
            captures.values(), key=lambda capture: (capture.run.started, capture.run.name), reverse=True
        )
        return Listing(captures=newest_first, unread=unread)

    def clusters(self, wanted: str = "") -> ClusterChoice:
        """Return which cluster's captures are meant: the connected one's, or those of the one that is named."""
        self._own_cluster = self._own_cluster or cluster_id(self._cluster)
        return ClusterChoice(own=self._own_cluster, wanted=wanted)

    def find(self, reference: str, *, location: str = "") -> StoredCapture:
        """Return the capture that a person names; raises as `named`."""
        return self.named(reference, location=location).stored

    def named(self, reference: str, *, location: str = "", from_cluster: str = "") -> Named[StoredCapture]:
        """Return the capture that a person names NAME/TIME, or NAME: the newest that is sealed and holds anything.

        By NAME alone a capture of another cluster is meant only with its id, or `any`, as `from_cluster`.
        Where no capture of the name is both, it is the newest sealed one, else the newest. Raises `NotFound` if there
        is none, `InvalidItem` if captures of several makers or locations answer to it, and the error of a bucket that
        could not be listed where it may lie there.
        """
        wanted = Reference.read(reference)
        listing = self.list(name=wanted.name, location=location)
        clusters = self.clusters(from_cluster)
        named = wanted.among(listing.captures, lambda capture: _flaw(capture, clusters))
        if len(named.meant) == 1:
            return named
        if named.meant:
            places = ", ".join(capture.where for capture in named.meant)
            options = " or ".join(sorted({f"--location {capture.run.location}" for capture in named.meant}))
            raise InvalidItem(
                f"several captures are named {reference}: {places}",
                hint=f"name the location of the one that is meant: {options}",
            )
        if listing.unread:
            raise listing.unread[0]
        if named.passed_over:
            newest = named.passed_over[0].stored.ref
            raise NotFound(
                f"no capture named {reference} is of {clusters}; the newest of another is {newest}",
                hint="name that with its time, and give --from-cluster where it is to be restored",
            )
        others = ", ".join(str(capture.ref) for capture in listing.captures[:3])
        raise NotFound(
            f"no bucket has a capture named {reference}",
            hint=f"captures of that name: {others}" if others else "list them: velero-vmservice captures list",
        )

    def names(self, reference: str = "") -> Sequence[str]:
        """Return the names of captures, or NAME/TIME of each of a name where the beginning of a reference has a slash.

        Lists names alone, to complete what a person types: a bucket that cannot be listed is passed over. Raises what
        the cluster raises.
        """
        name, slash, _ = reference.partition("/")
        listed = set[str]()
        for store in self._stores():
            for maker in Maker:
                if slash:
                    listed.update(f"{name}/{time}" for time in store.folders(f"{maker.root}/{name}/") if is_time(time))
                else:
                    listed.update(store.folders(f"{maker.root}/"))
        return sorted(listed)

    def jobs(self) -> Sequence[str]:
        """Return the VADP jobs of the newest capture of each name that the command has made; as `names`.

        All captures of a job have one name, so that few seals are read.
        """
        jobs = set[str]()
        for store in self._stores():
            newest = dict(sorted(_started(store, Maker.COMMAND)))
            for name, started in newest.items():
                with contextlib.suppress(VmServiceError):
                    jobs.add(read_seal(store, self._run(Maker.COMMAND, name, started, "")).vadp.job)
        return sorted(jobs - {""})

    def _stores(self) -> Iterator[ObjectStore]:
        """Yield the buckets that can be opened."""
        for location in self._places(""):
            with contextlib.suppress(VmServiceError):
                yield self._locations.open(location)

    def taken(self, *, since: datetime) -> CommandRuns:
        """Return the captures of the command line that began since then, at the price of a list of their names.

        Of a Velero without a location there are none. Raises what the cluster raises.
        """
        runs, unread = dict[str, BackupRun](), list[VmServiceError]()
        for location in self._places(""):
            try:
                store = self._locations.open(location)
                for name, started in _started(store, Maker.COMMAND):
                    run = self._run(Maker.COMMAND, name, started, location)
                    if moment(started) >= since:
                        runs.setdefault(f"{store.endpoint} {store.where(run.seal_key)}", run)
            except ForeignStorage:
                continue
            except VmServiceError as error:
                unread.append(error)
        return CommandRuns(runs=list(runs.values()), unread=unread)

    def seals(self, captures: Iterable[StoredCapture]) -> Seals:
        """Read the seals of captures side by side."""
        whole, unusable = dict[CaptureRef, "Seal"](), dict[CaptureRef, VmServiceError]()
        chosen = list(captures)
        with ThreadPoolExecutor(READERS, thread_name_prefix="seals") as readers:
            for capture, answer in zip(chosen, readers.map(_seal, chosen), strict=True):
                if isinstance(answer, VmServiceError):
                    unusable[capture.ref] = answer
                else:
                    whole[capture.ref] = answer
        return Seals(whole=whole, unusable=unusable)

    def _places(self, location: str) -> Sequence[str]:
        if location:
            return (location,)
        return location_names(self._cluster, self._velero_namespace, own_bucket=self._own_bucket)

    def buckets(self, location: str = "") -> Sequence[str]:
        """Return the names of the locations to look in, '' for the settings' bucket.

        Raises `InvalidSettings` where there is none, and what the cluster raises.
        """
        names = self._places(location)
        if not names:
            raise InvalidSettings(
                f"there is no bucket to look in: the settings name none, and namespace {self._velero_namespace} has no"
                " BackupStorageLocation",
                hint="set bucket.name in the settings, or name Velero's namespace with velero_namespace",
            )
        return names

    def _listed(self, store: ObjectStore, location: str, name: str) -> Iterable[StoredCapture]:
        documents = defaultdict[tuple[str, ...], list["StoredDocument"]](list)
        for maker in Maker:
            for document in store.documents(f"{maker.root}/{name}/" if name else f"{maker.root}/"):
                match = _DOCUMENT.fullmatch(document.key)
                if match and is_time(match[3]):
                    documents[match.groups()].append(document)
        for (root, its_name, started), its_documents in documents.items():
            run = self._run(_MAKERS[root], its_name, started, location)
            yield StoredCapture(run=run, store=store, documents=its_documents)

    def run_of(self, ref: CaptureRef) -> BackupRun:
        """Return the run that a reference names, as far as its documents tell."""
        return self._run(ref.maker, ref.name, ref.started, ref.location)

    def _run(self, maker: Maker, name: str, started: str, location: str) -> BackupRun:
        return BackupRun(
            name=name,
            namespace=self._velero_namespace,
            uid="",
            started=started,
            location=location,
            annotations={},
            maker=maker,
        )


def _flaw(capture: StoredCapture, clusters: ClusterChoice) -> Flaw | None:
    """Say what is wrong with a capture as the newest of its name; one whose seal cannot be read may hold anything."""
    if not capture.sealed:
        return Flaw.UNSEALED
    if capture.objects and not clusters.excludes:
        return None
    seal = _seal(capture)
    if isinstance(seal, VmServiceError):
        return None
    if not clusters.takes(seal.cluster_id):
        return Flaw.OTHER_CLUSTER
    return None if capture.objects or seal.vadp.machines else Flaw.EMPTY


def _started(store: ObjectStore, maker: Maker) -> Iterator[tuple[str, str]]:
    """Yield name and start of each capture; all captures of a VADP job have one name, so that the names are few."""
    for name in store.folders(f"{maker.root}/"):
        for folder in store.folders(f"{maker.root}/{name}/"):
            if is_time(folder):
                yield name, folder


def _seal(capture: StoredCapture) -> Seal | VmServiceError:
    try:
        return read_seal(capture.store, capture.run)
    except Exception as raised:  # noqa: BLE001 - the answer for this capture; the others are of use without it
        return as_ours(raised, f"the seal of {capture.run}")
