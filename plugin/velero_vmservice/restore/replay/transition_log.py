"""The log of a restore: each transition once and, while it waits, every few minutes what it waits for.

`velero restore logs` ends where the waiting begins, so these lines are the story of what follows. The memory of what
was logged is bounded as the restore's own is: an entry for each operation and each VM.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.metrics import REPLAY_WAIT, REPLAYS
from velero_vmservice.report.stage import Stage
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.look import TargetNamespace
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

QUIET_SECONDS: Final = 300.0
"""A restore that waits is logged this often: it shows that it is alive, and the log stays short."""
_PASSED_OVER: Final = (
    "Velero calls no action for it: another plugin's action may have refused it at backup, or this cluster does not"
    " serve its kind"
)
_REASONS: Final = 3
"""How many objects such a line gives the reason of; `velero restore describe --details` has them all."""

for _stage in Stage:
    if _stage.final:
        REPLAYS.labels(_stage)

_Vm = tuple[str, str]
"""Target namespace and name."""


class TransitionLog:
    """What this process has logged of one restore."""

    def __init__(self) -> None:
        self._policy: RestorePolicy | None = None
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
        if policy == self._policy:
            return
        message = "restore begins" if executed else "restore continued"
        if self._policy is not None:
            message = "policy changed"
        self._policy = policy
        log.info(message, restore=_label(run), backup=f"{run.namespace}/{run.backup}", policy=policy.printed())

    def stands_in(self, operations: Iterable[ReplayOperation]) -> None:
        """Log the objects that are replayed though Velero does not ask about them."""
        for operation in operations:
            log.warning("replayed from its capture alone", object=_object(operation), reason=_PASSED_OVER)

    def follow(
        self,
        run: RestoreRun,
        operations: Collection[ReplayOperation],
        namespaces: Mapping[str, TargetNamespace],
        *,
        now: float,
    ) -> None:
        """Log what is new since the last call."""
        self._log_registered(run, operations, namespaces)
        for operation in operations:
            self._log_object(run, operation)
        if now - self._waits_logged_at < QUIET_SECONDS:
            return
        if waiting := [operation for operation in operations if not operation.stage.final or operation.kept.refusal]:
            self._waits_logged_at = now
            self._log_waiting(run, waiting)

    def _log_object(self, run: RestoreRun, operation: ReplayOperation) -> None:
        """Log what is new of one object; no text is built for the hundreds without news."""
        key = operation.operation_id
        if operation.decision.gate_open and key not in self._open_gates:
            self._open_gates.add(key)
            vms = operation.subject.topology.needs if operation.subject else ()
            REPLAY_WAIT.observe((operation.clock.now() - operation.started).total_seconds())
            log.info("gate open", restore=_label(run), object=_object(operation), vms=vms)
        if operation.made.written and key not in self._replayed:
            self._replayed.add(key)
            warnings = "; ".join(operation.decision.to_mind)
            log.info(
                "replayed",
                restore=_label(run),
                object=_object(operation),
                change=operation.decision.action,
                warnings=warnings,
            )
        if operation.stage.final and key not in self._ended:
            self._ended.add(key)
            REPLAYS.labels(operation.stage).inc()
            level = logging.WARNING if operation.stage.broken else logging.INFO
            log.log(
                level,
                "replay ended",
                restore=_label(run),
                object=_object(operation),
                stage=operation.stage,
                reason=operation.standing.reason,
            )

    def _log_registered(
        self, run: RestoreRun, operations: Collection[ReplayOperation], namespaces: Mapping[str, TargetNamespace]
    ) -> None:
        """Log how many VMs are registered, where that has changed with a look."""
        looked_at = max((namespace.looked_at for namespace in namespaces.values()), default=self._looked_at)
        if looked_at == self._looked_at:
            return
        self._looked_at = looked_at
        expected = frozenset(
            (operation.replay.target, name)
            for operation in operations
            if operation.subject
            for name in operation.subject.topology.needs
        )
        registered = frozenset(vm for vm in expected if _is_ready(vm, namespaces))
        if (expected, registered) == (self._expected, self._registered):
            return
        news = sorted(f"{namespace}/{name}" for namespace, name in registered - self._registered)
        self._expected, self._registered = expected, registered
        log.info("VMs registered", restore=_label(run), registered=len(registered), expected=len(expected), vms=news)

    def _log_waiting(self, run: RestoreRun, waiting: Collection[ReplayOperation]) -> None:
        reasons = [
            f"{operation.replay.destination}: {operation.kept.refusal or operation.standing.reason}"
            for operation in waiting
        ]
        log.info(
            "restore waits",
            restore=_label(run),
            open_count=len(waiting),
            registered=len(self._registered),
            expected=len(self._expected),
            reason=enumerate_some(reasons, most=_REASONS),
        )


def _label(run: RestoreRun) -> str:
    """Return the name of a restore as every line of a call of Velero has it."""
    return f"{run.namespace}/{run.name}"


def _object(operation: ReplayOperation) -> str:
    return str(operation.replay.destination)


def _is_ready(vm: _Vm, namespaces: Mapping[str, TargetNamespace]) -> bool:
    namespace, name = vm
    return namespace in namespaces and name in namespaces[namespace].ready
