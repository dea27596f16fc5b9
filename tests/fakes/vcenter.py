"""A vCenter in memory: implementations of the inventory and RegisterVM ports, not mocks.

VMs lie in folders and RegisterVM makes tasks that a test ends as it likes. `calls` counts what was asked, by
managed object id for RegisterVM, and makes chosen calls fail: `call` before RegisterVM takes effect, `answer` after.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.fakes.store import Calls
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.errors import AlreadyExists, NotFound
from velero_vmservice.vsphere.vm import RegisterTask, TaskState, VsphereVm

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.vsphere.network_override import NetworkOverride
    from velero_vmservice.vsphere.vm import RegisterEvent


class MemoryVCenter:
    """VMs by managed object id, and the tasks of RegisterVM."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.calls = Calls()
        self.overrides: dict[str, NetworkOverride] = {}
        """What each VM was called with, by managed object id."""
        self.registered: set[str] = set()
        """VMs for which RegisterVM answers AlreadyInDesiredState."""
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._vms: dict[str, tuple[str, VsphereVm]] = {}
        self._tasks: dict[str, tuple[str, RegisterTask]] = {}

    def about(self) -> str:
        """Say what it is; see the port."""
        self.calls("about", "")
        return "vCenter in memory"

    def restore(self, namespace: str, machine: VsphereVm) -> None:
        """Put a VM into a namespace's folder, or replace what is there."""
        with self._lock:
            self._vms[machine.moid] = namespace, machine

    def lose(self, moid: str) -> None:
        """Delete a VM; one that is gone is success."""
        with self._lock:
            self._vms.pop(moid, None)

    def set_task(self, task_id: str, state: TaskState, *, percent: int | None = None, message: str = "") -> None:
        """Let a task come to a state."""
        with self._lock:
            moid, task = self._tasks[task_id]
            ended = self._clock.now() if state in (TaskState.SUCCEEDED, TaskState.FAILED) else None
            self._tasks[task_id] = moid, replace(task, state=state, percent=percent, message=message, ended_at=ended)

    def forget(self, task_id: str) -> None:
        """Let vCenter know nothing of a task any more."""
        with self._lock:
            self._tasks.pop(task_id, None)

    def log_event(self, moid: str, event: RegisterEvent) -> None:
        """Let WCP leave an event at the end of a VM's registration."""
        with self._lock:
            where, machine = self._vms[moid]
            self._vms[moid] = where, replace(machine, event=event)

    def tasks_of(self, moid: str) -> Sequence[str]:
        """Return the ids of the RegisterVM tasks of a VM."""
        with self._lock:
            return tuple(key for key, (of, _) in self._tasks.items() if of == moid)

    # The ports.

    def look(
        self, namespace: str, wanted: Collection[ExpectedVm], *, folders: Collection[str] = ()
    ) -> Sequence[VsphereVm]:
        """Return the VMs of the folder, and every other one as lying elsewhere; see the port."""
        del wanted, folders
        self.calls("look", namespace)
        with self._lock:
            return [
                replace(
                    machine,
                    in_folder=machine.in_folder and where == namespace,
                    folder=machine.folder or where,
                    task=self._newest(moid),
                )
                for moid, (where, machine) in self._vms.items()
            ]

    def call(self, namespace: str, moid: str, override: NetworkOverride) -> str:
        """Begin a task; see the port."""
        del namespace
        self.calls("call", moid)
        with self._lock:
            if moid in self.registered:
                raise AlreadyExists(f"{moid} is registered already (AlreadyInDesiredState)")
            if moid not in self._vms:
                raise NotFound(f"vCenter has no VM {moid}")
            task_id = f"task-{next(self._numbers)}"
            self.overrides[moid] = override
            self._tasks[task_id] = (
                moid,
                RegisterTask(id=task_id, state=TaskState.RUNNING, queued_at=self._clock.now()),
            )
        self.calls("answer", moid)
        return task_id

    def task(self, task_id: str) -> RegisterTask:
        """Return how far a task is; see the port."""
        self.calls("task", task_id)
        with self._lock:
            _, task = self._tasks.get(task_id, ("", None))
        return task or RegisterTask(id=task_id, state=TaskState.UNKNOWN)

    def latest(self, moid: str, since: datetime) -> RegisterTask | None:
        """Return the newest task of a VM; see the port."""
        self.calls("latest", moid)
        with self._lock:
            newest = self._newest(moid)
        return newest if newest and newest.queued_at and newest.queued_at >= since else None

    def _newest(self, moid: str) -> RegisterTask | None:
        return next((task for of, task in reversed(tuple(self._tasks.values())) if of == moid), None)
