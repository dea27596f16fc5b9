"""Follow RegisterVM's attempts, made by this process, by another one or by a person's command.

Nothing here calls RegisterVM. vCenter's last word is added to the record, because it forgets a task within minutes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import LRUCache, TTLCache

from velero_vmservice.errors import Forbidden, VmServiceError
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.registervm import messages
from velero_vmservice.registervm.attempt import FAILED, SUCCEEDED
from velero_vmservice.vmoperator import networks
from velero_vmservice.vsphere import network_override
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.registervm.attempt import Attempt
    from velero_vmservice.registervm.attempt_store import Attempts
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.round_cache import Look
    from velero_vmservice.vsphere.ports import RegisterVm
    from velero_vmservice.vsphere.vm import RegisterTask

log = structlog.get_logger()

NONE_SECONDS: Final = 30.0
"""A restore without any attempt is asked for its attempts again after this long: a person may call at any time."""
REMEMBERED_RESTORES: Final = 64
REMEMBERED_TASKS: Final = 10_000
"""As many as there are VMs on a Supervisor: of one that is forgotten vCenter is asked for the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The newest attempt for each VM of a namespace, as far as the records could be read."""

    attempts: tuple[Attempt, ...] = ()
    problem: str = ""
    """Why they could not be read just now; then `attempts` are those that were read last."""


class Following:
    """Tells where attempts stand; one object serves every restore of a process, from several threads."""

    def __init__(self, *, cluster: Cluster, clock: Clock, attempts: Attempts, register: RegisterVm | None) -> None:
        """Put together; without `register`, where no vCenter is set up, only what is recorded can be told."""
        self._cluster = cluster
        self._clock = clock
        self._attempts = attempts
        self._register = register
        self._lock = threading.Lock()
        self._tasks: LRUCache[str, str] = LRUCache(REMEMBERED_TASKS)
        """Tasks that a call answered with, for a record that could not be written to since."""
        self._without: TTLCache[str, str] = TTLCache(REMEMBERED_RESTORES, NONE_SECONDS, timer=clock.monotonic)
        """Restores that had no attempt when they were last asked for, and the problem where that was denied."""
        self._last: LRUCache[str, Mapping[tuple[str, str], Attempt]] = LRUCache(REMEMBERED_RESTORES)
        """What was last read of each restore that has attempts: they survive a LIST that fails."""

    def attempts(self, restore_uid: str, namespace: str) -> Recorded:
        """Return the newest attempt for each VM of a namespace: one LIST, and none while the last was in vain.

        Never raises: a restore without calls does without the records.
        """
        with self._lock:
            if restore_uid in self._without:
                return Recorded(problem=self._without[restore_uid])
        problem = ""
        try:
            newest = self.newest(restore_uid)
        except VmServiceError as error:
            log.info("RegisterVM attempts not read", cause=error.message)
            problem = str(error)
            with self._lock:
                newest = self._last.get(restore_uid, {})
                if not newest and isinstance(error, Forbidden):
                    self._without[restore_uid] = problem
        else:
            if not newest:
                with self._lock:
                    self._without[restore_uid] = ""
        return Recorded(attempts=_of(newest, namespace), problem=problem)

    def newest(self, restore_uid: str) -> Mapping[tuple[str, str], Attempt]:
        """Read the newest attempt for each VM of a restore, by namespace and name; one LIST, and it is remembered.

        Raises what the cluster raises.
        """
        newest = self._attempts.newest(restore_uid)
        with self._lock:
            if newest:
                self._last[restore_uid] = newest
            else:
                self._last.pop(restore_uid, None)
        return newest

    def last(self, restore_uid: str, namespace: str) -> tuple[Attempt, ...]:
        """Return the attempts for VMs of a namespace that were read last, without a request."""
        with self._lock:
            return _of(self._last.get(restore_uid, {}), namespace)

    def ended(self, attempts: Collection[Attempt], look: Look) -> dict[str, Registration]:
        """Return how the attempts that are over ended, by VM; requests only what `look` lacks."""
        return {attempt.vm: self._told(attempt, look) for attempt in attempts if attempt.over}

    def advance(
        self,
        attempts: Collection[Attempt],
        look: Look | None = None,
        *,
        until: float = float("inf"),
        follow: Callable[[Attempt, Look | None], Registration] | None = None,
    ) -> dict[str, Registration]:
        """Return where each attempt stands, by VM, those that are over first; after `until` of no other open one.

        `follow` replaces `Following.follow` for a caller that may also call. Raises as cluster and vCenter answer.
        """
        registrations: dict[str, Registration] = {}
        with self._lock:
            for name in [attempt.name for attempt in attempts if attempt.over or attempt.task]:
                self._tasks.pop(name, None)  # the record tells it now
        for attempt in sorted(attempts, key=lambda attempt: not attempt.over):
            if registrations and not attempt.over and self._clock.monotonic() > until:
                break
            registrations[attempt.vm] = (follow or self.follow)(attempt, look)
        return registrations

    def follow(self, attempt: Attempt, look: Look | None = None) -> Registration:
        """Tell where an attempt stands; `look` is what this round has seen in vCenter."""
        if attempt.over:
            return self._told(attempt, look)
        if self._register is None:
            return messages.unseen(attempt, self._clock.now())
        if look is not None:
            look.check_vsphere()
        with self._lock:
            task = attempt.task or self._tasks.get(attempt.name, "")
        if task:
            seen = look.vsphere.task(attempt.moid, task) if look and look.vsphere else None
            register_task: RegisterTask | None = seen or self._register.task(task)
        else:
            register_task = self._register.latest(attempt.moid, attempt.recorded_at)
            task = register_task.id if register_task is not None else ""
        if task and not attempt.task:
            self._remember(replace(attempt, task=task))
        if register_task is not None and register_task.over:
            outcome = SUCCEEDED if register_task.state is TaskState.SUCCEEDED else FAILED
            return self.over(replace(attempt, task=task), outcome, register_task.message)
        unknown = register_task is None or register_task.state is TaskState.UNKNOWN
        if unknown and look and look.vsphere and (event := look.vsphere.event(attempt.moid, attempt.recorded_at)):
            # vCenter keeps it for days, and a task for minutes
            ended = SUCCEEDED if event.succeeded else FAILED
            return self.over(replace(attempt, task=task), ended, "" if event.succeeded else event.message)
        return messages.progress(attempt, self._clock.now(), register_task, task=task)

    def begun(self, attempt: Attempt, task: str) -> None:
        """Take over the task that a call has answered with."""
        with self._lock:
            self._tasks[attempt.name] = task
        self._remember(replace(attempt, task=task))

    def over(self, attempt: Attempt, outcome: str, message: str) -> Registration:
        """Record the end of an attempt; should that fail, the next round comes to the same end."""
        kept = messages.kept(message)
        ended = replace(attempt, outcome=outcome, message=kept, ended_at=self._clock.now())
        self._remember(ended)
        return self._told(ended)

    def _told(self, attempt: Attempt, look: Look | None = None) -> Registration:
        if attempt.outcome == FAILED:
            return messages.failed(attempt)
        return messages.succeeded(attempt, notes=self._networks(attempt, look))

    def _networks(self, attempt: Attempt, look: Look | None) -> tuple[str, ...]:
        """Check `spec.network` against the plan; a VM that cannot be read is checked in a later round.

        In the round in which an attempt ends, the VM is read by itself: the look is from before. Later it is not.
        """
        if not attempt.network:
            return ()
        if look is not None and look.observed is not None:
            seen = look.observed.machines.get(attempt.vm)
            return network_override.unmoved(attempt.network, seen.interfaces) if seen else ()
        try:
            vm = self._cluster.get(ObjectRef(VIRTUAL_MACHINE, attempt.namespace, attempt.vm))
        except VmServiceError:
            return ()
        return network_override.unmoved(attempt.network, networks.interfaces(vm))

    def _remember(self, attempt: Attempt) -> None:
        try:
            self._attempts.tell(attempt)
        except VmServiceError as error:
            log.warning("RegisterVM attempt not updated", attempt=attempt.name, cause=error.message)


def _of(newest: Mapping[tuple[str, str], Attempt], namespace: str) -> tuple[Attempt, ...]:
    return tuple(attempt for (where, _), attempt in newest.items() if where == namespace)
