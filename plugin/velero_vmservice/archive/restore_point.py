"""What a restore reads of its backup: the Backup object, the store of its captures, the facts of its namespaces."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog
from cachetools import TTLCache

from velero_vmservice.archive.facts import NamespaceFacts
from velero_vmservice.archive.other_backups import captured_run, described, other_backups
from velero_vmservice.archive.schema import BackupRun, Seal
from velero_vmservice.archive.store import check_seal, read_document, read_facts
from velero_vmservice.errors import Corrupt, ForeignStorage, InvalidItem, NotFound, NotRestorable, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, ObjectRef
from velero_vmservice.velero.runs import Maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.velero.runs import CaptureRef, RestoreRun

ValueT = TypeVar("ValueT")

REMEMBERED: Final = 512
REMEMBERED_SECONDS: Final = 600.0
FAILURE_SECONDS: Final = 15.0
"""An unreachable store is asked again after this time, not once per item."""


class Remembered(Generic[ValueT]):
    """Values by key that do not change once they exist; safe to use from many threads."""

    def __init__(self, clock: Clock, *, lasting: Callable[[ValueT], bool] = lambda _: True) -> None:
        self._lasting = lasting
        self._values: TTLCache[str, ValueT] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._passing: TTLCache[str, ValueT] = TTLCache(REMEMBERED, FAILURE_SECONDS, timer=clock.monotonic)
        self._failed: TTLCache[str, VmServiceError] = TTLCache(REMEMBERED, FAILURE_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def get(self, key: str, read: Callable[[], ValueT]) -> ValueT:
        """Return the value, and read it if it is unknown; raises a recent error of `read` again.

        A value that is not `lasting` is kept as long as a failure. No lock is held while reading, so a slow store of
        one restore does not delay the others.
        """
        with self._lock:
            for known in (self._values, self._passing):
                if key in known:
                    return known[key]
            if error := self._failed.get(key):
                raise error.with_traceback(None)
        try:
            value = read()
        except VmServiceError as error:
            with self._lock:
                self._failed[key] = error
            raise
        with self._lock:
            (self._values if self._lasting(value) else self._passing)[key] = value
        return value


log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFacts:
    """The facts of a namespace, and whether a digest confirms them."""

    facts: NamespaceFacts
    doubt: str = ""
    """Why none does; '' if a link or the seal has their digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Digests:
    """The digests of facts in a seal, by key, or why there are none."""

    by_key: Mapping[str, str]
    doubt: str = ""


class RestorePoints:
    """Finds the backup of a restore and remembers it for a while, because it never changes."""

    def __init__(
        self, *, cluster: Cluster, locations: StorageLocations, clock: Clock, own_bucket: bool = False
    ) -> None:
        self._cluster = cluster
        self._locations = locations
        self._own_bucket = own_bucket
        self._backups = Remembered[BackupRun](clock)
        self._known = Remembered[KnownFacts | None](clock, lasting=lambda known: known is None or not known.doubt)
        self._documents = Remembered[NamespaceFacts](clock)
        self._digests = Remembered[_Digests](clock, lasting=lambda digests: not digests.doubt)

    def backup(self, run: RestoreRun) -> BackupRun:
        """Return the run of the backup; if its Backup object is gone, what its capture shows.

        Raises `MissingBackup` if neither is found, `InvalidItem` if the Backup has not started.
        """
        return self._backups.get(run.source_key, lambda: self._find(run))

    def _find(self, run: RestoreRun) -> BackupRun:
        if run.capture is not None:
            return self._named(run.capture, run)
        try:
            return BackupRun.read(self._cluster.get(ObjectRef(BACKUP, run.namespace, run.backup)))
        except NotFound:
            return captured_run(self._cluster, self._locations, run, own_bucket=self._own_bucket)

    def _named(self, capture: CaptureRef, run: RestoreRun) -> BackupRun:
        """Return the run that made a capture, from its Backup where the cluster still has that of the same start."""
        if capture.maker is Maker.VELERO:
            with contextlib.suppress(NotFound, InvalidItem):
                backup = BackupRun.read(self._cluster.get(ObjectRef(BACKUP, run.namespace, capture.name)))
                if backup.started == capture.started:
                    return backup
        return BackupRun(
            name=capture.name,
            namespace=run.namespace,
            uid="",
            started=capture.started,
            location=capture.location,
            annotations={},
            object_gone=capture.maker is Maker.VELERO,
            lacks_items=capture.maker is Maker.VELERO,
            maker=capture.maker,
        )

    def store(self, run: RestoreRun) -> ObjectStore:
        """Return the store of the backup's captures."""
        backup = self.backup(run)
        return self._locations.open(backup.location, namespace=backup.namespace)

    def seal(self, run: RestoreRun) -> Seal:
        """Return the seal of the backup; if it is missing or unusable, the error's hint names other backups.

        Raises `NotFound` if there is no Backup, `NotRestorable` if it has no seal, or one that is damaged or of another
        backup.
        """
        try:
            backup, store = self.backup(run), self.store(run)
        except NotFound as error:
            raise NotFound(error.message, hint=self._instead(run, error.hint)) from error
        try:
            return read_seal(store, backup)
        except NotFound as error:
            if run.capture is not None:
                raise unsealed(backup) from error
            hint = "check whether the backup finished, was taken with this plugin, and held groups, services or VMs"
            raise NotRestorable(f"{_titled(backup)} has no sealed capture", hint=self._instead(run, hint)) from error
        except Corrupt as error:
            captures = sum(1 for _ in store.list(f"{backup.prefix}objects/"))
            hint = (
                f"restore the backup with Velero, which needs no seal to find the {captures} captured objects"
                if captures
                else "use another backup: this one has no captured object"
            )
            raise NotRestorable(error.message, hint=self._instead(run, hint)) from error

    def _instead(self, run: RestoreRun, hint: str) -> str:
        if run.capture is not None:
            return f"{hint}; list the captures that are whole with `velero-vmservice captures list`"
        others = described(other_backups(self._cluster, self._locations, run))
        return "; ".join(filter(None, (hint, others or "no other backup of these namespaces has a sealed capture")))

    def facts(self, run: RestoreRun, namespace: str, *, sha256: str = "") -> KnownFacts | None:
        """Return the facts of a namespace of the backup, or None if it has none, as without this plugin.

        They are checked against `sha256`, the digest in a link, otherwise against the digest in the seal; without
        either they come with a doubt. Raises `Corrupt` if they do not match the digest, `NotFound` if they are gone,
        and `MissingBackup` if it is unknown whether there are any. A backup in a location that is not S3 has none.
        The error of a store that does not answer is remembered for a moment.
        """
        key = f"{run.source_key}/{namespace}/{sha256}"
        return self._known.get(key, lambda: self._read(run, namespace, sha256))

    def _read(self, run: RestoreRun, namespace: str, linked: str) -> KnownFacts | None:
        try:
            backup, store = self.backup(run), self.store(run)
        except (InvalidItem, ForeignStorage) as error:
            log.info("no facts about VMs", namespace=namespace, cause=error.message)
            return None
        key = backup.namespace_key(namespace)
        sealed = None if linked else self._digests.get(run.source_key, lambda: _sealed(store, backup))
        sha256 = linked if sealed is None else sealed.by_key.get(key, "")

        try:
            facts = self._documents.get(
                f"{run.source_key}/{namespace}/{sha256}", lambda: read_facts(store, backup, namespace, sha256=sha256)
            )
        except NotFound as error:
            if not sha256:
                return None
            raise NotFound(
                f"{key} is gone: cannot tell which claims of namespace {namespace} are disks of VMs",
                hint="restore from another backup: the document was removed after this one was made",
                goes_on=True,
            ) from error
        if sealed is None or sha256:
            return KnownFacts(facts=facts)
        return KnownFacts(facts=facts, doubt=sealed.doubt or f"the seal {backup.seal_key} does not list {key}")


def unsealed(run: BackupRun) -> NotRestorable:
    """Return the error of a capture that has no seal."""
    return NotRestorable(
        f"{run} has no seal: it was stopped before its end, or goes on",
        hint="use another capture: velero-vmservice captures list",
    )


def _titled(backup: BackupRun) -> str:
    return f"Backup {backup.name}" if backup.maker is Maker.VELERO else str(backup)


def read_seal(store: ObjectStore, backup: BackupRun) -> Seal:
    """Return the seal of a backup; raises `NotFound`, or `Corrupt` for one that is damaged or of another backup."""
    seal = read_document(store, backup.seal_key, Seal)
    check_seal(seal, backup)
    return seal


def _sealed(store: ObjectStore, backup: BackupRun) -> _Digests:
    """Read the digests of facts from the seal; raises the error of a store that does not answer."""
    try:
        seal = read_seal(store, backup)
    except NotFound:
        return _Digests(
            by_key={}, doubt=f"there is no seal {backup.seal_key}: the backup did not finish, or the seal was removed"
        )
    except Corrupt as error:
        return _Digests(by_key={}, doubt=error.message)
    return _Digests(by_key={namespace.key: namespace.sha256 for namespace in seal.namespaces})
