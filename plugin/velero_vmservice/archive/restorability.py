"""Problems of a later restore, found at capture while they can still be fixed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.findings import Finding, FindingCode
from velero_vmservice.archive.topology import MemberTopology, Topology, cycle_of
from velero_vmservice.kube.manifest import NAMESPACE, VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, Manifest
from velero_vmservice.vmoperator import marks
from velero_vmservice.vmoperator.stability import Unsettled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
    from velero_vmservice.vmoperator.groups import GroupFacts

_UNSETTLED: Final = {
    Unsettled.NOT_CREATED: (FindingCode.VM_NOT_CREATED, "has no vSphere VM yet: there is nothing to back up"),
    Unsettled.NOT_RECONCILED: (FindingCode.VM_NOT_RECONCILED, "is not reconciled: its record may not be what it is"),
    Unsettled.CHANGED: (FindingCode.VM_CHANGED, "was changed and is not reconciled since: its record is older"),
    Unsettled.PAUSED: (FindingCode.VM_PAUSED, "is paused: VM Operator does not record it"),
    Unsettled.DELETING: (FindingCode.VM_DELETING, "is being deleted"),
    Unsettled.REVERTING: (FindingCode.VM_REVERTING, "is being reverted to a snapshot: its record is about to change"),
    Unsettled.POWER_CHANGING: (FindingCode.VM_POWER_CHANGING, "has a power change under way"),
    Unsettled.RESTORED: (
        FindingCode.VM_NOT_REGISTERED_AGAIN,
        "was restored or reverted and not registered since: VM Operator does not record it",
    ),
}


def object_findings(manifest: Manifest, topology: Topology, facts: NamespaceFacts) -> tuple[Finding, ...]:
    """Check one captured object and its VMs; a finding never prevents the capture."""
    kind, name = manifest.kind_name, manifest.name
    if kind == VIRTUAL_MACHINE_GROUP.name:
        findings = (finding.about(kind, name) for finding in _group_findings(name, topology, facts))
    else:
        findings = (finding.about(kind, name) for finding in _service_findings(topology))
    return (*findings, *(finding for vm in topology.machines for finding in vm_findings(vm, facts)))


def namespace_findings(facts: NamespaceFacts) -> tuple[Finding, ...]:
    """Check the namespace as a whole: groups that do not exist, shared BIOS UUIDs, PVCs of which nothing is known."""
    without_group = (
        _warn(FindingCode.GROUP_NAME_WITHOUT_GROUP, f"names the group {vm.group_name}, which does not exist").about(
            VIRTUAL_MACHINE.name, vm.name
        )
        for vm in facts.machines
        if vm.group_name and vm.group_name not in facts.groups_by_name
    )
    unknown = _note(FindingCode.CLAIMS_UNKNOWN, "has PVCs of VMs, and whether they are bound is not known")
    claims = (unknown.about(NAMESPACE.name, facts.namespace),) if _has_unknown_claims(facts) else ()
    return (*without_group, *_same_uuids(facts.machines), *claims)


def vm_findings(vm: VmFacts, facts: NamespaceFacts) -> tuple[Finding, ...]:
    """Check one VM: is it stable, recorded, and are its disks there?"""
    return tuple(finding.about(VIRTUAL_MACHINE.name, vm.name) for finding in _vm_findings(vm, facts))


def _has_unknown_claims(facts: NamespaceFacts) -> bool:
    return facts.unbound_claims is None and any(vm.claims for vm in facts.machines if vm.recorded)


def _same_uuids(vms: tuple[VmFacts, ...]) -> Iterator[Finding]:
    """Yield the VMs that share a BIOS UUID; RegisterVM brings back only one of them (guide 7.1.1)."""
    by_uuid: dict[str, list[str]] = {}
    for vm in vms:
        if vm.bios_uuid and vm.recorded:
            by_uuid.setdefault(vm.bios_uuid.lower(), []).append(vm.name)
    for uuid, names in by_uuid.items():
        for name in names if len(names) > 1 else ():
            others = ", ".join(other for other in names if other != name)
            message = f"has the BIOS UUID {uuid} of {others}: only one of them can be restored"
            yield _warn(FindingCode.BIOS_UUID_SHARED, message).about(VIRTUAL_MACHINE.name, name)


def _service_findings(topology: Topology) -> Iterator[Finding]:
    selector = topology.expected_labels()
    if not selector:
        yield _note(
            FindingCode.SELECTOR_EMPTY,
            "has no selector: its endpoints are managed outside VM Operator and are not captured",
        )
        return
    if marks.ZONE_LABEL in selector:
        yield _warn(
            FindingCode.SELECTOR_USES_ZONE,
            f"selects on {marks.ZONE_LABEL}, which a restore to a new VM removes: it will match nothing then",
        )
    if not topology.machines:
        wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        yield _warn(FindingCode.SELECTOR_MATCHES_NO_VM, f"selects no VM ({wanted})")


def _group_findings(name: str, topology: Topology, facts: NamespaceFacts) -> Iterator[Finding]:
    for member in topology.members:
        yield from _member_findings(name, member)
    for (kind, member_name), count in Counter((m.kind, m.name) for m in topology.members).items():
        if count > 1:
            yield _warn(
                FindingCode.MEMBER_LISTED_TWICE,
                f"lists {kind} {member_name} {count} times: VM Operator refuses that",
            )
    yield from _unlisted(name, "VirtualMachine", topology, facts.machines)
    yield from _unlisted(name, "VirtualMachineGroup", topology, facts.groups)
    if cycle := cycle_of(name, facts):
        yield _warn(
            FindingCode.GROUP_CYCLE, f"contains itself ({' → '.join(cycle)}): VM Operator never settles such groups"
        )
    yield from _parent_findings(name, topology.parent, facts)


def _member_findings(group: str, member: MemberTopology) -> Iterator[Finding]:
    if member.kind == "VirtualMachineGroup" and member.name == group:
        yield _warn(FindingCode.MEMBER_IS_ITSELF, "lists itself as a member: VM Operator refuses that")
    elif not member.found:
        yield _warn(
            FindingCode.MEMBER_MISSING, f"lists {member.kind} {member.name}, which does not exist: it is not waited for"
        )
    elif not member.group_name:
        yield _warn(
            FindingCode.MEMBER_WITHOUT_GROUP_NAME,
            f"lists {member.kind} {member.name}, whose spec.groupName is empty: membership needs both sides",
        )
    elif member.group_name != group:
        yield _warn(
            FindingCode.MEMBER_OF_ANOTHER_GROUP,
            f"lists {member.kind} {member.name}, whose spec.groupName is {member.group_name}",
        )


def _unlisted(
    group: str, kind: str, topology: Topology, candidates: tuple[VmFacts, ...] | tuple[GroupFacts, ...]
) -> Iterator[Finding]:
    listed = {member.name for member in topology.members if member.kind == kind}
    for candidate in candidates:
        if candidate.group_name == group and candidate.name not in listed:
            yield _warn(
                FindingCode.GROUP_NAME_NOT_LISTED,
                f"does not list {kind} {candidate.name}, whose spec.groupName names it",
            )


def _parent_findings(name: str, parent: str, facts: NamespaceFacts) -> Iterator[Finding]:
    if not parent:
        return
    group = next((candidate for candidate in facts.groups if candidate.name == parent), None)
    if group is None:
        yield _warn(FindingCode.PARENT_MISSING, f"names the parent group {parent}, which does not exist")
    elif not any(member.kind == "VirtualMachineGroup" and member.name == name for member in group.members):
        yield _warn(FindingCode.PARENT_DOES_NOT_LIST, f"names the parent group {parent}, which does not list it")


def _vm_findings(vm: VmFacts, facts: NamespaceFacts) -> Iterator[Finding]:
    if not vm.recorded:
        yield _warn(
            FindingCode.VM_NOT_RECORDED,
            "is a guest cluster's node that VM Operator does not record: RegisterVM cannot restore it",
        )
        return
    for code, message in (_UNSETTLED[state] for state in Unsettled if state in vm.unsettled):
        yield _warn(code, message)
    if vm.record == "outdated" and Unsettled.RESTORED not in vm.unsettled:
        yield _warn(
            FindingCode.VM_RECORD_OUTDATED, "has a record that is not up to date: the VADP backup carries an older one"
        )
    if vm.record == "unknown" and not vm.backup_version and facts.has_versions:
        yield _warn(
            FindingCode.VM_RECORD_MISSING, "has no backup version, though VM Operator records those of other VMs here"
        )
    for claim in vm.claims:
        phase = (facts.unbound_claims or {}).get(claim)
        if phase is not None:
            state = f"is {phase}" if phase else "does not exist"
            yield _warn(FindingCode.CLAIM_NOT_BOUND, f"has the PVC {claim}, which {state}")


def _warn(code: FindingCode, message: str) -> Finding:
    return Finding(code=code, severity="warning", message=message)


def _note(code: FindingCode, message: str) -> Finding:
    return Finding(code=code, severity="note", message=message)
