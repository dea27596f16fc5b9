"""Close a capture: read everything back, check every digest, write the index once.

Velero polls right after the backup's last item, so sealing does not prolong the backup. All captured items share one
operation, so Velero polls once per item; a repeated poll finds the seal and is done. A backup from which everything
was withheld has no operation: it is sealed when the process that Velero launched for it ends.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache
from structlog.contextvars import bound_contextvars

from velero_vmservice import __version__
from velero_vmservice.archive import schema
from velero_vmservice.archive.schema import Seal, SealedObject, Vadp
from velero_vmservice.archive.store import READERS, check_writer, write_once
from velero_vmservice.backup.assessment import warn_if_not_restorable
from velero_vmservice.backup.read_back import read_back
from velero_vmservice.backup.unsealed import Unsealed
from velero_vmservice.errors import CODES, InvalidItem, VmServiceError, as_ours
from velero_vmservice.metrics import SEALS, SEALS_FAILED
from velero_vmservice.supervisor.identity import identify
from velero_vmservice.velero import runs
from velero_vmservice.velero.actions import CALLER, Progress
from velero_vmservice.velero.runs import Maker
from velero_vmservice.vmoperator import marks, restricted
from velero_vmservice.vmoperator.virtual_machine import is_recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from velero_vmservice.archive.schema import BackupRun, Taken
    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest

log = structlog.get_logger()

BUDGET_SECONDS = 4.0
"""One Progress call reads for this long; the next continues where it stopped."""
REMEMBERED_BACKUPS = 64
REMEMBERED_SECONDS = 24 * 3600.0

for _code in CODES:
    SEALS_FAILED.labels(_code)


class Sealing:
    """Seals captures, one per run of a backup."""

    def __init__(self, *, cluster: Cluster, locations: StorageLocations, clock: Clock) -> None:
        self._cluster = cluster
        self._locations = locations
        self._clock = clock
        self._started = clock.now()
        self._open: TTLCache[str, Unsealed] = TTLCache(REMEMBERED_BACKUPS, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def count(self, run: BackupRun, resource: str) -> int:
        """Count one object that was left to the Supervisor; return how many of its resource were, as far as known."""
        unsealed = self._of(run)
        with unsealed.lock:
            unsealed.withheld[resource] += 1
            unsealed.callers.add(CALLER.get())
            return unsealed.withheld[resource]

    def holds(self, run: BackupRun, vm: Manifest) -> None:
        """Remember a VM that Velero chose for the backup; a guest cluster's node is not RegisterVM's to bring back."""
        if not is_recorded(vm):
            return
        unsealed = self._of(run)
        with unsealed.lock:
            unsealed.chosen.add(f"{vm.namespace}/{vm.name}")

    def captured(self, run: BackupRun, key: str, sha256: str) -> None:
        """Remember a document that the seal must find, with its digest."""
        unsealed = self._of(run)
        with unsealed.lock:
            unsealed.captured[key] = sha256

    def asked_for(self, run: BackupRun, taken: Taken) -> None:
        """Remember what a capture of the command line was asked for."""
        unsealed = self._of(run)
        with unsealed.lock:
            unsealed.taken = taken

    def whole(self, run: BackupRun) -> Seal:
        """Seal a capture of the command line, however long reading it back takes; raises what a store raises."""
        unsealed = self._of(run)
        with unsealed.lock:
            return self._to_the_end(unsealed)

    def progress(self, operation_id: str, run: BackupRun) -> Progress:
        """Go on sealing; raises `Corrupt` when a stored document is gone or is not what was written.

        After a restart only what the store lists is known.
        """
        if runs.read_seal_id(operation_id) != run.prefix:
            raise InvalidItem(
                f"the operation belongs to another run than that of Backup {run.name}",
                hint="repeat the backup: its Backup object was deleted and created again while it ran",
            )
        unsealed = self._of(run)
        with unsealed.lock:
            if unsealed.sealed is None:
                self._go_on(run, unsealed)
            done, sealed = len(unsealed.objects), unsealed.sealed
        if sealed is None:
            return Progress(completed=False, done=done, units="objects", description="reading the capture back")
        total = len(sealed.objects)
        return Progress(
            completed=True,
            done=total,
            total=total,
            units="objects",
            description=f"sealed ({total} objects, {len(sealed.namespaces)} namespaces): {run.seal_key}",
        )

    def ended(self, caller: str) -> None:
        """Seal the backups of a launched process that is over, where no operation will ask for it; never raises."""
        with self._lock:
            over = [unsealed for unsealed in self._open.values() if caller in unsealed.callers]
        for unsealed in over:
            with unsealed.lock:
                if unsealed.sealed or unsealed.has_operation:
                    continue  # the operation of a captured object seals
                try:
                    with bound_contextvars(run=unsealed.run.log_id):
                        self._to_the_end(unsealed)
                except Exception as raised:  # noqa: BLE001 - logged; other backups are sealed
                    error = as_ours(raised, f"the seal of backup {unsealed.run.name}")
                    log.warning(
                        "not sealed",
                        run=unsealed.run.log_id,
                        backup=f"{unsealed.run.namespace}/{unsealed.run.name}",
                        cause=error.message,
                        hint=error.hint,
                    )

    def _of(self, run: BackupRun) -> Unsealed:
        with self._lock:
            key = f"{run.uid}/{run.prefix}"
            if key not in self._open:
                self._open[key] = Unsealed(run)
            return self._open[key]

    def _to_the_end(self, unsealed: Unsealed) -> Seal:
        """Go on until it is sealed; the caller has the lock. Raises what a store raises."""
        while unsealed.sealed is None:
            self._go_on(unsealed.run, unsealed)
        return unsealed.sealed

    def _go_on(self, run: BackupRun, unsealed: Unsealed) -> None:
        """Read back within the budget, and seal once everything is read; raises what a store raises."""
        try:
            if self._read_back(run, unsealed):
                unsealed.sealed = self._seal(run, unsealed)
        except VmServiceError as error:
            SEALS_FAILED.labels(error.code).inc()
            raise

    def _read_back(self, run: BackupRun, unsealed: Unsealed) -> bool:
        """Read documents until all were read or the budget is used up; say whether all were."""
        store = self._locations.open(run.location, namespace=run.namespace)
        until = self._clock.monotonic() + BUDGET_SECONDS
        unread = [
            key
            for key in dict.fromkeys(_keys(store, run, unsealed.captured))
            if key not in unsealed.objects and key not in unsealed.namespaces
        ]
        with ThreadPoolExecutor(READERS, thread_name_prefix="seal") as readers:
            for first in range(0, len(unread), READERS):
                if first and self._clock.monotonic() > until:  # some at least, however slow the store is
                    return False
                keys = unread[first : first + READERS]
                digests = [unsealed.captured.get(key, "") for key in keys]
                for stored in readers.map(read_back, repeat(store), repeat(run), keys, digests):
                    unsealed.remember(stored)
        return True

    def _seal(self, run: BackupRun, unsealed: Unsealed) -> Seal:
        """Store the seal and log what it says; raises what a store raises."""
        store = self._locations.open(run.location, namespace=run.namespace)
        stored, sha256 = write_once(store, run.seal_key, self._sealed(run, unsealed))
        check_writer(run, stored.backup_uid, key=run.seal_key)
        SEALS.inc()
        unsealed.release()
        _log_seal(run, stored, sha256)
        return stored

    def _sealed(self, run: BackupRun, unsealed: Unsealed) -> Seal:
        complete = schema.moment(run.started) >= self._started.replace(microsecond=0)
        velero_chose = complete and run.maker is Maker.VELERO
        chosen = unsealed.chosen if velero_chose else unsealed.chosen | unsealed.chosen_by_filters()
        held, captured_cluster = unsealed.held_vms(chosen=chosen), identify(self._cluster)
        return Seal(
            backup=run.name,
            backup_uid=run.uid,
            backup_started=run.started,
            sealed_at=self._clock.now().isoformat(),
            plugin=__version__,
            objects=_documents(unsealed.objects),
            namespaces=_documents(unsealed.namespaces),
            vadp=Vadp(
                job=run.annotations.get(marks.VADP_JOB_ANNOTATION, ""),
                restore_point=run.annotations.get(marks.VADP_RESTORE_POINT_ANNOTATION, ""),
                machines=held.machines,
            ),
            without_application=held.without_application,
            not_captured=held.not_captured,
            applications=tuple(unsealed.verdicts(held)),
            withheld=dict(sorted(unsealed.withheld.items())),
            not_backed_up=tuple(name for name in sorted(unsealed.withheld) if restricted.is_declared(name)),
            withheld_complete=complete,
            cluster_id=captured_cluster.uid,
            cluster=captured_cluster.host,
            taken=unsealed.taken,
        )


def _log_seal(run: BackupRun, seal: Seal, sha256: str) -> None:
    log.info(
        "capture sealed",
        key=run.seal_key,
        object_count=len(seal.objects),
        withheld=seal.withheld,
        vadp_job=seal.vadp.job or "not named on the Backup",
        vadp_restore_point=seal.vadp.restore_point,
        vadp_vms=list(seal.vadp.machines),
        vms_without_application=seal.without_application,
    )
    log.debug("capture sealed with digest", key=run.seal_key, sha256=sha256)
    for missed in seal.not_captured:
        log.warning("not captured", object=f"{missed.kind} {missed.namespace}/{missed.name}", vms=missed.vms)
    for application in seal.applications or ():
        warn_if_not_restorable(application)


def _keys(store: ObjectStore, run: BackupRun, captured: Iterable[str]) -> Iterator[str]:
    """Yield the documents that the store lists, and those that were captured: a list may be out of date."""
    yield from store.list(f"{run.prefix}objects/")
    yield from store.list(f"{run.prefix}namespaces/")
    yield from captured


def _documents(digests: dict[str, str]) -> tuple[SealedObject, ...]:
    return tuple(SealedObject(key=key, sha256=sha256) for key, sha256 in sorted(digests.items()))
