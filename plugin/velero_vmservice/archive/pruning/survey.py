"""Lists the runs in the buckets of a Velero, decides which may be removed, and removes them.

The buckets are listed before the backups, so a backup that begins in between has no run in the list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from velero_vmservice.archive.pruning.decision import (
    ENDED_PHASES,
    Known,
    Verdict,
    decide,
    newest_drills,
)
from velero_vmservice.archive.pruning.stored_runs import Area, StoredRun, runs_of
from velero_vmservice.archive.pruning.unended import unended_restores
from velero_vmservice.errors import InvalidSettings, ReadOnlyStorage, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, BACKUP_STORAGE_LOCATION, RESTORE, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from velero_vmservice.archive.pruning.unended import UnendedRestore
    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind

Answer = TypeVar("Answer")

_Listed = tuple["ObjectStore", "Sequence[StoredRun]", "Sequence[UnendedRestore]"]
"""A bucket, the runs in it, and the restores among them that have not ended."""
_AREAS: Final = tuple(f"{area.folder}/" for area in Area)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """One run in a bucket, and the verdict on it."""

    run: StoredRun
    verdict: Verdict
    age: timedelta
    """The time since its last write."""
    where: str
    """Its place, for a person."""
    store: ObjectStore

    @property
    def address(self) -> tuple[str, str]:
        """An identity of the run; two servers may have buckets of the same name."""
        return (self.store.endpoint, self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The runs in the buckets that could be listed."""

    runs: Sequence[JudgedRun]
    """By kind, name and start time."""
    at: datetime
    unended: Sequence[UnendedRestore] = ()
    """The restores that have begun and not ended, by what lies there."""
    unread: Sequence[VmServiceError] = ()
    """Reasons why buckets, or Velero's archives in them, could not be listed."""

    @property
    def removable(self) -> Sequence[JudgedRun]:
        """The runs that may be removed."""
        return [judged for judged in self.runs if judged.verdict.removable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The outcome for a run's documents."""

    removed: int
    refused: Mapping[str, VmServiceError] = field(default_factory=dict)
    """The address of each document that could not be removed, and the reason."""


def remove_documents(store: ObjectStore, keys: Iterable[str], *, index: Collection[str]) -> Removal:
    """Remove documents, those of `index` last and only if the others are gone; never raises for a document."""
    removed, refused = 0, dict[str, VmServiceError]()
    for key in sorted(keys, key=lambda key: (key in index, key)):
        if refused and key in index:
            break
        try:
            store.delete(key)
            removed += 1
        except VmServiceError as error:
            refused[store.where(key)] = error
            if isinstance(error, ReadOnlyStorage):
                break
    return Removal(removed=removed, refused=refused)


class Pruning:
    """Finds and removes runs that no backup and no recent restore needs, in the buckets of one Velero."""

    def __init__(
        self, *, cluster: Cluster, locations: StorageLocations, clock: Clock, velero_namespace: str, own_bucket: bool
    ) -> None:
        self._cluster = cluster
        self._locations = locations
        self._clock = clock
        self._namespace = velero_namespace
        self._own_bucket = own_bucket

    def survey(self, older_than: timedelta, *, own_bucket_unshared: bool = False) -> Survey:
        """Look at every bucket; results of restores may be removed once they are as old as `older_than`.

        Captures in the settings' own bucket may be removed only with `own_bucket_unshared`: the
        administrator confirms that each belongs to a backup of this Velero, in a location that it still has.
        Without a sign of Velero captures of backups stay, as a decision on them needs the complete list of backups;
        results and drills in the settings' own bucket are judged. Raises what the cluster raises, and `InvalidSettings`
        if there is neither.
        """
        names = self._read(BACKUP_STORAGE_LOCATION, lambda item: item.name)
        without_velero = self._without_velero(names)
        if without_velero is not None and not self._own_bucket:
            raise without_velero
        listed, unread = self._listed(("",) if self._own_bucket else names)
        backups = frozenset(self._read(BACKUP, lambda item: item.name, metadata_only=True))
        restores = self._read(RESTORE, _restored)
        going_on = [(name, backup) for name, backup, phase in restores if phase not in ENDED_PHASES]
        archives = self._archives(names, unread)
        archived = frozenset().union(*(archive for archive in archives.values() if archive is not None))
        now, judged, unended = self._clock.now(), dict[tuple[str, str], JudgedRun](), dict[str, "UnendedRestore"]()
        for location, (store, runs, going_on_there) in listed.items():
            unended |= {f"{store.endpoint} {restore.where} {restore.capture}": restore for restore in going_on_there}
            own = archives.values() if self._own_bucket else (archives[location],)
            known = Known(
                velero=without_velero is None,
                backups=backups,
                archived=archived,
                archive_read=None not in own,
                origin_known=own_bucket_unshared or not self._own_bucket,
                going_on=frozenset(name for name, _ in going_on),
                being_restored=frozenset(backup for _, backup in going_on),
                unended=going_on_there,
                newest_drills=newest_drills(runs),
                read_only=store.read_only,
            )
            for run in runs:
                entry = JudgedRun(
                    run=run,
                    verdict=decide(run, known, now=now, older_than=older_than),
                    age=now - run.written,
                    where=store.where(f"{run.prefix}*"),
                    store=store,
                )
                # Two locations with the same bucket list the run once.
                other = judged.get(entry.address)
                if other is None or entry.verdict.prevails_over(other.verdict):
                    judged[entry.address] = entry
        return Survey(
            at=now,
            runs=sorted(judged.values(), key=lambda entry: entry.run.prefix),
            unended=tuple(unended.values()),
            unread=tuple(unread.values()),
        )

    def remove(self, judged: JudgedRun) -> Removal:
        """Remove a run's documents, the index last and only if the others are gone; never raises for a document.

        It can be interrupted at any point and repeated.
        """
        run = judged.run
        return remove_documents(judged.store, run.removal_order, index=set(filter(run.is_index, run.removal_order)))

    def _without_velero(self, locations: Sequence[str]) -> InvalidSettings | None:
        """Return why it cannot be told which backups exist; None where there is a sign of Velero."""
        for kind in (BACKUP, RESTORE):
            if not self._cluster.served_versions(kind):
                return InvalidSettings(
                    f"cannot tell which backups exist: the API server does not serve {kind.resource}",
                    hint="use the kubeconfig of the cluster that Velero runs in",
                )
        if not locations:
            return InvalidSettings(
                f"cannot tell which backups exist: namespace {self._namespace} has no BackupStorageLocation",
                hint="name Velero's namespace in velero_namespace, or in the variable VMSERVICE_VELERO_NAMESPACE",
            )
        return None

    def _read(self, kind: Kind, read: Callable[[Manifest], Answer], *, metadata_only: bool = False) -> Sequence[Answer]:
        """Read the objects of a kind in Velero's namespace; there are none of a kind that is not served."""
        if not self._cluster.served_versions(kind):
            return ()
        return self._cluster.read_all(kind, self._namespace, read, metadata_only=metadata_only)

    def _listed(self, locations: Sequence[str]) -> tuple[Mapping[str, _Listed], dict[str, VmServiceError]]:
        """Return the runs in the bucket of each location that can be listed, and why the others cannot."""
        listed: dict[str, _Listed] = {}
        unread: dict[str, VmServiceError] = {}
        for location in locations:
            try:
                store = self._locations.open(location)
                runs = runs_of(document for area in _AREAS for document in store.documents(area))
                unended = unended_restores(store, runs, now=self._clock.now())
            except VmServiceError as error:
                unread[location] = error
            else:
                listed[location] = (store, runs, unended)
        return listed, unread

    def _archives(
        self, locations: Sequence[str], unread: dict[str, VmServiceError]
    ) -> Mapping[str, frozenset[str] | None]:
        """Return the names that Velero's own archive of each location holds; None if it cannot be listed."""
        archives: dict[str, frozenset[str] | None] = {}
        for location in locations:
            try:
                archives[location] = self._locations.stored_backups(location)
            except VmServiceError as error:
                archives[location] = None
                unread.setdefault(location, error)
        return archives


def _restored(restore: Manifest) -> tuple[str, str, object]:
    """Return the name of a Restore, the name of its Backup, and its phase."""
    return (restore.name, str(restore.spec.get("backupName", "")), restore.status.get("phase"))
