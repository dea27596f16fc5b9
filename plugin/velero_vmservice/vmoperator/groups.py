"""Reads VirtualMachineGroups, and finds out which groups contain which, or themselves.

VM Operator does not check for cycles: virtualmachinegroup_validator.go leaves them to the controller, which never
settles such groups. Groups that wait for each other's parent would wait for ever.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from velero_vmservice.documents import Document, Name, Pairs
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, Manifest, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

KeyT = TypeVar("KeyT", bound="Hashable")


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="ignore"))
class Member:
    """One entry of a group's boot order, read back like a `Document`; with slots, because every VM has one."""

    kind: Literal["VirtualMachine", "VirtualMachineGroup"] = "VirtualMachine"
    name: Name
    order: int
    """Position of its boot order entry, counted from 0."""


class GroupFacts(Document):
    """One VirtualMachineGroup at the time of the backup."""

    name: str
    group_name: str = ""
    """The parent group; '' for a root."""
    members: tuple[Member, ...] = ()
    labels: Pairs = {}
    deleting: bool = False


def group_facts(group: Manifest) -> GroupFacts:
    """Read a VirtualMachineGroup of any served version."""
    return GroupFacts(
        name=group.name,
        group_name=str(group.spec.get("groupName", "")),
        members=boot_order_members(group),
        labels={str(key): str(value) for key, value in group.labels.items()},
        deleting=group.deleting,
    )


def boot_order_members(group: Manifest) -> tuple[Member, ...]:
    """Return the members in boot order; a member without a kind is a VirtualMachine (types.go)."""
    return tuple(
        Member(
            kind="VirtualMachineGroup" if member.get("kind") == "VirtualMachineGroup" else "VirtualMachine",
            name=str(member.get("name", "")),
            order=order,
        )
        for order, entry in enumerate(sequence(group.spec.get("bootOrder")))
        for member in sequence(mapping(entry).get("members"))
        if isinstance(member, dict)
    )


def by_boot_order(groups: Iterable[GroupFacts]) -> dict[str, tuple[str, ...]]:
    """Return for each group the groups that its boot order lists, in that order."""
    return {
        group.name: tuple(member.name for member in group.members if member.kind == VIRTUAL_MACHINE_GROUP.name)
        for group in groups
    }


def containment(groups: Iterable[GroupFacts]) -> dict[str, tuple[str, ...]]:
    """Return for each group the groups inside it, by its boot order or by their own `spec.groupName`.

    A parent that is not among the groups is left out, because no group waits for it.
    """
    known = tuple(groups)
    inside = {name: dict.fromkeys(listed) for name, listed in by_boot_order(known).items()}
    for group in known:
        if group.group_name in inside:
            inside[group.group_name][group.name] = None
    return {name: tuple(members) for name, members in inside.items()}


def cycle(start: str, inside: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the shortest chain from a group back to itself, both ends included; empty if there is none."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for member in inside.get(name, ()):
            if member == start:
                return (*_chain(name, start, came_from), start)
            if member not in came_from:
                came_from[member] = name
                queue.append(member)
    return ()


def all_cycles(inside: Mapping[str, Collection[str]]) -> tuple[tuple[str, ...], ...]:
    """Return chains that cover every group which contains itself: each chain once, in order of name."""
    chains: list[tuple[str, ...]] = []
    covered: set[str] = set()
    for name in sorted(inside):
        if name not in covered and (chain := cycle(name, inside)):
            chains.append(chain)
            covered.update(chain)
    return tuple(chains)


def _chain(last: str, start: str, came_from: Mapping[str, str]) -> list[str]:
    chain = [last]
    while chain[-1] != start:
        chain.append(came_from[chain[-1]])
    return chain[::-1]


def ancestors(start: KeyT, parents: Mapping[KeyT, KeyT]) -> tuple[KeyT, ...]:
    """Return the known parents above an object, the nearest first; a cycle ends before it closes.

    `parents` has every known object; an object whose parent is unknown is at the top.
    """
    path, current = dict[KeyT, None](), start
    while (above := parents.get(current)) is not None and above in parents and above != start and above not in path:
        path[above] = None
        current = above
    return tuple(path)
