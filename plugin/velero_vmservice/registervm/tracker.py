"""The life of a recorded attempt to call RegisterVM: the one call, if it is allowed, and its outcome.

The call can be neither repeated nor cancelled. So its record is created before the call, and a process that finds the
record of another looks for the task instead of calling: a VM is never registered twice, even if processes die or race.
vCenter's final answer is added to the record, because vCenter forgets a task within minutes.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import AlreadyExists, NotSent, Unavailable, VmServiceError
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.metrics import REGISTER_VM_CALLS, Called
from velero_vmservice.registervm import messages
from velero_vmservice.registervm.attempt import FAILED, SUCCEEDED
from velero_vmservice.vmoperator import virtual_machine
from velero_vmservice.vsphere import network_override
from velero_vmservice.vsphere.vm import TaskState, is_same_task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.registervm.attempt import Attempt
    from velero_vmservice.registervm.attempt_store import Attempts
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.sources import Look
    from velero_vmservice.vsphere.ports import RegisterVm
    from velero_vmservice.vsphere.vm import RegisterTask

log = structlog.get_logger()

_LOOKED_AT_WITHIN: Final = timedelta(hours=1)
"""Longer than the age of any look at the creation of a record: a task that the look lacks was queued later."""


class AttemptTracker:
    """Follows attempts to their end; serves every restore of a process, in several threads.

    Attempts come from this process, from another one, or from a user's command. A call needs `may_call`, and a record
    that this process has created itself.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Clock,
        attempts: Attempts,
        register: RegisterVm | None,
        holder: str,
    ) -> None:
        """Set up.

        Without `register`, if no vCenter is set up, only the records are read. `holder` MUST be unique to each process,
        also after restarts.
        """
        self.holder = holder
        self._cluster = cluster
        self._clock = clock
        self._attempts = attempts
        self._register = register
        self._lock = threading.Lock()
        self._begun: dict[str, str] = {}
        """Records for which this process has begun a call, with the task once it is known, until the record has it."""
        self._at_work: set[str] = set()
        """VMs with a call under way in this process, by managed object id, for any restore."""

    def ended(self, attempts: Collection[Attempt], look: Look | None = None) -> Mapping[str, Registration]:
        """Return the states of attempts with a recorded end, by VM; the only request is for the VM's networks."""
        return {attempt.vm: self._end(attempt, look) for attempt in attempts if attempt.over}

    def advance(
        self,
        attempts: Collection[Attempt],
        look: Look | None = None,
        *,
        until: float = float("inf"),
        may_call: bool = False,
    ) -> Mapping[str, Registration]:
        """Return the states of the attempts, by VM, those with a recorded end first.

        `look` is the earlier look of this round. After `until` at most one more task is looked up. Raises vCenter's
        errors: the next round continues.
        """
        registrations: dict[str, Registration] = {}
        with self._lock:
            for name in [attempt.name for attempt in attempts if attempt.over or attempt.task]:
                self._begun.pop(name, None)  # the record has it now, and prevents another call
        for attempt in sorted(attempts, key=lambda attempt: not attempt.over):
            if registrations and not attempt.over and self._clock.monotonic() > until:
                break
            registrations[attempt.vm] = self.follow(attempt, look, may_call=may_call)
        return registrations

    def follow(self, attempt: Attempt, look: Look | None = None, *, may_call: bool = False) -> Registration:
        """Return the state of an attempt; make its call if it is allowed and certainly was not made."""
        if attempt.over:
            return self._end(attempt, look)
        if self._register is None:
            return messages.unseen(attempt, self._clock.now())
        if look is not None:
            look.check_vsphere()
        with self._lock:
            task_id = attempt.task or self._begun.get(attempt.name, "")
            uncalled = not task_id and attempt.holder == self.holder and attempt.name not in self._begun
        if may_call and uncalled:
            return self._call(attempt, self._register)
        return self._watched(attempt, self._register, task_id, look)

    def _watched(self, attempt: Attempt, register: RegisterVm, task_id: str, look: Look | None) -> Registration:
        """Look for the task of an attempt, and return its state."""
        vsphere = look.vsphere if look is not None else None
        task: RegisterTask | None
        if task_id:
            task = (vsphere.task(attempt.moid, task_id) if vsphere else None) or register.task(task_id)
        else:
            task = register.latest(attempt.moid, attempt.recorded_at)
            task_id = task.id if task is not None else ""
        if task_id and not attempt.task:
            self._attempts.update(replace(attempt, task=task_id))
        if task is not None and task.over:
            outcome = SUCCEEDED if task.state is TaskState.SUCCEEDED else FAILED
            return self._over(replace(attempt, task=task_id), outcome, task.message)
        unknown = task is None or task.state is TaskState.UNKNOWN
        if unknown and vsphere and (event := vsphere.event(attempt.moid, attempt.recorded_at)):
            # vCenter keeps it for days, and a task for minutes
            outcome = SUCCEEDED if event.succeeded else FAILED
            return self._over(replace(attempt, task=task_id), outcome, "" if event.succeeded else event.message)
        return messages.progress(attempt, self._clock.now(), task, task=task_id)

    def _call(self, attempt: Attempt, register: RegisterVm) -> Registration:
        """Make the one call of this process's own record, unless another call for that VM is under way."""
        with self._lock:
            if attempt.name in self._begun or attempt.moid in self._at_work:
                return messages.calling(attempt)
            self._at_work.add(attempt.moid)
        try:
            return self._call_alone(attempt, register)
        finally:
            with self._lock:
                self._at_work.discard(attempt.moid)

    def _call_alone(self, attempt: Attempt, register: RegisterVm) -> Registration:
        """Look once more and call; the look of the checks may be old, and showed no record but this one.

        A record that was read, not just created, is claimed first: a command may have given it up meanwhile.
        """
        try:
            newest = register.latest(attempt.moid, attempt.recorded_at - _LOOKED_AT_WITHIN)
            begun = newest is not None and not (newest.over and is_same_task(newest.id, attempt.task_before))
            if not begun and attempt.revision and not self._attempts.claim(attempt, self._clock.now()):
                return messages.another_process(attempt)
        except VmServiceError as error:
            return messages.not_sent(attempt, error)
        if newest is not None and begun:  # by a user, WCP or another restore since the check of the VM
            self._take_over(attempt, newest.id)
            return self._watched(replace(attempt, task=newest.id), register, newest.id, None)
        with self._lock:
            self._begun[attempt.name] = ""
        return self._send(attempt, register)

    def _send(self, attempt: Attempt, register: RegisterVm) -> Registration:
        bound = log.bind(namespace=attempt.namespace, vm=attempt.vm, moid=attempt.moid, attempt=attempt.name)
        bound.info("calling RegisterVM")
        try:
            task = register.call(attempt.namespace, attempt.moid, attempt.override)
        except NotSent as error:
            REGISTER_VM_CALLS.labels(Called.NOT_SENT).inc()
            with self._lock:
                self._begun.pop(attempt.name, None)
            return messages.not_sent(attempt, error)
        except Unavailable as error:
            REGISTER_VM_CALLS.labels(Called.NO_ANSWER).inc()
            bound.warning("RegisterVM did not answer", cause=error.message)
            return messages.no_answer(attempt, error)
        except AlreadyExists as error:
            REGISTER_VM_CALLS.labels(Called.REGISTERED_BEFORE).inc()
            return self._over(attempt, SUCCEEDED, error.message)
        except VmServiceError as error:
            REGISTER_VM_CALLS.labels(Called.REFUSED).inc()
            bound.error("RegisterVM refused", cause=error.message)
            return self._over(attempt, FAILED, str(error))
        REGISTER_VM_CALLS.labels(Called.STARTED).inc()
        bound.info("RegisterVM called", task=task)
        self._take_over(attempt, task)
        return messages.progress(attempt, self._clock.now(), None, task=task)

    def _take_over(self, attempt: Attempt, task: str) -> None:
        """Remember the task of an attempt in the record, and in memory while the record cannot be written."""
        with self._lock:
            self._begun[attempt.name] = task
        self._attempts.update(replace(attempt, task=task))

    def _over(self, attempt: Attempt, outcome: str, message: str) -> Registration:
        """Record the end of an attempt."""
        kept = messages.kept(message)
        ended = replace(attempt, outcome=outcome, message=kept, ended_at=self._clock.now())
        self._attempts.update(ended)
        return self._end(ended)

    def _end(self, attempt: Attempt, look: Look | None = None) -> Registration:
        if attempt.outcome == FAILED:
            return messages.failed(attempt)
        return messages.succeeded(attempt, notes=tuple(self._unmoved(attempt, look)))

    def _unmoved(self, attempt: Attempt, look: Look | None) -> Iterator[str]:
        """Check `spec.network` against the plan; a VM that cannot be read is checked in a later round.

        In the round in which an attempt ends, the VM is read separately, because the look is older. Later it is not.
        """
        if not attempt.network:
            return
        if look is not None and look.observed is not None:
            if vm := look.observed.machines.get(attempt.vm):
                yield from network_override.unmoved(attempt.network, vm.interfaces)
            return
        try:
            manifest = self._cluster.get(ObjectRef(VIRTUAL_MACHINE, attempt.namespace, attempt.vm))
        except VmServiceError:
            return
        yield from network_override.unmoved(attempt.network, virtual_machine.interfaces(manifest))
