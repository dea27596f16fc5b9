"""What belongs together: services, their VMs and the groups around them, as trees that can be drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, VMS_ALONE
from velero_vmservice.report.application import Part, components, is_group, neighbours, part, related, vm_part
from velero_vmservice.report.html import badges
from velero_vmservice.report.summary import outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from velero_vmservice.report.html.badges import Look
    from velero_vmservice.report.model import Report, Result, VmResult
    from velero_vmservice.report.stage import Outcome

MOST_LEVELS: Final = 16
"""Groups drawn within each other; more do not fit a screen, and VM Operator bounds their nesting nowhere."""

WITHOUT_APPLICATION: Final = "VMs without an application"


@dataclass(frozen=True, slots=True, kw_only=True)
class VmNode:
    """A VM in the drawing; `vm` is None where the report does not know it."""

    name: str
    vm: VmResult | None
    services: tuple[str, ...]
    """Services that should select it."""
    linked: bool | None = None
    """Whether its group links it; None for a VM outside any group."""

    @property
    def key(self) -> str:
        """The key of its row; '' where the report has none."""
        return self.vm.key if self.vm else ""

    @property
    def look(self) -> Look:
        return badges.vm(self.vm)

    @property
    def power(self) -> str:
        return badges.power(self.vm)

    @property
    def count(self) -> int:
        return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNode:
    """A group in the drawing, its members in boot order; `result` is None for one that this restore does not replay."""

    name: str
    result: Result | None
    children: tuple[GroupNode | VmNode, ...]

    @property
    def key(self) -> str:
        """The key of its row; '' where the report has none."""
        return self.result.key if self.result else ""

    @property
    def look(self) -> Look:
        return badges.stage(self.result.stage) if self.result else badges.UNKNOWN

    @property
    def linked(self) -> int:
        return sum(member.linked for member in self.result.members) if self.result else 0

    @property
    def count(self) -> int:
        """How many VMs are in it, at any depth."""
        return sum(child.count for child in self.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Objects and VMs that belong together, within one namespace."""

    namespace: str
    name: str
    services: tuple[Result, ...]
    groups: tuple[GroupNode, ...]
    """Root groups."""
    loose: tuple[VmNode, ...]
    """VMs in no group of the report."""
    outcome: Outcome
    """The application of a restore that has nothing else."""
    worst: Look
    """Of its worst object or VM."""
    objects: int

    @property
    def look(self) -> Look:
        return badges.OUTCOMES[self.outcome]

    @property
    def calm(self) -> bool:
        """Whether a reader may skip it with all that is in it."""
        return self.look.calm and self.worst.calm

    @property
    def count(self) -> int:
        return sum(group.count for group in self.groups) + len(self.loose)


def applications(report: Report) -> Sequence[Application]:
    """Split a report into its applications, the most urgent first; VMs without one come together in each namespace."""
    parts = _Parts(report)
    connected, alone = list[Application](), dict[str, set[Part]]()
    for keys in components(parts.near):
        if all(key in parts.alone for key in keys):
            alone.setdefault(min(keys)[1], set()).update(keys)
        else:
            connected.append(_application(parts, keys))
    connected += [replace(_application(parts, keys), name=WITHOUT_APPLICATION) for keys in alone.values()]
    return sorted(connected, key=lambda application: (application.worst.rank, application.namespace, application.name))


class _Parts:
    """The report's objects and VMs, and what each is next to."""

    def __init__(self, report: Report) -> None:
        self.vms = {vm_part(vm): vm for vm in report.machines}
        self.objects = {part(item): item for item in report.objects if item.kind != VMS_ALONE.name}
        self.near = neighbours(
            (*((key, ()) for key in self.vms), *((key, related(item)) for key, item in self.objects.items()))
        )
        self.nested = {
            (member.kind, group.namespace, member.name)
            for group in filter(is_group, self.objects.values())
            for member in group.members
        }
        self.alone = {
            (VIRTUAL_MACHINE.name, item.namespace, name): item
            for item in report.objects
            if item.kind == VMS_ALONE.name
            for name in item.selected
        }
        """VMs that an operation of their own waited for, and its result."""
        self.selected_by: dict[Part, list[str]] = {}
        for item in self.objects.values():
            for name in item.selected:
                self.selected_by.setdefault((VIRTUAL_MACHINE.name, item.namespace, name), []).append(item.name)


def _application(parts: _Parts, keys: set[Part]) -> Application:
    objects = [parts.objects[key] for key in keys if key in parts.objects]
    drawn = set[Part]()
    groups = sorted(key for key in keys if key[0] == VIRTUAL_MACHINE_GROUP.name)
    roots = [key for key in groups if key not in parts.nested] or groups[:1]  # a cycle is entered somewhere
    trees = tuple(_tree(parts, key, drawn) for key in roots)
    trees += tuple(_tree(parts, key, drawn) for key in groups if key not in drawn)
    loose = tuple(_vm(parts, key) for key in sorted(keys) if key[0] == VIRTUAL_MACHINE.name and key not in drawn)
    results = objects or [parts.alone[key] for key in sorted(keys) if key in parts.alone]
    looks = [badges.stage(result.stage) for result in results]
    looks += [badges.vm(parts.vms[key]) for key in keys if key in parts.vms]
    services = tuple(sorted((item for item in objects if not is_group(item)), key=lambda item: item.name))
    return Application(
        namespace=min(keys)[1],
        name=_name(
            [key[2] for key in roots] or [service.name for service in services] or sorted(key[2] for key in keys)
        ),
        services=services,
        groups=trees,
        loose=loose,
        outcome=outcome(results),
        worst=badges.worst(looks),
        objects=len(objects),
    )


def _name(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _tree(parts: _Parts, key: Part, drawn: set[Part], *, levels: int = MOST_LEVELS) -> GroupNode:
    """Draw a group and what is in it; what was drawn before is not drawn again, so that a cycle ends.

    A group below the deepest level is left to be drawn as a tree of its own.
    """
    drawn.add(key)
    result = parts.objects.get(key)
    children: list[GroupNode | VmNode] = []
    for member in sorted(result.members if result else (), key=lambda member: member.order):
        child = (member.kind, key[1], member.name)
        if member.kind == VIRTUAL_MACHINE.name:
            drawn.add(child)
            children.append(_vm(parts, child, linked=member.linked))
        elif child not in drawn and levels > 1:
            children.append(_tree(parts, child, drawn, levels=levels - 1))
    return GroupNode(name=key[2], result=result, children=tuple(children))


def _vm(parts: _Parts, key: Part, *, linked: bool | None = None) -> VmNode:
    services = tuple(parts.selected_by.get(key, ()))
    return VmNode(name=key[2], vm=parts.vms.get(key), services=services, linked=linked)


def vm_nodes(nodes: Iterable[GroupNode | VmNode]) -> Iterator[VmNode]:
    """Yield the VMs of some nodes, at any depth, in the order of drawing."""
    for node in nodes:
        if isinstance(node, VmNode):
            yield node
        else:
            yield from vm_nodes(node.children)
