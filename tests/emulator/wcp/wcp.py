"""WCP's watch over restored VMs: it registers them by itself, after a while, where it is allowed to.

The guide, 4.2: VCF 9 only with `enableAutomaticRegistration`, 8.0 U3 unless `disableAutomaticRegistration`; 7.2.1:
never during a snapshot revert. Time comes from outside, and each call of `tick()` takes every task one step further,
so a test decides how long minutes are.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import urllib3
from kubernetes.client import ApiException

from tests.emulator.vm_operator import records
from tests.emulator.vm_operator.vm_controller import SNAPSHOT_REVERT
from tests.emulator.wcp.register_steps import State
from tests.emulator.wcp.register_vm import Registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulator.kubernetes.cluster import Cluster
    from tests.emulator.wcp.vcenter import VCenter, VsphereVm

_log = logging.getLogger(__name__)


class Wcp:
    """One Supervisor's WCP; a context manager that ticks in a thread."""

    def __init__(
        self,
        cluster: Cluster,
        vcenter: VCenter,
        *,
        delay: timedelta = timedelta(seconds=90),
        opt_in: bool = True,
        interval: float = 0.2,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        **options: Any,
    ) -> None:
        """Make one.

        Args:
            cluster: The Supervisor.
            vcenter: What is watched.
            delay: From a VM's restore to its registration, 1 to 2 minutes in reality.
            opt_in: VCF 9.0's rule; False for 8.0 U3's.
            interval: Seconds between ticks in the thread, and so between the steps of a task.
            clock: The time.
            options: Passed to every `Registration`, e.g. `keep_owners`.
        """
        self.tasks: dict[str, Registration] = {}
        self._cluster = cluster
        self._vcenter = vcenter
        self._delay = delay
        self._opt_in = opt_in
        self._interval = interval
        self._clock = clock
        self._options = {"incremental": opt_in, **options}
        self._seen: dict[str, datetime] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def register(self, moid: str, *, namespace: str = "", **options: Any) -> Registration:
        """Call RegisterVM by hand; the task goes on with each tick, or by `advance()`."""
        machine = self._vcenter.vm(moid)
        where = namespace or (machine.folder if machine else "")
        task = Registration(self._cluster, self._vcenter, moid, namespace=where, **{**self._options, **options})
        self.tasks[moid] = task
        return task

    def tick(self) -> None:
        """Look for restored VMs, start the tasks that are due, take each running one a step further."""
        now = self._clock()
        for machine in self._vcenter.machines():
            if not self._wants_registration(machine):
                self._seen.pop(machine.moid, None)
            elif now - self._seen.setdefault(machine.moid, now) >= self._delay:
                self.register(machine.moid)
        for task in tuple(self.tasks.values()):
            if task.state is State.RUNNING:
                task.advance()

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="wcp", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.tick()
            except (ApiException, urllib3.exceptions.HTTPError) as error:
                _log.debug("tick failed: %s", error)

    def _wants_registration(self, machine: VsphereVm) -> bool:
        """Say whether a VM was restored and not registered since: by its plain disks, or its absent object."""
        task, extra = self.tasks.get(machine.moid), machine.extra_config
        if task is not None and task.state is not State.SUCCEEDED:
            return False  # it runs, or it failed: it is not repeated unasked
        if not extra.get(records.Key.VM):
            return False
        if not (
            records.is_on(extra, records.Key.ENABLE) if self._opt_in else not records.is_on(extra, records.Key.DISABLE)
        ):
            return False
        live = self._cluster.get("VirtualMachine", machine.name, machine.folder)
        if live is None:
            return True
        annotations = live["metadata"].get("annotations") or {}
        if SNAPSHOT_REVERT in annotations:
            return False
        behind = {entry["UUID"] for entry in records.recorded_disks(extra)}
        older = int(extra.get(records.Key.VERSION) or 0) < int(annotations.get(records.BACKUP_VERSION) or 0)
        return older or any(not disk.fcd and disk.uuid in behind for disk in machine.disks)
