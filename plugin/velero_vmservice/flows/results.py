"""What a restore leaves behind: one stored result per object, a report of all, and Events while people watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.core import archive
from velero_vmservice.core.compose import compose
from velero_vmservice.core.errors import AlreadyExists, VmServiceError
from velero_vmservice.core.manifest import RESTORE, ObjectRef
from velero_vmservice.core.plan import Action, Stage
from velero_vmservice.core.report import Report, Result
from velero_vmservice.flows import documents, outcome
from velero_vmservice.flows.rounds import LEARNING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.ports import Clock, Cluster, ObjectStore
    from velero_vmservice.flows.restore_point import RestorePoints
    from velero_vmservice.flows.rounds import Rounds
    from velero_vmservice.flows.task import Task

log = structlog.get_logger()

_LOST: Final = (Stage.FAILED, Stage.CANCELLED)
_GATE_OPEN: Final = (Action.CREATE, Action.UPDATE, Action.SKIP)
"""What was decided for an object once all that it needs was there."""

REPORT: Final = "report.json"
PAGE: Final = "report.html"
UNDRAWN: Final = f"<!doctype html><title>Report</title><p>This page could not be drawn. Read {REPORT} beside it."


class Results:
    """Stores results and the report, and tells Events."""

    def __init__(
        self, *, cluster: Cluster, clock: Clock, restore_points: RestorePoints, page: Callable[[Report], str]
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._restore_points = restore_points
        self._page = page

    def keep(self, task: Task, run: RestoreRun, rounds: Rounds) -> None:
        """Make a finished task's result durable, and after the last one the report.

        A store that is away is asked again by the next poll; until then the task is not over. Neither is it while
        others of the restore may be unknown.
        """
        key = _key(task, run)
        result = outcome.result(task, run, rounds.namespaces.get(task.replay.target))
        try:
            store = self._restore_points.store(run)
            if not task.told:
                self._put(store, key, archive.canonical(result))
                self._tell(task, run, key)
            if not rounds.known():  # the last one to end makes the report, and this may be it
                task.not_stored = LEARNING
                return
            if rounds.all_over():
                self._report(store, run, rounds)
        except VmServiceError as error:
            if error.transient:
                task.not_stored = error.message
                return
            log.error("result not stored", key=key, cause=error.message, remedy=error.hint)
        task.stored, task.report = True, where_reported(run)

    def given_up(self, run: RestoreRun) -> str:
        """Say which object an earlier process ended without having created it, as a sentence goes on; '' if none.

        Raises `VmServiceError` while the store is away; one that does not say what it holds is taken to hold nothing.
        """
        try:
            ended = list(_stored(self._restore_points.store(run), run))
        except VmServiceError as error:
            if error.transient:
                raise
            log.error("results of an earlier process not read", cause=error.message, remedy=error.hint)
            return ""
        lost = [one for one in ended if one.stage in _LOST and one.action not in _GATE_OPEN]
        return f"{lost[0].label} {lost[0].stage}: {lost[0].reason}" if lost else ""

    def stored(self, task: Task, run: RestoreRun) -> Result | None:
        """Return the result that an earlier process has stored of an operation; None if there is none to be read.

        Raises `VmServiceError` while the store is away.
        """
        try:
            return documents.read(self._restore_points.store(run), _key(task, run), Result)
        except VmServiceError as error:
            if error.transient:
                raise
            return None

    def event(self, run: RestoreRun, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an Event on the Restore."""
        about = ObjectRef(RESTORE, run.namespace, run.name)
        self._cluster.event(about, uid=run.uid, reason=reason, message=message, warning=warning)

    def _tell(self, task: Task, run: RestoreRun, key: str) -> None:
        task.told = True
        where = str(task.replay.destination)
        log.info("replay ended", object=where, stage=task.stage, reason=task.reason, result=key)
        self.event(run, task.stage.title(), f"{where}: {task.description()}", warning=_bad(task))

    def _report(self, store: ObjectStore, run: RestoreRun, rounds: Rounds) -> None:
        """Make the report of what is stored, as an earlier process may have finished some objects, and of our own."""
        if rounds.reported:
            return
        own = {
            _key(one, run): outcome.result(one, run, rounds.namespaces.get(one.replay.target))
            for one in rounds.tasks.values()
        }
        results = [*_stored(store, run, but=own), *own.values()]
        ended = max((one.ended for one in results), default="") or self._clock.now().isoformat()
        report = compose(run, results, policy=rounds.policy.printed(), ended=ended)
        self._put(store, f"{prefix(run)}{REPORT}", archive.canonical(report))
        self._put(store, f"{prefix(run)}{PAGE}", self._drawn(report).encode())
        rounds.reported = True
        rounds.namespaces.clear()  # nobody asks any more, and it may be thousands of machines
        log.info("restore reported", outcome=report.outcome, key=f"{prefix(run)}{PAGE}")
        self.event(run, "Reported", f"the restore is {report.outcome}; report: {where_reported(run)}")

    def _drawn(self, report: Report) -> str:
        try:
            return self._page(report)
        except Exception:  # a page that cannot be drawn must not keep a restore from ending
            log.exception("page of the report not drawn", consequence=f"{REPORT} beside it has all of it")
            return UNDRAWN

    def _put(self, store: ObjectStore, key: str, body: bytes) -> None:
        try:
            store.put(key, body, sha256=archive.digest(body))
        except AlreadyExists:
            log.info("stored before", key=key)


def prefix(run: RestoreRun) -> str:
    """Everything that a restore leaves in the bucket lies below."""
    return f"restores/{run.name}/{run.started}/"


def where_reported(run: RestoreRun) -> str:
    """Say where the report lies, or will lie once the last object has ended."""
    return f"{archive.SUBDIRECTORY}/{prefix(run)}{PAGE} in the backup's bucket"


def _key(task: Task, run: RestoreRun) -> str:
    """Return where a result lies; one whose name another object of the restore has names its own namespace too."""
    replay = task.replay
    twin = f"@{replay.namespace}" if task.twin else ""
    return f"{prefix(run)}{replay.plural}/{replay.target}/{replay.name}{twin}.json"


def _stored(store: ObjectStore, run: RestoreRun, *, but: Collection[str] = ()) -> Iterator[Result]:
    """Yield the results that an earlier process stored: each is a request, so not those that this one has."""
    for key in store.list(prefix(run)):
        if key.endswith(".json") and key != f"{prefix(run)}{REPORT}" and key not in but:
            yield documents.read(store, key, Result)


def _bad(task: Task) -> bool:
    return task.stage is not Stage.VERIFIED or bool(task.warnings)
