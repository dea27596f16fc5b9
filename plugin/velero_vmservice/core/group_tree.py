"""The live groups below a group, and the machines in them, as one look shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core.facts import boot_order_members
from velero_vmservice.core.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP

if TYPE_CHECKING:
    from collections.abc import Collection

    from velero_vmservice.core.machine import Machine
    from velero_vmservice.core.observation import Observation


def children(observed: Observation, group: str) -> list[str]:
    """Return the groups that a live group lists, in boot order."""
    members = boot_order_members(observed.groups[group])
    return [one.name for one in members if one.kind == VIRTUAL_MACHINE_GROUP.name]


def groups_below(observed: Observation, root: str) -> list[str]:
    """Return the live groups below a group, itself first, in boot order."""
    found, todo = list[str](), [root]
    while todo:
        name = todo.pop()
        if name in found or name not in observed.groups:
            continue
        found.append(name)
        todo += reversed(children(observed, name))
    return found


def machines_of(observed: Observation, groups: Collection[str]) -> list[Machine]:
    """Return the machines that are linked members of the groups, by name."""
    names = {
        one.name
        for name in groups
        if name in observed.groups
        for one in boot_order_members(observed.groups[name])
        if one.kind == VIRTUAL_MACHINE.name
    }
    found = [observed.machines[name] for name in sorted(names) if name in observed.machines]
    return [one for one in found if one.group_name in groups]
