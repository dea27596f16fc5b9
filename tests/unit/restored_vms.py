"""VMs as vCenter has them once a VADP product has restored them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.builders import NAMESPACE
from velero_vmservice.vsphere import extra_config
from velero_vmservice.vsphere.record import Record
from velero_vmservice.vsphere.vm import TaskState, VsphereVm

if TYPE_CHECKING:
    from tests.fakes.vcenter import MemoryVCenter


def restored(moid: str = "vm-1", name: str = "web-1", *, namespace: str = NAMESPACE, **known: Any) -> VsphereVm:
    """Build a VM that RegisterVM can be called for."""
    entries = {
        "vmservice.virtualmachine.resource.yaml": "record",
        "vmservice.virtualmachine.backupVersion": "1000",
        "vmservice.namespacedName": f"{namespace}/{name}",
    }
    return VsphereVm(
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


def succeed(vcenter: MemoryVCenter, moid: str) -> None:
    """Let the newest RegisterVM task of a VM succeed."""
    *_, task = vcenter.tasks_of(moid)
    vcenter.set_task(task, TaskState.SUCCEEDED, percent=100)
