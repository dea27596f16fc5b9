"""What a restore leaves behind: one stored result per object, a report of all, and Events while people watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice import documents
from velero_vmservice.archive.store import storage
from velero_vmservice.errors import AlreadyExists, Corrupt, NotFound, VmServiceError
from velero_vmservice.incidents import as_ours, reported
from velero_vmservice.kube.manifest import RESTORE, ObjectRef
from velero_vmservice.report.application import part, without_courses
from velero_vmservice.report.model import Result
from velero_vmservice.report.stage import IN_WORDS, Stage
from velero_vmservice.report.store import PAGE, prefix, result_key, result_keys, where_reported
from velero_vmservice.restore.replay import result_builder
from velero_vmservice.restore.replay.session import LEARNING
from velero_vmservice.restore.verify.vm import kinds_beside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.archive.store.port import ObjectStore
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.report.application import Part
    from velero_vmservice.report.store import Reporting
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.look import NamespaceRound
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.session import Rounds
    from velero_vmservice.restore.source.vms_alone import VmsAlone
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

_STAGES: Final = frozenset(Stage)


class Results:
    """Stores results and the report, and records Events."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints, reporting: Reporting, vms: VmsAlone) -> None:
        self._cluster = cluster
        self._restore_points = restore_points
        self._reporting = reporting
        self._vms = vms

    def keep(self, task: ReplayOperation, run: RestoreRun, rounds: Rounds) -> None:
        """Make a finished task's result durable, and after the last one the report.

        While others of the restore may be unknown the task is not over, if Velero will ask again: the last one to end
        makes the report. Raises `VmServiceError` where the store does not take them.
        """
        key, store = _key(task, run), self._restore_points.store(run)
        if not task.published:
            view = rounds.namespaces.get(task.replay.target)
            if view is not None and task.subject is not None:
                _list_beside(self._cluster, task.subject, view)
            self._put(store, task, key, _result(task, run, rounds))
            self._tell(task, run, key)
        if task.asked_again and not rounds.known():
            task.not_stored = LEARNING
            return
        if all(self._has_ended(store, operation, run) for operation in rounds.tasks.values()):
            self._report(store, run, rounds)
            for operation in rounds.tasks.values():
                operation.report = where_reported(store, run)
        task.stored, task.report_command = True, run.report_command

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

    def stored(self, task: ReplayOperation, run: RestoreRun) -> Result | None:
        """Return the result that an earlier process has stored of an operation; None if none of its own is to be read.

        Raises `VmServiceError` while the store is away.
        """
        try:
            result = storage.read(self._restore_points.store(run), _key(task, run), Result)
        except VmServiceError as error:
            if error.transient:
                raise
            return None
        return result if result.is_of(task.replay.destination, run) else None

    def event(self, run: RestoreRun, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an Event on the Restore."""
        about = ObjectRef(RESTORE, run.namespace, run.name)
        self._cluster.event(about, uid=run.uid, reason=reason, message=message, warning=warning)

    def _tell(self, task: ReplayOperation, run: RestoreRun, key: str) -> None:
        task.published = True
        where = str(task.replay.destination)
        log.debug("result stored", object=where, key=key)
        self.event(run, task.stage.title(), f"{where}: {task.description()}", warning=_bad(task))

    def _put(self, store: ObjectStore, task: ReplayOperation, key: str, result: Result) -> None:
        body = documents.canonical(result)
        try:
            store.put(key, body, sha256=documents.digest(body))
        except AlreadyExists:
            task.ended_elsewhere = True
            log.info("result stored before", key=key)

    def _has_ended(self, store: ObjectStore, task: ReplayOperation, run: RestoreRun) -> bool:
        """Say whether an operation has a stored result, whichever process has ended it.

        Velero may ask another process for the end of an operation that is known here, and never ask here again.
        """
        if not task.published and not task.ended_elsewhere:
            task.ended_elsewhere = store.exists(_key(task, run))
        return task.published or task.ended_elsewhere

    def _report(self, store: ObjectStore, run: RestoreRun, rounds: Rounds) -> None:
        """Make the report of what is stored; what this process has ended it knows as it is now."""
        if rounds.reported.issuperset(rounds.tasks):
            return
        ended_here = [task for task in rounds.tasks.values() if task.published and not task.ended_elsewhere]
        own = {_key(task, run): _result(task, run, rounds) for task in ended_here}
        try:
            seal = self._vms.seal(run)
        except VmServiceError as error:
            seal = None
            log.warning("what the backup left out is not known", cause=error.message)
        watched = self._watched(run)
        report = self._reporting.report(store, run, own, rounds.policy.printed(), seal=seal, watched=watched)
        rounds.reported = frozenset(rounds.tasks)
        if rounds.known():
            rounds.namespaces.clear()  # no poll follows, and it may be thousands of VMs
        if report is not None:
            log.info(
                "restore ended",
                restore=f"{run.namespace}/{run.name}",
                outcome=report.outcome,
                key=f"{prefix(run)}{PAGE}",
            )
            self.event(run, "Reported", f"{IN_WORDS[report.outcome]}; {_where(store, run)}")

    def _watched(self, run: RestoreRun) -> Mapping[str, tuple[str, ...]]:
        """Return the VMs without an application that this restore should have looked at, by namespace."""
        try:
            return self._vms.by_namespace(run)
        except VmServiceError as error:
            log.warning("VMs without an application are not known", cause=error.message, hint=error.hint)
            return {}


def _key(task: ReplayOperation, run: RestoreRun) -> str:
    return result_key(run, task.replay, twin=task.twin)


def _result(task: ReplayOperation, run: RestoreRun, rounds: Rounds) -> Result:
    """Return how an operation stands; where that breaks down, what can be said without its details."""
    try:
        return result_builder.result(task, run, rounds.namespaces.get(task.replay.target))
    except Exception as error:  # noqa: BLE001 - logged; no operation is kept from ending, nor the report from all others
        defect = reported(error, f"the result of {task.replay.destination}")
        return result_builder.bare(task, run, f"its details are missing here: {defect}")


def _where(store: ObjectStore, run: RestoreRun) -> str:
    return f"report: {where_reported(store, run)} ({run.report_command})"


def _readable(store: ObjectStore, key: str) -> Result | None:
    """Read one stored result; None for one that is damaged or gone, which hides none of the others."""
    try:
        return storage.read(store, key, Result)
    except (Corrupt, NotFound) as error:
        log.warning("stored result not read", key=key, cause=error.message, hint=error.hint)
        return None


def _bad(task: ReplayOperation) -> bool:
    return task.stage is not Stage.VERIFIED or bool(task.mind)


def _list_beside(cluster: Cluster, subject: Subject, view: NamespaceRound) -> None:
    """List what belongs to restored VMs beside them, once an object that needs them has ended.

    One LIST of names for each kind and look, of metadata only: no content of a Secret is read. A kind that cannot be
    listed is a note of the result, never a failure.
    """
    if view.observed is None:
        return
    if view.beside_at != view.at:
        view.beside_at, view.beside, view.unlisted = view.at, {}, {}
    expected = {vm.name: vm for vm in subject.topology.machines}
    vms = view.observed.machines
    compared = {kind for name, facts in expected.items() if name in vms for kind in kinds_beside(vms[name], facts)}
    for kind in sorted(compared - view.beside.keys() - view.unlisted.keys()):
        try:
            names = cluster.read_all(kind, view.observed.namespace, _name, metadata_only=True)
            view.beside[kind] = frozenset(filter(None, names))
        except Exception as raised:  # noqa: BLE001 - logged; the result is stored without it
            error = as_ours(raised, f"the list of {kind.resource} in namespace {view.observed.namespace}")
            view.unlisted[kind] = (
                f"whether the {kind.plural} of VMs are as they should be is not known: {error.message}"
            )


def _name(manifest: Manifest) -> str:
    return "" if manifest.deleting else manifest.name
