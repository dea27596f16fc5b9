"""What a restore asks beforehand (guide 6.2, 6.4, 7.1.1, 7.2.2, 9.1, 9.2): rules on a capture's VMs and a target."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.facts import difference
from velero_vmservice.archive.findings import Finding, FindingCode
from velero_vmservice.backup.assessment import judged
from velero_vmservice.kube.manifest import NAMESPACE, STORAGE_CLASS, VIRTUAL_MACHINE
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions
from velero_vmservice.vmoperator.references import missing_references
from velero_vmservice.vmoperator.releases import Feature

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.preflight.target import Target
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm


class RestoreKind(StrEnum):
    """The guide's ways to restore a whole VM."""

    NEW = "new"
    IN_PLACE = "in-place"
    FAILOVER = "failover"


_FEATURES: Final = {
    RestoreKind.NEW: Feature.RESTORE_TO_NEW_VM,
    RestoreKind.IN_PLACE: Feature.IN_PLACE_RESTORE,
    RestoreKind.FAILOVER: Feature.CROSS_VCENTER_FAILOVER,
}

_Entry = tuple[FindingCode, str]


def judge(
    kind: RestoreKind, application: ApplicationVerdict, vms: Iterable[VmFacts], target: Target, *, recorded: bool
) -> ApplicationVerdict:
    """Return the verdict on a restore of an application, or of a VM without one, into a target.

    Args:
        kind: how its VMs are to be restored.
        application: as the capture has it, with what was found then.
        vms: the facts of its VMs.
        target: where it is restored.
        recorded: whether the present state was kept, for a restore in place.
    """
    restored = [vm for vm in vms if vm.recorded]
    reasons = [
        *_of_namespace(kind, target, recorded=recorded),
        *_missing(restored, target),
        *(_finding(VIRTUAL_MACHINE.name, vm.name, entry) for vm in restored for entry in _of_vm(kind, vm, target)),
        *(_as_captured(finding) for finding in application.reasons if finding.severity == "warning"),
    ]
    return judged(application, reasons)


def _finding(kind: str, name: str, entry: _Entry) -> Finding:
    code, message = entry
    is_note = code in _NOTES
    return Finding(code=code.value, severity="note" if is_note else "warning", message=message).about(kind, name)


_NOTES: Final = frozenset({FindingCode.IMAGE_CLEARED, FindingCode.VCENTER_NOT_COMPARED})


def _as_captured(finding: Finding) -> Finding:
    return finding.model_copy(update={"message": f"{finding.message} (when it was captured)"})


def _of_namespace(kind: RestoreKind, target: Target, *, recorded: bool) -> Iterator[Finding]:
    name = target.state.namespace
    for entry in _namespace(kind, target, recorded=recorded):
        yield _finding(NAMESPACE.name, name, entry)


def _namespace(kind: RestoreKind, target: Target, *, recorded: bool) -> Iterator[_Entry]:
    supported = target.release.supports(_FEATURES[kind])
    if supported is False:
        yield (
            FindingCode.RELEASE_LACKS_FEATURE,
            f"is on {target.release.generation}, which has no {_FEATURES[kind]} ({target.release.evidence})",
        )
    elif supported is None:
        why = target.release.evidence
        yield FindingCode.RELEASE_UNKNOWN, f"is on a Supervisor whose release is not known: it {why}"
    if not target.state.exists:
        yield FindingCode.TARGET_MISSING, "does not exist"
    elif not target.state.vsphere_namespace:
        yield FindingCode.TARGET_NOT_OF_VSPHERE, "is not a vSphere Namespace: no VM can be registered into it"
    if unseen := target.state.unseen.get(NAMESPACE):
        yield FindingCode.TARGET_UNKNOWN, f"could not be looked at: {unseen}"
    if kind is RestoreKind.IN_PLACE and not recorded:
        yield FindingCode.STATE_NOT_RECORDED, "has VMs and PVCs that the restore replaces, and they are not recorded"


def _missing(vms: list[VmFacts], target: Target) -> Iterator[Finding]:
    """Yield what VMs refer to and the target lacks; storage classes that no quota of the namespace names included."""
    namespace = target.state.namespace
    if not target.state.exists:
        return
    for missing in missing_references(vms, target.present, namespace=namespace):
        yield _finding(
            missing.kind.name, missing.name, (FindingCode.REFERENCE_MISSING, f"is missing: {missing.message}")
        )
    if target.assigned_storage is not None:
        named = {name for vm in vms for name in vm.references.get(STORAGE_CLASS.resource, ())}
        for name in sorted(named - target.assigned_storage):
            message = f"is not assigned to namespace {namespace}, as far as its quotas say"
            yield _finding(STORAGE_CLASS.name, name, (FindingCode.STORAGE_NOT_ASSIGNED, message))
    members = sorted(vm.name for vm in vms if vm.group_name)
    if members and target.without_groups:
        yield _finding(
            NAMESPACE.name, namespace, (FindingCode.TARGET_WITHOUT_GROUPS, f"has no groups: {target.without_groups}")
        )


def _of_vm(kind: RestoreKind, vm: VmFacts, target: Target) -> Iterator[_Entry]:
    live = target.state.machines.get(vm.name)
    if kind is RestoreKind.IN_PLACE:
        yield from _in_place(vm, live)
        return
    if live is not None and (kind is RestoreKind.NEW or _is_another(vm, live)):
        yield FindingCode.NAME_TAKEN, "is the name of a VM that is there"
    holder = target.state.bios_uuids.get(vm.bios_uuid.lower(), "") if vm.bios_uuid else ""
    if holder and holder != vm.name:
        yield FindingCode.BIOS_UUID_TAKEN, f"has the BIOS UUID of {holder}, which is there: RegisterVM refuses a second"
    if kind is RestoreKind.FAILOVER:
        yield from _failover(vm, target)


def _in_place(vm: VmFacts, live: ObservedVm | None) -> Iterator[_Entry]:
    if live is None:
        yield FindingCode.VM_ABSENT, "is not there: it can be restored to a new VM only"
        return
    if _is_another(vm, live):
        differs = difference(vm, instance_uuid=live.instance_uuid, bios_uuid=live.bios_uuid)
        yield FindingCode.NAME_TAKEN, f"is the name of another VM: {differs}"
        return
    age = compare_versions(vm.backup_version, live.backup_version)
    if age in (VersionAge.NEWER, VersionAge.EQUAL):
        versions = f"{live.backup_version}, and the capture's is {vm.backup_version}"
        consequence = "a backup that is not older is taken for a restore of disks alone"
        yield FindingCode.BACKUP_NOT_OLDER, f"has the backup version {versions}: {consequence}"
    elif age is VersionAge.UNKNOWN:
        yield FindingCode.BACKUP_AGE_UNKNOWN, "has no backup version to compare with the capture's"
    if live.reverting:
        yield FindingCode.VM_REVERTING, "is being reverted to a snapshot: RegisterVM is not called for it by itself"
    if live.paused:
        yield FindingCode.VM_PAUSED, f"is {live.paused}"
    if live.deleting:
        yield FindingCode.VM_DELETING, "is being deleted"
    if live.power_state == "PoweredOn":
        yield FindingCode.VM_POWERED_ON, "is powered on: power it off before its disks are replaced"


def _is_another(vm: VmFacts, live: ObservedVm) -> bool:
    return bool(difference(vm, instance_uuid=live.instance_uuid, bios_uuid=live.bios_uuid))


def _failover(vm: VmFacts, target: Target) -> Iterator[_Entry]:
    if not (vm.manager_id and target.vcenters):
        yield FindingCode.VCENTER_NOT_COMPARED, "may be of this vCenter: capture or target does not name its vCenter"
    elif vm.manager_id in target.vcenters:
        yield FindingCode.SAME_VCENTER, f"was captured in this very vCenter ({vm.manager_id}): it is no failover"
    if vm.image:
        yield (
            FindingCode.IMAGE_CLEARED,
            f"loses its image {vm.image}: what needs an image fails until one is set that is there",
        )
