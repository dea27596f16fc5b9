"""The vSphere side: VMs in namespace folders, with the ExtraConfig that backups carry away.

Only what VM Operator, a VADP vendor and WCP read of a VM. No protocol: a plain value that the player's parts
share, because no public simulator plays RegisterVM against Kubernetes.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One virtual disk of a VM; `fcd` says whether vSphere knows it as a first class disk."""

    name: str
    file: str
    uuid: str
    fcd: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VsphereVm:
    """One VM as vCenter has it."""

    moid: str
    name: str
    folder: str
    bios_uuid: str
    instance_uuid: str
    zone: str
    node: str
    ip4: str
    powered_on: bool = False
    boot_time: datetime | None = None
    """When it was last powered on."""
    disks: Sequence[Disk] = ()
    extra_config: Mapping[str, str] = field(default_factory=dict)


class VCenter:
    """One vCenter's inventory. Safe to use from several threads."""

    def __init__(self, *, zones: Sequence[str] = ("zone-a", "zone-b", "zone-c"), subnet: str = "172.16.0") -> None:
        self.uuid = str(uuid.uuid4())
        self._zones = tuple(zones)
        self._subnet = subnet
        self._counter = itertools.count(1)
        self._lock = threading.Lock()
        self._vms: dict[str, VsphereVm] = {}

    def add(self, name: str, *, folder: str, bios_uuid: str, instance_uuid: str, **known: Any) -> VsphereVm:
        """Register a VM under a new managed object id; that, zone, host and address are this vCenter's choice."""
        with self._lock:
            number = next(self._counter)
            machine = VsphereVm(
                name=name,
                folder=folder,
                bios_uuid=bios_uuid,
                instance_uuid=instance_uuid,
                **{
                    "moid": f"vm-{1000 + number}",
                    "zone": self._zones[number % len(self._zones)],
                    "node": f"esx-{number % 4 + 1}.example.com",
                    "ip4": f"{self._subnet}.{number % 250 + 1}",
                    **known,
                },
            )
            self._vms[machine.moid] = machine
            return machine

    def change(self, moid: str, **fields: Any) -> VsphereVm:
        """Reconfigure a VM."""
        with self._lock:
            self._vms[moid] = replace(self._vms[moid], **fields)
            return self._vms[moid]

    def destroy(self, moid: str) -> None:
        """Delete a VM from disk; one that is gone is fine."""
        with self._lock:
            self._vms.pop(moid, None)

    def vm(self, moid: str) -> VsphereVm | None:
        """Return the VM with that managed object id."""
        with self._lock:
            return self._vms.get(moid)

    def machines(self) -> Sequence[VsphereVm]:
        """Return every VM."""
        with self._lock:
            return tuple(self._vms.values())

    def find(self, *, unique_id: str = "", instance_uuid: str = "", uid: str = "") -> VsphereVm | None:
        """Find a VirtualMachine's VM: by its unique id, else instance UUID, else UID (getvm.go)."""
        by_id = self.vm(unique_id) if unique_id else None
        if by_id is not None:
            return by_id
        wanted = {value for value in (instance_uuid or uid,) if value}
        return next((m for m in self.machines() if m.instance_uuid in wanted), None)
