"""Look at the captures that the command made, say which are no longer needed, and remove them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.archive.findings import Verdict as Judgement
from velero_vmservice.archive.pruning.decision import ENDED_PHASES
from velero_vmservice.archive.pruning.stored_runs import Area, runs_of
from velero_vmservice.archive.pruning.survey import Removal, remove_documents
from velero_vmservice.archive.pruning.unended import unended_restores
from velero_vmservice.captures.contents import applications
from velero_vmservice.captures.pruning.retention import Candidate, Verdict, decide
from velero_vmservice.captures.selection import Entry, entries
from velero_vmservice.errors import Conflict, NotFound, VmServiceError
from velero_vmservice.kube.manifest import RESTORE, VIRTUAL_MACHINE
from velero_vmservice.velero.runs import CaptureRef, Maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.archive.pruning.unended import UnendedRestore
    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.captures.catalogue import Catalogue, StoredCapture
    from velero_vmservice.captures.pruning.retention import Applications, Parts, Rules
    from velero_vmservice.captures.selection import Filter
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.supervisor.identity import ClusterChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCapture:
    """One capture of the command, and what becomes of it."""

    entry: Entry
    verdict: Verdict
    age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSurvey:
    """The captures in the buckets that could be listed."""

    captures: Sequence[JudgedCapture]
    """Those of the command, newest first."""
    at: datetime
    of_velero: int
    """How many are of Velero's backups, and of no concern here."""
    unended: Sequence[UnendedRestore] = ()
    """The restores in their buckets that have begun and not ended."""
    unread: Sequence[VmServiceError] = ()

    @property
    def removable(self) -> Sequence[JudgedCapture]:
        """The captures that may be removed."""
        return [judged for judged in self.captures if judged.verdict.removable]


class CapturePruning:
    """Finds and removes captures of the command that newer ones have replaced; Velero's are never touched."""

    def __init__(self, *, cluster: Cluster, catalogue: Catalogue, clock: Clock, velero_namespace: str) -> None:
        self._cluster = cluster
        self._catalogue = catalogue
        self._clock = clock
        self._velero_namespace = velero_namespace

    def survey(self, rules: Rules, meant: Filter, *, location: str = "", from_cluster: str = "") -> CaptureSurvey:
        """Look at every capture; those that are not meant may still replace others, and are kept.

        Raises what the list of captures raises, and what the cluster raises of the Restores.
        """
        listing = self._catalogue.list(location=location)
        now, clusters = self._clock.now(), self._catalogue.clusters(from_cluster)
        ours = [capture for capture in listing.captures if capture.run.maker is Maker.COMMAND]
        restored, unended = self._restored_by_velero(), self._unended(ours, now)
        candidates, by_ref = list[Candidate](), dict[CaptureRef, Entry]()
        for entry in entries(self._catalogue, ours):
            by_ref[entry.ref] = entry
            run = entry.capture.run
            reading = [restore for restore in unended[_place(entry.capture.store)] if restore.reads(run.prefix)]
            candidates.append(
                _candidate(
                    entry,
                    clusters=clusters,
                    meant=meant.takes(entry, now=now),
                    being_restored=run.name in restored or not all(restore.is_stale(now) for restore in reading),
                    restore_stale=bool(reading),
                )
            )
        verdicts = decide(candidates, rules, now=now)
        return CaptureSurvey(
            at=now,
            captures=[
                JudgedCapture(entry=by_ref[ref], verdict=verdict, age=now - by_ref[ref].started)
                for ref, verdict in verdicts.items()
            ],
            of_velero=len(listing.captures) - len(ours),
            unended=[restore for there in unended.values() for restore in there],
            unread=listing.unread,
        )

    def remove(self, judged: JudgedCapture) -> Removal:
        """Remove a capture's documents, its seal last, unless a restore of it has begun meanwhile; never raises."""
        capture = judged.entry.capture
        try:
            unended = self._unended([capture], self._clock.now())[_place(capture.store)]
        except VmServiceError as error:
            return Removal(removed=0, refused={capture.where: error})
        if judged.verdict is Verdict.EXPIRED and any(restore.reads(capture.run.prefix) for restore in unended):
            begun = Conflict(f"a restore of {capture} has begun since the captures were listed")
            return Removal(removed=0, refused={capture.where: begun})
        return remove_documents(
            capture.store, [document.key for document in capture.documents], index={capture.run.seal_key}
        )

    def _restored_by_velero(self) -> frozenset[str]:
        """Return the names of the backups that Velero's Restores have not ended to restore; none without Velero."""
        if not self._cluster.served_versions(RESTORE):
            return frozenset()
        restores = self._cluster.read_all(
            RESTORE,
            self._velero_namespace,
            lambda restore: (str(restore.spec.get("backupName", "")), restore.status.get("phase")),
        )
        return frozenset(backup for backup, phase in restores if phase not in ENDED_PHASES)

    def _unended(
        self, captures: Iterable[StoredCapture], now: datetime
    ) -> Mapping[tuple[str, str], Sequence[UnendedRestore]]:
        """Return the restores that have not ended, in the bucket of each capture."""
        stores = {_place(capture.store): capture.store for capture in captures}
        return {
            place: unended_restores(store, runs_of(store.documents(f"{Area.RESULTS.folder}/")), now=now)
            for place, store in stores.items()
        }


def _place(store: ObjectStore) -> tuple[str, str]:
    """Tell one bucket and prefix from another."""
    return store.endpoint, store.where(Area.RESULTS.folder)


def _candidate(
    entry: Entry, *, clusters: ClusterChoice, meant: bool, being_restored: bool, restore_stale: bool
) -> Candidate:
    capture, seal = entry.capture, entry.seal
    return Candidate(
        ref=entry.ref,
        started=entry.started,
        written=capture.written,
        sealed=capture.sealed and not isinstance(entry.fault, NotFound),
        known=entry.fault is None,
        whole=seal is None or seal.digests.keys() <= {document.key for document in capture.documents},
        bucket=_place(capture.store),
        cluster=entry.cluster_id or clusters.own,
        of_meant_cluster=clusters.is_surely(entry.cluster_id),
        job=entry.job,
        namespaces=frozenset(seal.taken.namespaces if seal and seal.taken else entry.namespaces),
        applications=_applications(entry),
        meant=meant,
        being_restored=being_restored,
        restore_stale=restore_stale,
        read_only=capture.store.read_only,
    )


def _applications(entry: Entry) -> Applications:
    seal = entry.seal
    if seal is None:
        return {}
    if seal.applications is None:  # an earlier release: what belongs together is not known without the documents
        vms = (f"{VIRTUAL_MACHINE.name} {name}" for name in seal.vadp.machines)
        return {frozenset((*map(str, entry.capture.objects), *vms)): None}
    return {_parts(each): _judgement(each) for each in applications(seal)}


def _parts(application: ApplicationVerdict) -> Parts:
    objects = [(part.kind, part.name) for part in application.objects]
    vms = [(VIRTUAL_MACHINE.name, name) for name in application.vms]
    return frozenset(f"{kind} {application.namespace}/{name}" for kind, name in (*objects, *vms))


def _judgement(application: ApplicationVerdict) -> Judgement | None:
    try:
        return Judgement(application.verdict)
    except ValueError:  # a VM alone has no verdict, and a newer release may have others
        return None
