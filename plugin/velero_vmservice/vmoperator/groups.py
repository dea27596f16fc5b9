"""What a VirtualMachineGroup says: its boot order, its parent, its labels."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from velero_vmservice.documents import Document, Name, Pairs
from velero_vmservice.kube.manifest import (
    Manifest,
    mapping,
    sequence,
)


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="ignore"))
class Member:
    """One entry of a group's boot order, read back like a `Document`; slots, as there is one for each VM."""

    kind: Literal["VirtualMachine", "VirtualMachineGroup"] = "VirtualMachine"
    name: Name
    order: int
    """Position of its boot order entry, from 0."""


class GroupFacts(Document):
    """One VirtualMachineGroup at the time of the backup."""

    name: str
    group_name: str = ""
    """The parent group, '' at the root."""
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
