"""The registration source that asks vCenter: the only one that sees a VM before there is a VirtualMachine."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

from velero_vmservice.registration import from_vcenter
from velero_vmservice.registration.model import Source
from velero_vmservice.vsphere.vm import Seen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.round_cache import Look
    from velero_vmservice.registration.sources.vsphere_looks import VsphereLooks
    from velero_vmservice.vsphere.vm import VsphereVm

REMEMBERED_VMS: Final = 20_000
"""Since when each is seen; twice the VMs that a Supervisor is asked to hold."""
REMEMBERED_SECONDS: Final = 24 * 3600.0


class VCenterRegistration:
    """A `RegistrationSource` on vCenter's inventory.

    It remembers since when it has seen a VM in its folder, a restore running and a task at work: no property tells
    the former, and vCenter's clock may be another. A new process begins anew with that.
    """

    def __init__(self, *, looks: VsphereLooks, clock: Clock) -> None:
        self._looks = looks
        self._clock = clock
        self._lock = threading.Lock()
        self._began: TTLCache[tuple[str, bool], tuple[float, datetime]] = TTLCache(
            REMEMBERED_VMS, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._tasks: TTLCache[str, float] = TTLCache(REMEMBERED_VMS, REMEMBERED_SECONDS, timer=clock.monotonic)

    @property
    def name(self) -> str:
        """Return `vcenter`."""
        return Source.VCENTER

    def observe(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what one look at the namespace's folder says of each VM; see the port."""
        if not vms:
            return {}
        vsphere = self._looks.look(namespace, vms, look)
        seen = [self._dated(vm) for vm in vsphere.machines]
        return from_vcenter.registrations(namespace, vms, seen, vsphere.supervisor)

    def _dated(self, vm: VsphereVm) -> VsphereVm:
        if not vm.in_folder:
            return vm
        now = self._clock.monotonic()
        at_work = vm.task.id if vm.task is not None and not vm.task.over else ""
        with self._lock:
            self._began.pop((vm.moid, not vm.restoring), None)
            began, since = self._began.get((vm.moid, vm.restoring), (now, self._clock.now()))
            self._began[vm.moid, vm.restoring] = began, since  # remembered for as long as it is seen
            task = self._tasks.get(at_work, now)
            if at_work:
                self._tasks[at_work] = task
        seen = Seen(task=now - task, since=since)
        if vm.restoring:
            return replace(vm, seen=replace(seen, restoring=now - began))
        return replace(vm, seen=replace(seen, in_folder=now - began))
