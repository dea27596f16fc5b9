"""The backup vendor and the disaster: what VADP carries away and brings back, and how a namespace is lost.

The only part of the player that deletes what it did not make. A backup holds what vCenter holds: ExtraConfig and
disks. It never looks at Kubernetes, and it gives a restored VM a new managed object id.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.emulator.kubernetes.cluster import Cluster
    from tests.emulator.wcp.vcenter import VCenter, VsphereVm

LOST: Final = (
    "VirtualMachineGroup",
    "VirtualMachineService",
    "VirtualMachine",
    "Endpoints",
    "Service",
    "CnsRegisterVolume",
    "PersistentVolumeClaim",
    "Secret",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """What one VADP job saved: VMs with ExtraConfig and disks, as they were."""

    machines: Sequence[VsphereVm]

    def of(self, name: str, *, namespace: str = "") -> VsphereVm:
        """Return the saved VM with that name; raises StopIteration if the job did not hold it."""
        return next(m for m in self.machines if m.name == name and namespace in {"", m.folder})


def back_up(vcenter: VCenter, *folders: str) -> RestorePoint:
    """Save every VM of the namespaces' folders, or of all."""
    return RestorePoint(machines=tuple(m for m in vcenter.machines() if not folders or m.folder in folders))


def restore(vcenter: VCenter, saved: VsphereVm, *, folder: str = "", in_place: bool = False, **known: str) -> VsphereVm:
    """Bring a VM back, powered off, its disks plain files again; `in_place` overwrites the one that is there.

    Args:
        vcenter: Where to; another vCenter than the saved one for a failover.
        saved: From a restore point.
        folder: The namespace's folder to restore into; the original one by default.
        in_place: Keep the existing VM's identity. Raises LookupError if there is none.
        known: What the vCenter does not choose itself, such as the `moid` it has in another one.
    """
    disks = tuple(replace(disk, fcd=False) for disk in saved.disks)
    if in_place:
        vsphere_vm = vcenter.find(instance_uuid=saved.instance_uuid)
        if vsphere_vm is None:
            raise LookupError(f"{saved.name} is not there to be restored in place")
        return vcenter.change(vsphere_vm.moid, powered_on=False, disks=disks, extra_config=saved.extra_config)
    return vcenter.add(
        saved.name,
        folder=folder or saved.folder,
        bios_uuid=saved.bios_uuid,
        instance_uuid=saved.instance_uuid,
        disks=disks,
        extra_config=saved.extra_config,
        **known,
    )


def restore_disks(vcenter: VCenter, moid: str, *names: str) -> VsphereVm:
    """Overwrite some disks of a VM that is there: they are no longer first class disks."""
    vsphere_vm = vcenter.vm(moid)
    if vsphere_vm is None:
        raise LookupError(moid)
    disks = tuple(replace(disk, fcd=disk.fcd and disk.name not in names) for disk in vsphere_vm.disks)
    return vcenter.change(moid, disks=disks)


def lose(
    cluster: Cluster,
    vcenter: VCenter,
    namespace: str,
    *,
    kinds: Sequence[str] = LOST,
    keep: Sequence[str] = (),
    seconds: float = 60.0,
) -> None:
    """Wipe a namespace's objects, which stays itself, and its VMs on vCenter; returns when all are gone.

    Deletes as a client would, and takes finalizers off, so that no controller is waited for and garbage collection
    can follow. Raises TimeoutError when something is still there after `seconds`.

    Args:
        cluster: The Supervisor.
        vcenter: Where the VMs of the namespace's folder are destroyed, if VirtualMachines are lost.
        namespace: What is hit.
        kinds: Which kinds are lost, in this order.
        keep: Names of objects that survive.
        seconds: How long it may take.
    """
    if "VirtualMachine" in kinds:
        for machine in vcenter.machines():
            if machine.folder == namespace and machine.name not in keep:
                vcenter.destroy(machine.moid)
    pause, tries = threading.Event(), max(1, int(seconds / 0.1))
    for _ in range(tries):
        if not _wipe(cluster, namespace, kinds, keep):
            return
        pause.wait(0.1)
    raise TimeoutError(f"namespace {namespace} still holds some of {', '.join(kinds)}")


def _wipe(cluster: Cluster, namespace: str, kinds: Sequence[str], keep: Sequence[str]) -> int:
    left = 0
    for kind in kinds:
        for item in cluster.list(kind, namespace):
            if item["metadata"]["name"] in keep:
                continue
            left += 1
            try:
                cluster.delete(item)
                if item["metadata"].get("finalizers"):
                    cluster.patch(item, {"metadata": {"finalizers": None}})
                if kind == "PersistentVolumeClaim":
                    _drop_volume(cluster, item["spec"].get("volumeName", ""))
            except (ConflictError, NotFoundError):
                continue  # another writer was faster: the next round sees
    return left


def _drop_volume(cluster: Cluster, name: str) -> None:
    volume = cluster.get("PersistentVolume", name) if name else None
    if volume is not None:
        cluster.delete(volume)
        cluster.patch(volume, {"metadata": {"finalizers": None}})
