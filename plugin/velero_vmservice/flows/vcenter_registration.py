"""The registration source that asks vCenter: the only one that sees a machine before there is a VirtualMachine."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

from velero_vmservice.core import vcenter_registration
from velero_vmservice.core.vsphere_machine import Seen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from velero_vmservice.core.look import Look
    from velero_vmservice.core.ports import Clock
    from velero_vmservice.core.registration import Registration, Wanted
    from velero_vmservice.core.vsphere_machine import VsphereMachine
    from velero_vmservice.flows.vsphere_looks import VsphereLooks

REMEMBERED_MACHINES: Final = 20_000
"""Since when each is seen; twice the machines that a Supervisor is asked to hold."""
REMEMBERED_SECONDS: Final = 24 * 3600.0


class VCenterRegistration:
    """A `RegistrationSource` on vCenter's inventory.

    It remembers since when it has seen a machine in its folder and a restore running, which no property tells; a new
    process begins anew with that.
    """

    def __init__(self, *, looks: VsphereLooks, clock: Clock) -> None:
        self._looks = looks
        self._clock = clock
        self._lock = threading.Lock()
        self._began: TTLCache[tuple[str, bool], tuple[float, datetime]] = TTLCache(
            REMEMBERED_MACHINES, REMEMBERED_SECONDS, timer=clock.monotonic
        )

    @property
    def name(self) -> str:
        """Return `vcenter`."""
        return vcenter_registration.NAME

    def observe(
        self, namespace: str, machines: Collection[Wanted], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what one look at the namespace's folder says of each machine; see the port."""
        if not machines:
            return {}
        found = self._looks.look(namespace, machines, look)
        seen = [self._dated(one) for one in found.machines]
        return vcenter_registration.registrations(namespace, machines, seen, found.supervisor)

    def _dated(self, machine: VsphereMachine) -> VsphereMachine:
        if not machine.in_folder:
            return machine
        now = self._clock.monotonic()
        with self._lock:
            self._began.pop((machine.moid, not machine.restoring), None)
            began, since = self._began.setdefault((machine.moid, machine.restoring), (now, self._clock.now()))
        if machine.restoring:
            return replace(machine, seen=Seen(restoring=now - began, since=since))
        return replace(machine, seen=Seen(in_folder=now - began, since=since))
