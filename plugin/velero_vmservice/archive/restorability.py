"""Problems of a later restore, found at capture while they can still be fixed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

from velero_vmservice.archive.topology import MemberTopology, Topology, cycle_of
from velero_vmservice.documents import Document
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, Manifest
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
    from velero_vmservice.vmoperator.groups import GroupFacts


class Finding(Document):
    """A property of the application that will matter at restore."""

    code: str
    severity: Literal["warning", "note"]
    message: str


BLOCKING: Final = frozenset({"group-cycle", "member-is-itself", "member-listed-twice", "vm-not-recorded"})
"""Findings of which an object, or a VM that it needs, will not come back as it was: VM Operator refuses the object or
never settles it, or RegisterVM cannot bring the VM back."""


def object_findings(manifest: Manifest, topology: Topology, facts: NamespaceFacts) -> tuple[Finding, ...]:
    """Check one captured object; a finding never prevents the capture."""
    if manifest.kind_name == VIRTUAL_MACHINE_GROUP.name:
        findings = [*_group_findings(manifest.name, topology, facts)]
    else:
        findings = [*_service_findings(topology)]
    findings += [finding for vm in topology.machines for finding in _vm_findings(vm)]
    return tuple(findings)


def namespace_findings(facts: NamespaceFacts) -> tuple[Finding, ...]:
    """Check the namespace as a whole: VMs whose group does not exist, VMs with the same BIOS UUID."""
    without_group = (
        _warn(
            "group-name-without-group",
            f"{vm.name} names the group {vm.group_name}, which does not exist",
        )
        for vm in facts.machines
        if vm.group_name and vm.group_name not in facts.groups_by_name
    )
    return (*without_group, *_same_uuids(facts.machines))


def _same_uuids(vms: tuple[VmFacts, ...]) -> Iterator[Finding]:
    """Yield the VMs that share a BIOS UUID; RegisterVM brings back only one of them (guide 7.1.1)."""
    by_uuid: dict[str, list[str]] = {}
    for vm in vms:
        if vm.bios_uuid and vm.recorded:
            by_uuid.setdefault(vm.bios_uuid.lower(), []).append(vm.name)
    for uuid, names in by_uuid.items():
        if len(names) > 1:
            yield _warn("bios-uuid-shared", f"{', '.join(names)} have the BIOS UUID {uuid}: only one can be restored")


def _service_findings(topology: Topology) -> Iterator[Finding]:
    selector = topology.expected_labels()
    if not selector:
        yield _note(
            "selector-empty", "has no selector: its endpoints are managed outside VM Operator and are not captured"
        )
        return
    if marks.ZONE_LABEL in selector:
        yield _warn(
            "selector-uses-zone",
            f"selects on {marks.ZONE_LABEL}, which a restore to a new VM removes: it will match nothing then",
        )
    if not topology.machines:
        wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        yield _warn("selector-matches-no-vm", f"selects no VM ({wanted})")


def _group_findings(name: str, topology: Topology, facts: NamespaceFacts) -> Iterator[Finding]:
    for member in topology.members:
        yield from _member_findings(name, member)
    for (kind, member_name), count in Counter((m.kind, m.name) for m in topology.members).items():
        if count > 1:
            yield _warn("member-listed-twice", f"lists {kind} {member_name} {count} times: VM Operator refuses that")
    yield from _unlisted(name, "VirtualMachine", topology, facts.machines)
    yield from _unlisted(name, "VirtualMachineGroup", topology, facts.groups)
    if cycle := cycle_of(name, facts):
        yield _warn("group-cycle", f"contains itself ({' → '.join(cycle)}): VM Operator never settles such groups")
    yield from _parent_findings(name, topology.parent, facts)


def _member_findings(group: str, member: MemberTopology) -> Iterator[Finding]:
    if member.kind == "VirtualMachineGroup" and member.name == group:
        yield _warn("member-is-itself", "lists itself as a member: VM Operator refuses that")
    elif not member.found:
        yield _warn("member-missing", f"lists {member.kind} {member.name}, which does not exist: it is not waited for")
    elif not member.group_name:
        yield _warn(
            "member-without-group-name",
            f"lists {member.kind} {member.name}, whose spec.groupName is empty: membership needs both sides",
        )
    elif member.group_name != group:
        yield _warn(
            "member-of-another-group",
            f"lists {member.kind} {member.name}, whose spec.groupName is {member.group_name}",
        )


def _unlisted(
    group: str, kind: str, topology: Topology, candidates: tuple[VmFacts, ...] | tuple[GroupFacts, ...]
) -> Iterator[Finding]:
    listed = {member.name for member in topology.members if member.kind == kind}
    for candidate in candidates:
        if candidate.group_name == group and candidate.name not in listed:
            yield _warn(
                "group-name-not-listed", f"does not list {kind} {candidate.name}, whose spec.groupName names it"
            )


def _parent_findings(name: str, parent: str, facts: NamespaceFacts) -> Iterator[Finding]:
    if not parent:
        return
    group = next((candidate for candidate in facts.groups if candidate.name == parent), None)
    if group is None:
        yield _warn("parent-missing", f"names the parent group {parent}, which does not exist")
    elif not any(member.kind == "VirtualMachineGroup" and member.name == name for member in group.members):
        yield _warn("parent-does-not-list", f"names the parent group {parent}, which does not list it")


def _vm_findings(vm: VmFacts) -> Iterator[Finding]:
    if not vm.recorded:
        yield _warn(
            "vm-not-recorded",
            f"{vm.name} is a guest cluster's node that VM Operator does not record: RegisterVM cannot restore it",
        )
    elif vm.record == "outdated":
        yield _warn(
            "vm-record-outdated",
            f"the record of {vm.name} is not up to date: the VADP backup carries an older one",
        )


def _warn(code: str, message: str) -> Finding:
    return Finding(code=code, severity="warning", message=message)


def _note(code: str, message: str) -> Finding:
    return Finding(code=code, severity="note", message=message)
