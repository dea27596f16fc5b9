"""What the log tells of a restore: each transition once and, while it waits, every few minutes what it waits for.

`velero restore logs` ends where the waiting begins, so these lines are the story of what follows. The memory of what
was logged is bounded as the restore's own is: an entry for each operation and each VM.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.look import NamespaceRound
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

QUIET_SECONDS: Final = 300.0
"""A restore that waits is logged this often: a person who looks sees that it is alive, and the log stays short."""
_REASONS: Final = 3
"""How many objects such a line gives the reason of; `velero restore describe --details` has them all."""

_Vm = tuple[str, str]
"""Target namespace and name."""


class TransitionLog:
    """What was logged of one restore by this process."""

    def __init__(self) -> None:
        self._policy: Mapping[str, str] | None = None
        self._open_gates: set[str] = set()
        self._replayed: set[str] = set()
        self._ended: set[str] = set()
        self._looked_at = float("-inf")
        self._expected: frozenset[_Vm] = frozenset()
        self._registered: frozenset[_Vm] = frozenset()
        self._waits_logged_at = float("-inf")

    @property
    def begun(self) -> bool:
        """Whether the beginning of the restore, and with it the policy, was logged."""
        return self._policy is not None

    def begins(self, run: RestoreRun, policy: RestorePolicy, *, executed: bool) -> None:
        """Log the effective policy once, and again where it changes; `executed` says that Velero has just begun."""
        printed = policy.printed()
        if printed == self._policy:
            return
        message = "restore begins" if executed else "restore continued"
        if self._policy is not None:
            message = "policy changed"
        self._policy = printed
        log.info(message, restore=_label(run), backup=f"{run.namespace}/{run.backup}", policy=printed)

    def follow(
        self, run: RestoreRun, tasks: Collection[ReplayOperation], looks: Mapping[str, NamespaceRound], *, now: float
    ) -> None:
        """Log what is new since the last call; `looks` are the last ones at each target namespace."""
        self._log_registered(run, tasks, looks)
        for task in tasks:
            self._log_object(run, task)
        if now - self._waits_logged_at < QUIET_SECONDS:
            return
        if waiting := [task for task in tasks if not task.stage.final or task.not_stored]:
            self._waits_logged_at = now
            self._log_waiting(run, waiting)

    def _log_object(self, run: RestoreRun, task: ReplayOperation) -> None:
        """Log what is new of one object; no text is built for the hundreds without news."""
        key = task.operation_id
        if task.gate_open and key not in self._open_gates:
            self._open_gates.add(key)
            vms = task.subject.topology.needs if task.subject else ()
            log.info("gate open", restore=_label(run), object=_object(task), vms=vms)
        if task.written and key not in self._replayed:
            self._replayed.add(key)
            warnings = "; ".join(task.mind)
            log.info("replayed", restore=_label(run), object=_object(task), change=task.action, warnings=warnings)
        if task.stage.final and key not in self._ended:
            self._ended.add(key)
            level = logging.WARNING if task.stage.broken else logging.INFO
            log.log(
                level, "replay ended", restore=_label(run), object=_object(task), stage=task.stage, reason=task.reason
            )

    def _log_registered(
        self, run: RestoreRun, tasks: Collection[ReplayOperation], looks: Mapping[str, NamespaceRound]
    ) -> None:
        """Log how many VMs are registered, where that has changed with a look."""
        looked_at = max((look.at for look in looks.values()), default=self._looked_at)
        if looked_at == self._looked_at:
            return
        self._looked_at = looked_at
        expected = frozenset(
            (task.replay.target, name) for task in tasks if task.subject for name in task.subject.topology.needs
        )
        registered = frozenset(vm for vm in expected if _is_ready(vm, looks))
        if (expected, registered) == (self._expected, self._registered):
            return
        news = sorted(f"{namespace}/{name}" for namespace, name in registered - self._registered)
        self._expected, self._registered = expected, registered
        log.info("VMs registered", restore=_label(run), registered=len(registered), expected=len(expected), vms=news)

    def _log_waiting(self, run: RestoreRun, waiting: Collection[ReplayOperation]) -> None:
        reasons = [f"{task.replay.destination}: {task.not_stored or task.reason}" for task in waiting]
        log.info(
            "restore waits",
            restore=_label(run),
            open_count=len(waiting),
            registered=len(self._registered),
            expected=len(self._expected),
            reason=enumerate_some(reasons, most=_REASONS),
        )


def _label(run: RestoreRun) -> str:
    """Name a restore as every line of a call of Velero does."""
    return f"{run.namespace}/{run.name}"


def _object(task: ReplayOperation) -> str:
    return str(task.replay.destination)


def _is_ready(vm: _Vm, looks: Mapping[str, NamespaceRound]) -> bool:
    namespace, name = vm
    return namespace in looks and name in looks[namespace].ready
