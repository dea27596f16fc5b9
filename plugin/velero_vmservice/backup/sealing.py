"""Close a capture: read everything back, check every digest, write the index once.

Velero polls right after the backup's last item, so sealing does not prolong the backup. All captured items share one
operation, so Velero polls once per item; a repeated poll finds the seal and is done. A backup from which everything
was withheld has no operation: it is sealed when the process that Velero launched for it ends.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache
from structlog.contextvars import bound_contextvars

from velero_vmservice import __version__
from velero_vmservice.archive import backup_scope, schema
from velero_vmservice.archive.facts import NamespaceFacts
from velero_vmservice.archive.schema import BackupRun, Seal, SealedObject, Taken, Vadp
from velero_vmservice.archive.store import READERS, check_writer, write_once
from velero_vmservice.backup.assessment import Assessed, assessed, by_namespace, verdicts, warn_if_not_restorable
from velero_vmservice.backup.read_back import ReadBack, read_back
from velero_vmservice.errors import CODES, InvalidItem, VmServiceError, as_ours
from velero_vmservice.metrics import SEALS, SEALS_FAILED
from velero_vmservice.velero import runs
from velero_vmservice.velero.actions import CALLER, Progress
from velero_vmservice.velero.runs import Maker
from velero_vmservice.vmoperator import marks, restricted
from velero_vmservice.vmoperator.virtual_machine import is_recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from velero_vmservice.archive.backup_scope import HeldVms
    from velero_vmservice.archive.findings import ApplicationVerdict, Finding
    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.manifest import Manifest

log = structlog.get_logger()

BUDGET_SECONDS = 4.0
"""One Progress call reads for this long; the next continues where it stopped."""
REMEMBERED_BACKUPS = 64
REMEMBERED_SECONDS = 24 * 3600.0

for _code in CODES:
    SEALS_FAILED.labels(_code)


class Unsealed:
    """The state of a capture that is still being written and read back."""

    def __init__(self, run: BackupRun) -> None:
        self.run = run
        self.lock = threading.Lock()
        self.callers: set[str] = set()
        """The launched processes that left something to the Supervisor."""
        self.withheld: Counter[str] = Counter()
        self.captured: dict[str, str] = {}
        self.objects: dict[str, str] = {}
        self.namespaces: dict[str, str] = {}
        self.facts: dict[str, NamespaceFacts] = {}
        """By namespace."""
        self.kinds: set[tuple[str, str, str]] = set()
        """Kind, namespace and name of each captured object."""
        self.chosen: set[str] = set()
        """`namespace/name` of each VM that Velero chose for the backup."""
        self.needed: dict[str, str] = {}
        """`namespace/name` of each VM that a captured object needs, and its backup version."""
        self.nested: set[str] = set()
        self.taken: Taken | None = None
        self.assessed: list[Assessed] = []
        """The captured objects, as far as their applications' verdicts ask for."""
        self.findings: dict[str, tuple[Finding, ...]] = {}
        """Of each namespace as a whole."""
        self.sealed: Seal | None = None

    @property
    def has_operation(self) -> bool:
        """Whether an object was captured, so that Velero asks for the seal; facts alone have no operation."""
        return any(key.startswith(f"{self.run.prefix}objects/") for key in self.captured)


class Sealing:
    """Seals captures, one per run of a backup."""

    def __init__(self, *, locations: StorageLocations, clock: Clock) -> None:
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
            for key in dict.fromkeys(_documents(store, run, unsealed.captured))
            if key not in unsealed.objects and key not in unsealed.namespaces
        ]
        with ThreadPoolExecutor(READERS, thread_name_prefix="seal") as readers:
            for first in range(0, len(unread), READERS):
                if first and self._clock.monotonic() > until:  # some at least, however slow the store is
                    return False
                keys = unread[first : first + READERS]
                digests = [unsealed.captured.get(key, "") for key in keys]
                for whole in readers.map(read_back, repeat(store), repeat(run), keys, digests):
                    _remember(unsealed, whole)
        return True

    def _seal(self, run: BackupRun, unsealed: Unsealed) -> Seal:
        store = self._locations.open(run.location, namespace=run.namespace)
        complete = schema.moment(run.started) >= self._started.replace(microsecond=0)
        velero_chose = complete and run.maker is Maker.VELERO
        held = backup_scope.held_vms(
            unsealed.facts,
            captured=unsealed.kinds,
            needed=unsealed.needed,
            nested=unsealed.nested,
            chosen=unsealed.chosen if velero_chose else unsealed.chosen | _chosen_by_filters(run, unsealed.facts),
        )
        seal = Seal(
            backup=run.name,
            backup_uid=run.uid,
            backup_started=run.started,
            sealed_at=self._clock.now().isoformat(),
            plugin=__version__,
            objects=_sealed(unsealed.objects),
            namespaces=_sealed(unsealed.namespaces),
            vadp=Vadp(
                job=run.annotations.get(marks.VADP_JOB_ANNOTATION, ""),
                restore_point=run.annotations.get(marks.VADP_RESTORE_POINT_ANNOTATION, ""),
                machines=held.machines,
            ),
            without_application=held.without_application,
            not_captured=held.not_captured,
            applications=tuple(_verdicts(unsealed, held)),
            withheld=dict(sorted(unsealed.withheld.items())),
            not_backed_up=tuple(name for name in sorted(unsealed.withheld) if restricted.is_declared(name)),
            withheld_complete=complete,
            taken=unsealed.taken,
        )
        stored, sha256 = write_once(store, run.seal_key, seal)
        check_writer(run, stored.backup_uid, key=run.seal_key)
        SEALS.inc()
        unsealed.facts.clear()  # thousands of VMs, and the seal has what is asked of them
        unsealed.assessed.clear()
        log.info(
            "capture sealed",
            key=run.seal_key,
            object_count=len(stored.objects),
            withheld=stored.withheld,
            vadp_job=stored.vadp.job or "not named on the Backup",
            vadp_restore_point=stored.vadp.restore_point,
            vadp_vms=list(stored.vadp.machines),
            vms_without_application=stored.without_application,
        )
        log.debug("capture sealed with digest", key=run.seal_key, sha256=sha256)
        for missed in stored.not_captured:
            log.warning("not captured", object=f"{missed.kind} {missed.namespace}/{missed.name}", vms=missed.vms)
        for application in stored.applications or ():
            warn_if_not_restorable(application)
        return stored


def _verdicts(unsealed: Unsealed, held: HeldVms) -> Iterator[ApplicationVerdict]:
    for namespace, objects in sorted(by_namespace(unsealed.assessed).items()):
        missed = (missing for missing in held.not_captured if missing.namespace == namespace)
        yield from verdicts(objects, unsealed.findings.get(namespace, ()), missed)


def _documents(store: ObjectStore, run: BackupRun, captured: Iterable[str]) -> Iterator[str]:
    """Yield the documents that the store lists, and those that were captured: a list may be out of date."""
    yield from store.list(f"{run.prefix}objects/")
    yield from store.list(f"{run.prefix}namespaces/")
    yield from captured


def _sealed(digests: dict[str, str]) -> tuple[SealedObject, ...]:
    return tuple(SealedObject(key=key, sha256=sha256) for key, sha256 in sorted(digests.items()))


def _chosen_by_filters(run: BackupRun, namespaces: Mapping[str, NamespaceFacts]) -> set[str]:
    """Return the VMs that the Backup's filters choose: a process that was restarted has not seen what Velero chose."""
    return {
        f"{namespace}/{name}"
        for namespace, facts in namespaces.items()
        for name in backup_scope.vms_by_filters(run.spec, facts)
    }


def _remember(unsealed: Unsealed, whole: ReadBack) -> None:
    if isinstance(whole.document, NamespaceFacts):
        unsealed.namespaces[whole.key] = whole.sha256
        unsealed.facts[whole.document.namespace] = whole.document
        unsealed.findings[whole.document.namespace] = whole.findings
        return
    capture = whole.document
    if (ref := schema.captured_object(whole.key)) is not None:
        unsealed.assessed.append(assessed(ref, capture.topology, capture.findings))
    unsealed.objects[whole.key] = whole.sha256
    unsealed.kinds.add((capture.kind, capture.namespace, capture.name))
    connected = capture.topology
    versions = {vm.name: vm.backup_version for vm in connected.machines}
    unsealed.needed |= {f"{capture.namespace}/{name}": versions.get(name, "") for name in connected.needs}
    unsealed.nested |= {f"{capture.namespace}/{name}" for name in connected.nested}
