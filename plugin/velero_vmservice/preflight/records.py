"""What vCenter says of the records of VMs: whether RegisterVM could bring a VM back from the ExtraConfig it has now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.archive.findings import Finding, FindingCode
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions
from velero_vmservice.vsphere.vm import Vms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.vsphere.vm import VsphereVm


def in_vcenter(vms: Iterable[VmFacts], listed: Iterable[VsphereVm]) -> Mapping[str, VsphereVm | None]:
    """Return what vCenter has of each recorded VM: by its managed object id, else as a restore would look for it."""
    of_vcenter = tuple(listed)
    by_moid, index = {vm.moid: vm for vm in of_vcenter}, Vms(of_vcenter)

    def of(vm: VmFacts) -> VsphereVm | None:
        wanted = ExpectedVm(name=vm.name, instance_uuid=vm.instance_uuid, bios_uuid=vm.bios_uuid, facts=vm)
        return by_moid.get(vm.unique_id) or next(iter(index.match(wanted)), None)

    return {vm.name: of(vm) for vm in vms if vm.recorded}


def record_findings(vm: VmFacts, known: VsphereVm | None) -> Iterator[Finding]:
    """Yield what keeps a VM from being restored from what its ExtraConfig says now (guide 7.1.3)."""
    for code, message in _record_findings(vm, known):
        yield Finding(code=code.value, severity="warning", message=message).about(VIRTUAL_MACHINE.name, vm.name)


def _record_findings(vm: VmFacts, known: VsphereVm | None) -> Iterator[tuple[FindingCode, str]]:
    if known is None:
        if vm.unique_id:
            yield FindingCode.VM_NOT_IN_VCENTER, f"is {vm.unique_id} in vCenter, which shows no such VM"
        return
    if not known.in_folder:
        yield FindingCode.VM_NOT_IN_FOLDER, f"lies outside its namespace's folder in vCenter ({known.folder})"
    if not known.extra.recorded:
        yield FindingCode.VM_RECORD_UNUSABLE, "has no record in its ExtraConfig: RegisterVM cannot restore it"
        return
    if known.record.problem:
        yield FindingCode.VM_RECORD_UNUSABLE, f"has a record that RegisterVM cannot use: {known.record.cause}"
        return
    if compare_versions(known.extra.backup_version, vm.backup_version) is VersionAge.OLDER:
        versions = f"{known.extra.backup_version}, older than that of its VirtualMachine ({vm.backup_version})"
        why = "it was restored or reverted, or VM Operator cannot write the record"
        yield FindingCode.VM_RECORD_OUTDATED, f"has a record of version {versions}: {why}"
    for remark in (*known.extra.remarks, *known.record.remarks):
        yield FindingCode.VM_RECORD_REMARK, f"has a record to look at: {remark}"
    if known.twins:
        yield (
            FindingCode.BIOS_UUID_SHARED,
            f"has the BIOS UUID of {', '.join(known.twins)} in vCenter: only one of them can be restored",
        )
