"""VM Operator's VirtualMachine controller, as far as backups, groups and services see it.

Sources: controllers/virtualmachine/virtualmachine, pkg/providers/vsphere/{vmprovider_vm,vmlifecycle/update_status,
virtualmachine/backup}.go. One call reconciles one VM once; everything it knows it reads anew.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from tests.emulator.kubernetes.cluster import edit
from tests.emulator.vm_operator import conditions, records
from tests.emulator.wcp.vcenter import Disk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from tests.emulator.kubernetes.cluster import Cluster, Object
    from tests.emulator.wcp.vcenter import VCenter, VsphereVm

FINALIZER: Final = "vmoperator.vmware.com/virtualmachine"
PAUSED: Final = "vmoperator.vmware.com/paused"
MANAGER_ID: Final = "vmoperator.vmware.com/manager-id"
APPLY_POWER_TIME: Final = "vmoperator.vmware.com.protected/apply-power-state-time"
SNAPSHOT_REVERT: Final = "vmoperator.vmware.com/snapshot-revert-in-progress"
_POWER_ON_CHECK: Final = "poweron.check.vmoperator.vmware.com/"
_DELETE_CHECK: Final = "delete.check.vmoperator.vmware.com/"
_STANDING: Final = (
    "VirtualMachineBootstrapReady",
    "VirtualMachineClassReady",
    "VirtualMachineConditionPlacementReady",
    "VirtualMachineNetworkReady",
    "VirtualMachineStorageReady",
)


def reconcile(
    machine: Object, *, cluster: Cluster, vcenter: VCenter, now: datetime, unready: Collection[str] = ()
) -> None:
    """Bring one VirtualMachine a step further; `unready` names those whose readiness probe fails."""
    new = edit(machine)
    metadata, annotations = new["metadata"], new["metadata"]["annotations"]
    if metadata.get("deletionTimestamp"):
        _delete(new, vcenter)
    elif PAUSED in annotations:
        return
    elif FINALIZER not in metadata.get("finalizers", ()):
        metadata["finalizers"] = [*metadata.get("finalizers", ()), FINALIZER]
    else:
        annotations[MANAGER_ID] = vcenter.uuid
        vsphere_vm = _vm_of(new, vcenter)
        linked = _link(new, cluster, now)
        if vsphere_vm is None and linked:
            vsphere_vm = _provision(new, vcenter)
        if vsphere_vm is not None:
            vsphere_vm = _power(new, vsphere_vm, vcenter, now)
            _observe(new, vsphere_vm, cluster, now, unready)
            _record(new, vsphere_vm, cluster, vcenter, now)
    cluster.update(machine, new)


def group_linked(member: Object, groups: dict[str, Object]) -> tuple[bool, str] | None:
    """Decide a member object's own GroupLinked condition and its reason; None when it names no group."""
    name = (member.get("spec") or {}).get("groupName")
    if not name:
        return None
    group = groups.get(name)
    if group is None:
        return False, "NotFound"
    wanted = (member["kind"], member["metadata"]["name"])
    listed = any(
        (entry.get("kind", "VirtualMachine"), entry["name"]) == wanted
        for step in group["spec"].get("bootOrder") or ()
        for entry in step.get("members") or ()
    )
    return (True, "True") if listed else (False, "NotMember")


def _delete(new: Object, vcenter: VCenter) -> None:
    annotations, finalizers = new["metadata"]["annotations"], new["metadata"].get("finalizers", [])
    if PAUSED in annotations or any(key.startswith(_DELETE_CHECK) for key in annotations):
        return
    if FINALIZER in finalizers:
        vsphere_vm = _vm_of(new, vcenter)
        if vsphere_vm is not None:
            vcenter.destroy(vsphere_vm.moid)
        new["metadata"]["finalizers"] = [other for other in finalizers if other != FINALIZER]


def _vm_of(machine: Object, vcenter: VCenter) -> VsphereVm | None:
    return vcenter.find(
        unique_id=machine["status"].get("uniqueID", ""),
        instance_uuid=machine["spec"].get("instanceUUID", ""),
        uid=machine["metadata"]["uid"],
    )


def _link(new: Object, cluster: Cluster, now: datetime) -> bool:
    """Set GroupLinked; a VM of a group is created only once it is linked."""
    name = new["spec"].get("groupName", "")
    group = cluster.get("VirtualMachineGroup", name, new["metadata"]["namespace"]) if name else None
    linked = group_linked(new, {name: group} if group else {})
    if linked is None:
        conditions.drop(new["status"], "GroupLinked")
        return True
    conditions.mark(new["status"], "GroupLinked", now, holds=linked[0], reason=linked[1])
    return linked[0]


def _provision(new: Object, vcenter: VCenter) -> VsphereVm:
    name, spec = new["metadata"]["name"], new["spec"]
    spec.setdefault("instanceUUID", str(uuid.uuid4()))
    spec.setdefault("biosUUID", str(uuid.uuid4()))
    names = ["os", *(volume["name"] for volume in spec.get("volumes") or ())]
    disks = tuple(
        Disk(name=disk, file=f"[vsan] {name}/{name}_{number}.vmdk", uuid=str(uuid.uuid4()), fcd=disk != "os")
        for number, disk in enumerate(names)
    )
    return vcenter.add(
        name,
        folder=new["metadata"]["namespace"],
        bios_uuid=spec["biosUUID"],
        instance_uuid=spec["instanceUUID"],
        disks=disks,
    )


def _power(new: Object, vsphere_vm: VsphereVm, vcenter: VCenter, now: datetime) -> VsphereVm:
    wanted, annotations = new["spec"].get("powerState") == "PoweredOn", new["metadata"]["annotations"]
    if wanted and APPLY_POWER_TIME in annotations:
        if conditions.parse(annotations[APPLY_POWER_TIME]) > now:
            return vsphere_vm
        del annotations[APPLY_POWER_TIME]
    if wanted == vsphere_vm.powered_on or not new["spec"].get("powerState"):
        return vsphere_vm
    if wanted and any(key.startswith(_POWER_ON_CHECK) for key in annotations):
        return vsphere_vm
    return vcenter.change(vsphere_vm.moid, powered_on=wanted, boot_time=now if wanted else vsphere_vm.boot_time)


def _observe(new: Object, vsphere_vm: VsphereVm, cluster: Cluster, now: datetime, unready: Collection[str]) -> None:
    status, spec, metadata = new["status"], new["spec"], new["metadata"]
    zone = metadata["labels"].setdefault(records.ZONE_LABEL, vsphere_vm.zone)
    power = "PoweredOn" if vsphere_vm.powered_on else "PoweredOff"
    status |= {
        "uniqueID": vsphere_vm.moid,
        "biosUUID": vsphere_vm.bios_uuid,
        "instanceUUID": vsphere_vm.instance_uuid,
        "powerState": power,
        "nodeName": vsphere_vm.node,
        "zone": zone,
        "hardwareVersion": 21,
    }
    if spec.get("className"):
        reference = {"apiVersion": new["apiVersion"], "kind": "VirtualMachineClass", "name": spec["className"]}
        status.setdefault("class", reference)
    status["network"] = {"primaryIP4": vsphere_vm.ip4} if vsphere_vm.powered_on else {}
    status["volumes"] = _volumes(new, vsphere_vm, cluster)
    for kind in ("VirtualMachineCreated", "VirtualMachineReconcileReady", *_STANDING):
        conditions.mark(status, kind, now, holds=True)
    _mark_power(status, spec, now)
    if spec.get("image"):
        conditions.mark(status, "VirtualMachineImageReady", now, holds=True)
    if spec.get("readinessProbe"):
        ready = vsphere_vm.powered_on and f"{metadata['namespace']}/{metadata['name']}" not in unready
        conditions.mark(status, "Ready", now, holds=ready, reason="" if ready else "NotReady")


def _mark_power(status: dict[str, Any], spec: dict[str, Any], now: datetime) -> None:
    has, wanted = status["powerState"], spec.get("powerState", "")
    reason, message = "Synced", wanted
    if has != wanted:
        reason, message = "NotSynced", f"spec.powerState={wanted} != status.powerState={has}"
    conditions.mark(status, "VirtualMachinePowerStateSynced", now, holds=has == wanted, reason=reason, message=message)


def _volumes(new: Object, vsphere_vm: VsphereVm, cluster: Cluster) -> Sequence[dict[str, Any]]:
    uuids = {disk.name: disk.uuid for disk in vsphere_vm.disks}
    entries = []
    for volume in new["spec"].get("volumes") or ():
        claim = cluster.get(
            "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], new["metadata"]["namespace"]
        )
        bound = claim is not None and (claim.get("status") or {}).get("phase") == "Bound"
        entry = {"name": volume["name"], "type": "Managed", "attached": bound}
        entries.append(entry | ({"diskUUID": uuids[volume["name"]]} if bound and volume["name"] in uuids else {}))
    return sorted(entries, key=lambda entry: str(entry["name"]))


def _record(new: Object, vsphere_vm: VsphereVm, cluster: Cluster, vcenter: VCenter, now: datetime) -> None:
    """Keep the record in ExtraConfig in step, unless it shows that the VM was restored."""
    metadata, status = new["metadata"], new["status"]
    if any(role in metadata["labels"] for role in records.CLUSTER_ROLES) and (
        records.FORCE_RECORD not in metadata["annotations"]
    ):
        return
    mine = metadata["annotations"].get(records.BACKUP_VERSION, "")
    theirs = vsphere_vm.extra_config.get(records.Key.VERSION, "")
    if mine and theirs and int(mine) > int(theirs):
        conditions.mark(
            status,
            "VirtualMachineBackupUpToDate",
            now,
            holds=False,
            reason="VirtualMachineBackupPaused",
            message="A restore was detected",
        )
        return
    if mine and records.in_step(new, vsphere_vm.extra_config):
        return
    version = str(max(int(now.timestamp() * 1000), int(theirs or 0) + 1))
    metadata["annotations"][records.BACKUP_VERSION] = version
    reference = ((new["spec"].get("bootstrap") or {}).get("cloudInit") or {}).get("rawCloudConfig")
    secret = cluster.get("Secret", reference["name"], metadata["namespace"]) if reference else None
    entries = records.recorded(new, others=[secret] if secret else [], disks=vsphere_vm.disks, version=version)
    vcenter.change(vsphere_vm.moid, extra_config={**vsphere_vm.extra_config, **entries})
    conditions.mark(status, "VirtualMachineBackupUpToDate", now, holds=True, message=f"Backup version: {version}")
