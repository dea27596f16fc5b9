"""The vSphere side: machines in namespace folders, with the ExtraConfig that backups carry away.

Only what VM Operator, a VADP vendor and WCP read of a machine. No protocol: a plain value that the player's parts
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
    """One virtual disk of a machine; `fcd` says whether vSphere knows it as a first class disk."""

    name: str
    file: str
    uuid: str
    fcd: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VsphereMachine:
    """One virtual machine as vCenter has it."""

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
        self._machines: dict[str, VsphereMachine] = {}

    def add(self, name: str, *, folder: str, bios_uuid: str, instance_uuid: str, **known: Any) -> VsphereMachine:
        """Register a machine under a new managed object id; that, zone, host and address are this vCenter's choice."""
        with self._lock:
            number = next(self._counter)
            machine = VsphereMachine(
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
            self._machines[machine.moid] = machine
            return machine

    def change(self, moid: str, **fields: Any) -> VsphereMachine:
        """Reconfigure a machine."""
        with self._lock:
            self._machines[moid] = replace(self._machines[moid], **fields)
            return self._machines[moid]

    def destroy(self, moid: str) -> None:
        """Delete a machine from disk; one that is gone is fine."""
        with self._lock:
            self._machines.pop(moid, None)

    def machine(self, moid: str) -> VsphereMachine | None:
        """Return the machine with that managed object id."""
        with self._lock:
            return self._machines.get(moid)

    def machines(self) -> Sequence[VsphereMachine]:
        """Return every machine."""
        with self._lock:
            return tuple(self._machines.values())

    def find(self, *, unique_id: str = "", instance_uuid: str = "", uid: str = "") -> VsphereMachine | None:
        """Find a VirtualMachine's machine: by its unique id, else instance UUID, else UID (getvm.go)."""
        by_id = self.machine(unique_id) if unique_id else None
        if by_id is not None:
            return by_id
        wanted = {value for value in (instance_uuid or uid,) if value}
        return next((m for m in self.machines() if m.instance_uuid in wanted), None)
