"""What a restore leaves behind: one stored result per object, and Events on the Restore while people watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from velero_vmservice.core import archive
from velero_vmservice.core.errors import AlreadyExists, VmServiceError
from velero_vmservice.core.manifest import RESTORE, ObjectRef
from velero_vmservice.core.plan import Stage
from velero_vmservice.core.report import Result

if TYPE_CHECKING:
    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.ports import Cluster
    from velero_vmservice.flows.restore_point import RestorePoints
    from velero_vmservice.flows.task import Task

log = structlog.get_logger()


class Results:
    """Stores results and tells Events."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints) -> None:
        self._cluster = cluster
        self._restore_points = restore_points

    def keep(self, task: Task, run: RestoreRun) -> None:
        """Make a finished task's result durable and tell it; a store that is away is asked again by the next poll."""
        replay = task.replay
        key = f"restores/{run.name}/{run.started}/{replay.plural}/{replay.target}/{replay.name}.json"
        body = archive.canonical(_result(task, run))
        try:
            self._restore_points.store(run).put(key, body, sha256=archive.digest(body))
        except AlreadyExists:
            log.info("result was stored before", key=key)
        except VmServiceError as error:
            if error.transient:
                task.not_stored = error.message
                return
            log.error("result not stored", key=key, cause=error.message, remedy=error.hint)
        task.stored = True
        log.info("replay ended", object=str(replay.destination), stage=task.stage, reason=task.reason, result=key)
        self.event(run, task.stage.title(), f"{replay.destination}: {task.description()}", warning=_bad(task))

    def event(self, run: RestoreRun, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an Event on the Restore."""
        about = ObjectRef(RESTORE, run.namespace, run.name)
        self._cluster.event(about, uid=run.uid, reason=reason, message=message, warning=warning)


def _bad(task: Task) -> bool:
    return task.stage is not Stage.VERIFIED or bool(task.warnings)


def _result(task: Task, run: RestoreRun) -> Result:
    replay = task.replay
    return Result(
        restore=run.name,
        backup=run.backup,
        kind=replay.kind.name,
        namespace=replay.target,
        name=replay.name,
        stage=task.stage,
        reason=task.reason,
        notes=task.notes,
        warnings=task.warnings,
        trimmed=task.trimmed,
        capture=replay.key,
        timeline=tuple(task.timeline),
    )
