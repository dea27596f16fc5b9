"""What a restore leaves behind: one stored result per object, a report of all, and Events while it runs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice import documents
from velero_vmservice.archive.pruning.marker import mark
from velero_vmservice.archive.store import read_document
from velero_vmservice.errors import (
    AlreadyExists,
    Corrupt,
    ForeignStorage,
    NotFound,
    ReadOnlyStorage,
    VmServiceError,
    as_ours,
    reported,
)
from velero_vmservice.kube.manifest import RESTORE, ObjectRef
from velero_vmservice.metrics import RESTORES
from velero_vmservice.report.application import part, without_courses
from velero_vmservice.report.model import Result
from velero_vmservice.report.stage import IN_WORDS, Stage
from velero_vmservice.report.store import PAGE, marker_key, prefix, result_key, result_keys, where_reported
from velero_vmservice.restore.replay import result_builder
from velero_vmservice.restore.replay.look import Beside
from velero_vmservice.restore.replay.operation import Cause
from velero_vmservice.restore.replay.session import LEARNING
from velero_vmservice.restore.verify.vm import kinds_beside
from velero_vmservice.supervisor.identity import cluster_id
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.report.application import Part
    from velero_vmservice.report.store import Reporting
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.look import TargetNamespace
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.session import Session
    from velero_vmservice.restore.source.vms_alone import VmsAlone
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

MARK_SECONDS: Final = 30.0
"""A marker that is refused is offered again after as long: a store that is away costs a time-out each time."""
UNMARKED: Final = "prune does not know that this restore needs its capture"
_STAGES: Final = frozenset(Stage)


class Results:
    """Stores results and the report, and records Events."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints, reporting: Reporting, vms: VmsAlone) -> None:
        self._cluster = cluster
        self._restore_points = restore_points
        self._reporting = reporting
        self._vms = vms

    def keep(self, session: Session, operation: ReplayOperation) -> None:
        """Make a finished operation's result durable, and after the last one the report.

        While others of the restore may be unknown the operation is not over, if Velero will ask again: the last one to
        end makes the report. Raises `VmServiceError` where the store does not take them.
        """
        store = self._restore_points.store(session.run)
        if not operation.kept.published:
            self._publish(store, session, operation)
        if operation.asked_again and not session.known():
            operation.kept = replace(operation.kept, refusal=LEARNING)
            return
        if all(self._has_ended(store, session, each) for each in session.operations.values()):
            self._report(store, session)
            for each in session.operations.values():
                each.kept = replace(each.kept, report=where_reported(store, session.run))
        operation.kept = replace(operation.kept, whole=True, report_command=session.run.report_command)

    def recall(self, session: Session) -> None:
        """Learn which operations ended before this process: Velero does not ask about them again.

        Without it a group would be judged without the members that ended before a restart. A store that is away is
        asked again in the next round.
        """
        absence, now = session.results.absence, session.clock.monotonic()
        if session.earlier is None and all(operation.announced for operation in session.operations.values()):
            session.earlier = {}  # this process was there from the beginning
        elif session.earlier is None and not absence.lasts(now):
            try:
                session.earlier = self.earlier(session.run)
            except VmServiceError as error:
                absence.begin(error.message, now)
        for operation in session.open() if session.earlier else ():
            session.adopt(operation)

    def mark(self, session: Session) -> None:
        """Store that the restore has begun, before it waits, so that its capture is not pruned meanwhile; never raises.

        A store that is away or refuses is asked again after a while; one that is ReadOnly is meant to stay so.
        """
        run, results, now = session.run, session.results, session.clock.monotonic()
        if not run.started or now < results.mark_at or results.absence.lasts(now):
            return
        try:
            backup, store = self._restore_points.backup(run), self._restore_points.store(run)
            mark(store, marker_key(run), run, backup, cluster_id=cluster_id(self._cluster))
        except VmServiceError as error:
            if not results.refusal_to_mark:
                log.warning("restore not marked", cause=error.message, hint=error.hint, consequence=UNMARKED)
            lasting = isinstance(error, ForeignStorage | ReadOnlyStorage)
            results.refusal_to_mark, results.mark_at = str(error), math.inf if lasting else now + MARK_SECONDS
        else:
            results.mark_at = math.inf

    def earlier(self, run: RestoreRun) -> Mapping[Part, Result]:
        """Return what earlier processes have ended with, without the courses of the VMs.

        Raises `VmServiceError` while the store is away; one that does not say what it holds is taken to hold nothing.
        """
        try:
            store = self._restore_points.store(run)
            ended = [result for key in result_keys(store, run) if (result := _readable(store, key)) is not None]
        except VmServiceError as error:
            if error.transient:
                raise
            log.warning("results of an earlier process not read", cause=error.message, hint=error.hint)
            return {}
        ours = (result for result in ended if (result.restore, result.backup) == (run.name, run.backup))
        return {part(result): without_courses(result) for result in ours if result.stage in _STAGES}

    def stored(self, session: Session, operation: ReplayOperation) -> Result | None:
        """Return the result that an earlier process has stored of an operation; None if none of its own is to be read.

        Raises `VmServiceError` while the store is away.
        """
        run = session.run
        try:
            result = read_document(self._restore_points.store(run), _key(operation, run), Result)
        except VmServiceError as error:
            if error.transient:
                raise
            return None
        return result if result.is_of(operation.replay.destination, run) else None

    def event(self, run: RestoreRun, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an Event on the Restore; a run of the command line without one has no place for Events."""
        if not run.of_velero:
            return
        about = ObjectRef(RESTORE, run.namespace, run.name)
        self._cluster.event(about, uid=run.uid, reason=reason, message=message, warning=warning)

    def announce_waiting(self, session: Session) -> None:
        """Record once, as an Event on the Restore, what its objects wait for."""
        waiting = [operation for operation in session.open() if operation.standing.reason]
        if waiting and not session.waiting_announced:
            session.waiting_announced = True
            reasons = [f"{operation.replay.destination}: {operation.standing.reason}" for operation in waiting]
            self.event(session.run, "Waiting", enumerate_some(reasons, most=3))

    def _publish(self, store: ObjectStore, session: Session, operation: ReplayOperation) -> None:
        """Store one result, and record an Event about it."""
        namespace, key = session.namespace(operation), _key(operation, session.run)
        if namespace is not None and operation.subject is not None:
            _list_beside(self._cluster, operation.subject, namespace)
        body = documents.canonical(_result(session, operation))
        try:
            store.put(key, body, sha256=documents.digest(body))
        except AlreadyExists:
            operation.kept = replace(operation.kept, elsewhere=True)
            log.info("result stored before", key=key)
        operation.kept = replace(operation.kept, published=True)
        where, stage = str(operation.replay.destination), operation.stage
        log.debug("result stored", object=where, key=key)
        warning = stage is not Stage.VERIFIED or bool(operation.decision.to_mind)
        self.event(session.run, stage.title(), f"{where}: {operation.description()}", warning=warning)

    def _has_ended(self, store: ObjectStore, session: Session, operation: ReplayOperation) -> bool:
        """Say whether an operation has a stored result, whichever process has ended it.

        Velero may ask another process for the end of an operation that is known here, and never ask here again.
        """
        kept = operation.kept
        if not kept.published and not kept.elsewhere:
            kept = operation.kept = replace(kept, elsewhere=store.exists(_key(operation, session.run)))
        return kept.published or kept.elsewhere

    def _report(self, store: ObjectStore, session: Session) -> None:
        """Make the report of what is stored; what this process has ended it knows as it is now."""
        run, operations = session.run, session.operations
        if session.reported.issuperset(operations):
            return
        own = {
            _key(operation, run): _result(session, operation)
            for operation in operations.values()
            if operation.kept.published and not operation.kept.elsewhere
        }
        try:
            seal = self._vms.seal(run)
        except VmServiceError as error:
            seal = None
            log.warning("what the backup left out is not known", cause=error.message)
        watched = self._watched(run)
        report = self._reporting.report(store, run, own, session.policy.printed(), seal=seal, watched=watched)
        session.reported = frozenset(operations)
        if session.known():
            session.namespaces.clear()  # no poll follows, and it may be thousands of VMs
        if report is not None:
            RESTORES.labels(report.outcome).inc()
            restore = f"{run.namespace}/{run.name}"
            log.info("restore ended", restore=restore, outcome=report.outcome, key=f"{prefix(run)}{PAGE}")
            where = f"report: {where_reported(store, run)} ({run.report_command})"
            self.event(run, "Reported", f"{IN_WORDS[report.outcome]}; {where}")

    def _watched(self, run: RestoreRun) -> Mapping[str, tuple[str, ...]]:
        """Return the VMs without an application that this restore should have looked at, by namespace."""
        try:
            return self._vms.by_namespace(run)
        except VmServiceError as error:
            log.warning("VMs without an application are not known", cause=error.message, hint=error.hint)
            return {}


def _key(operation: ReplayOperation, run: RestoreRun) -> str:
    return result_key(run, operation.replay, twin=operation.standing.cause is Cause.TWIN)


def _result(session: Session, operation: ReplayOperation) -> Result:
    """Return the state of an operation by the last look; where that breaks down, the state without its details."""
    namespace = session.namespace(operation)
    try:
        if namespace is not None and operation.subject is not None:
            namespace.note(operation.subject)
        return result_builder.result(operation, session.run, namespace)
    except Exception as error:  # noqa: BLE001 - logged; no operation is kept from ending, nor the report from all others
        defect = reported(error, f"the result of {operation.replay.destination}")
        return result_builder.bare(operation, session.run, f"its details are missing here: {defect}")


def _readable(store: ObjectStore, key: str) -> Result | None:
    """Read one stored result; None for one that is damaged or gone, which hides none of the others."""
    try:
        return read_document(store, key, Result)
    except (Corrupt, NotFound) as error:
        log.warning("stored result not read", key=key, cause=error.message, hint=error.hint)
        return None


def _list_beside(cluster: Cluster, subject: Subject, namespace: TargetNamespace) -> None:
    """List what belongs to restored VMs beside them, once an object that needs them has ended.

    One LIST of names for each kind and look, of metadata only: no content of a Secret is read. A kind that cannot be
    listed is a note of the result, never a failure.
    """
    if namespace.look is None:
        return
    if namespace.beside.at != namespace.look.at:
        namespace.beside = Beside(at=namespace.look.at)
    beside, vms = namespace.beside, namespace.look.observed.machines
    expected = {vm.name: vm for vm in subject.topology.machines}
    compared = {kind for name, facts in expected.items() if name in vms for kind in kinds_beside(vms[name], facts)}
    for kind in sorted(compared - beside.names.keys() - beside.unlisted.keys()):
        try:
            names = cluster.read_all(kind, namespace.name, _name, metadata_only=True)
            beside.names[kind] = frozenset(filter(None, names))
        except Exception as raised:  # noqa: BLE001 - logged; the result is stored without it
            error = as_ours(raised, f"the list of {kind.resource} in namespace {namespace.name}")
            beside.unlisted[kind] = (
                f"cannot tell whether the {kind.plural} of VMs are as they should be: {error.message}"
            )


def _name(manifest: Manifest) -> str:
    return "" if manifest.deleting else manifest.name
