"""The live groups below a group, and what is linked to them, as one look shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velero_vmservice.kube.manifest import (
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    Manifest,
    condition,
    is_true,
    mapping,
    sequence,
)
from velero_vmservice.vmoperator.groups import boot_order_members

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vmoperator.observed_vm import ObservedVm


def children(observed: NamespaceState, group: str) -> list[str]:
    """Return the groups that a live group lists, in boot order."""
    members = boot_order_members(observed.groups[group])
    return [member.name for member in members if member.kind == VIRTUAL_MACHINE_GROUP.name]


def groups_below(observed: NamespaceState, root: str) -> list[str]:
    """Return the live groups below a group, itself first, in boot order."""
    below, todo = list[str](), [root]
    while todo:
        name = todo.pop()
        if name in below or name not in observed.groups:
            continue
        below.append(name)
        todo += reversed(children(observed, name))
    return below


def linked_members(observed: NamespaceState, group: Manifest) -> frozenset[tuple[str, str]]:
    """Return kind and name of each member that VM Operator links to a live group as both are now.

    Its GroupLinked condition alone may be out of date: a status outlives the member that it describes, and for VMs that
    were registered anew it still describes the lost ones.
    """
    return frozenset(
        (kind, name)
        for entry in map(mapping, sequence(group.status.get("members")))
        for kind, name in [(str(entry.get("kind") or VIRTUAL_MACHINE.name), str(entry.get("name")))]
        if _is_linked(entry, group) and _is_of_now(entry, kind, name, observed, group)
    )


def _is_linked(entry: Mapping[str, Any], group: Manifest) -> bool:
    """Say whether the condition is True and, if it says so, of the group's present generation."""
    linked = condition(entry, "GroupLinked")
    generation = (linked or {}).get("observedGeneration")
    return is_true(linked) and not (generation and generation < group.metadata.get("generation", 0))


def _is_of_now(entry: Mapping[str, Any], kind: str, name: str, observed: NamespaceState, group: Manifest) -> bool:
    """Say whether a member's entry describes the object that has the name now.

    The group becomes the owner of a member before it calls it linked; an entry that was placed has the member's UID
    (virtualmachinegroup_controller.go, reconcileMember, reconcilePlacement).
    """
    owners: Collection[tuple[str, str]]
    if kind == VIRTUAL_MACHINE.name:
        vm = observed.machines.get(name)
        if vm is None:
            return False
        uid, owners = vm.uid, vm.owner_groups
    else:
        child = observed.groups.get(name)
        if child is None:
            return False
        uid = child.uid
        owners = {(owner.name, owner.uid) for owner in child.owners if owner.kind == VIRTUAL_MACHINE_GROUP.name}
    if entry.get("uid") and uid and entry["uid"] != uid:
        return False
    return not group.uid or (group.name, group.uid) in owners


def vms_of(observed: NamespaceState, groups: Collection[str]) -> list[ObservedVm]:
    """Return the VMs that are linked members of the groups, by name."""
    names = {
        member.name
        for name in groups
        if name in observed.groups
        for member in boot_order_members(observed.groups[name])
        if member.kind == VIRTUAL_MACHINE.name
    }
    vms = [observed.machines[name] for name in sorted(names) if name in observed.machines]
    return [vm for vm in vms if vm.group_name in groups]
