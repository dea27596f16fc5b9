"""Which VMs belong to an application object.

A VirtualMachineService names its VMs by label, a VirtualMachineGroup by its boot order. The topology is
worked out at backup from the facts of the whole namespace: at restore the VMs to match are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
from velero_vmservice.documents import Document, Name
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, Manifest, mapping
from velero_vmservice.vmoperator import marks
from velero_vmservice.vmoperator.groups import Member, boot_order_members, by_boot_order, cycle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="ignore"))
class MemberTopology(Member):
    """A member of a group, and whether membership holds from both sides (guide 10.4)."""

    found: bool
    group_name: Name = ""
    """The member's own `spec.groupName`."""


class Topology(Document):
    """The VMs and groups that one captured object is connected to."""

    needs: tuple[Name, ...] = ()
    """VMs that must be ready before the object is replayed: selected ones, or direct members that exist and
    that VM Operator records for restore."""
    selector: dict[str, str] | None = None
    members: tuple[MemberTopology, ...] = ()
    nested: tuple[Name, ...] = ()
    """Existing VMs of nested groups, at any depth; a boot order may also name VMs that do not exist."""
    parent: str = ""
    """The group that this group belongs to."""
    machines: tuple[VmFacts, ...] = ()
    """The facts of the selected VMs, or of the direct members."""

    def vm(self, name: str) -> VmFacts | None:
        """Return the facts of a needed VM, if they are known."""
        return next((vm for vm in self.machines if vm.name == name), None)

    def expected_labels(self) -> Mapping[str, str]:
        """Return the labels that a VM must carry for the service to select it."""
        return self.selector or {}


def topology(manifest: Manifest, facts: NamespaceFacts) -> Topology:
    """Work out the topology of a VirtualMachineService or VirtualMachineGroup from its namespace's facts."""
    if manifest.kind_name == VIRTUAL_MACHINE_GROUP.name:
        return _group_topology(manifest, facts)
    selector = {str(key): str(value) for key, value in mapping(manifest.spec.get("selector")).items()}
    chosen = selected_by(selector, facts)
    needs = tuple(vm.name for vm in chosen if vm.recorded)
    return Topology(needs=needs, selector=selector, machines=chosen)


def _group_topology(manifest: Manifest, facts: NamespaceFacts) -> Topology:
    vms, groups = facts.by_name, facts.groups_by_name
    members = tuple(
        _member(member, vms if member.kind == "VirtualMachine" else groups) for member in boot_order_members(manifest)
    )
    direct = dict.fromkeys(m.name for m in members if m.kind == "VirtualMachine" and m.found)
    return Topology(
        needs=tuple(name for name in direct if vms[name].recorded),
        members=members,
        nested=tuple(dict.fromkeys(_nested_vms(members, facts, seen={manifest.name}))),
        parent=str(manifest.spec.get("groupName", "")),
        machines=tuple(vms[name] for name in direct),
    )


def _member(member: Member, known: Mapping[str, VmFacts] | Mapping[str, object]) -> MemberTopology:
    facts = known.get(member.name)
    return MemberTopology(
        kind=member.kind,
        name=member.name,
        order=member.order,
        found=facts is not None,
        group_name=str(getattr(facts, "group_name", "")),
    )


def _nested_vms(members: Iterable[Member], facts: NamespaceFacts, *, seen: set[str]) -> Iterator[str]:
    groups = facts.groups_by_name
    ahead = list(reversed(list(members)))
    while ahead:
        member = ahead.pop()
        if member.kind != "VirtualMachineGroup" or member.name in seen or member.name not in groups:
            continue
        seen.add(member.name)
        inner = groups[member.name].members
        yield from (vm.name for vm in inner if vm.kind == "VirtualMachine" and vm.name in facts.by_name)
        ahead += reversed(inner)


def selected_by(selector: Mapping[str, str], facts: NamespaceFacts) -> tuple[VmFacts, ...]:
    """Return the VMs that a service's selector matches; none if it is empty."""
    carriers = min((facts.by_label.get(label, ()) for label in selector.items()), key=len, default=())
    return tuple(vm for vm in carriers if matches(selector, vm.labels))


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Say whether the labels have every pair of the selector."""
    return all(labels.get(key) == value for key, value in selector.items())


def cycle_of(start: str, facts: NamespaceFacts) -> tuple[str, ...]:
    """Return the chain of boot orders from a group back to itself; empty if there is none."""
    return cycle(start, by_boot_order(facts.groups))


def guest_cluster_reason(manifest: Manifest, chosen: Iterable[VmFacts]) -> str:
    """Say why an object belongs to a guest cluster, or '' (vm-service 4.9).

    A guest cluster makes its own objects again; RegisterVM cannot bring its nodes back. An object with at least one
    recorded VM is the user's, even if it also has nodes. Annotations decide only if it has no recorded VM, because they
    are VM Operator's public API and users may set them.
    """
    for owner in manifest.owners:
        if owner.group in marks.GUEST_CLUSTER_OWNER_GROUPS:
            return f"owned by {owner.kind} {owner.name}"
    vms = tuple(chosen)
    if any(vm.recorded for vm in vms):
        return ""
    for key in manifest.annotations:
        if key.startswith(marks.GUEST_CLUSTER_SERVICE_PREFIX):
            return f"annotated {key} by a guest cluster's cloud provider"
    return f"all its VMs are nodes of a guest cluster ({vms[0].name})" if vms else ""


def every_vm(connected: Topology, facts: NamespaceFacts) -> tuple[VmFacts, ...]:
    """Return the facts of the VMs that belong to an object, including those of nested groups."""
    nested = (facts.by_name[name] for name in connected.nested if name in facts.by_name)
    return (*connected.machines, *nested)


def listed_vms(manifest: Manifest) -> tuple[str, ...]:
    """Return the VMs that an object names itself: those of a group's boot order, none for a service."""
    return tuple(member.name for member in boot_order_members(manifest) if member.kind == "VirtualMachine")


def named(manifest: Manifest, names: Iterable[str]) -> Topology:
    """Return the topology of an object whose capture is gone, from the names of its VMs and its manifest."""
    needs = tuple(names)
    if manifest.kind_name != VIRTUAL_MACHINE_GROUP.name:
        selector = {str(key): str(value) for key, value in mapping(manifest.spec.get("selector")).items()}
        return Topology(needs=needs, selector=selector)
    members = tuple(
        MemberTopology(
            kind=member.kind, name=member.name, order=member.order, found=member.name in needs, group_name=manifest.name
        )
        for member in boot_order_members(manifest)
    )
    return Topology(needs=needs, members=members, parent=str(manifest.spec.get("groupName", "")))
