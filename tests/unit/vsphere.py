"""Machines as vCenter has them once a VADP product has restored them."""

from __future__ import annotations

from typing import Any

from tests.unit.builders import NAMESPACE
from velero_vmservice.core import extra_config
from velero_vmservice.core.record import Record
from velero_vmservice.core.vsphere_machine import VsphereMachine


def restored(moid: str = "vm-1", name: str = "web-1", *, namespace: str = NAMESPACE, **known: Any) -> VsphereMachine:
    """Build a machine that RegisterVM can be called for."""
    entries = {
        "vmservice.virtualmachine.resource.yaml": "record",
        "vmservice.virtualmachine.backupVersion": "1000",
        "vmservice.namespacedName": f"{namespace}/{name}",
    }
    return VsphereMachine(
        **{
            "moid": moid,
            "name": name,
            "instance_uuid": f"instance-of-{name}",
            "bios_uuid": f"bios-of-{name}",
            "extra": extra_config.read(entries),
            "record": Record(),
            **known,
        }
    )
