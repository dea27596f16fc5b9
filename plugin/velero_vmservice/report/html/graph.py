"""What belongs together: services, their VMs and the groups around them, as trees that can be drawn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VMS_ALONE
from velero_vmservice.report.html import badges
from velero_vmservice.report.summary import outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from velero_vmservice.report.html.badges import Look
    from velero_vmservice.report.model import Outcome, Report, Result, VmResult

Key = tuple[str, str, str]
"""What it is, its namespace, its name."""

MOST_LEVELS: Final = 16
"""Groups drawn within each other; more do not fit a screen, and VM Operator bounds their nesting nowhere."""

_GROUP: Final = "group"
_SERVICE: Final = "service"
_VM: Final = "machine"
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
    """Objects and VMs that hang together, within one namespace."""

    namespace: str
    name: str
    services: tuple[Result, ...]
    groups: tuple[GroupNode, ...]
    """Root groups."""
    loose: tuple[VmNode, ...]
    """VMs in no group of the report."""
    outcome: Outcome
    """As of a restore that has nothing else."""
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
    connected, alone = list[Application](), dict[str, set[Key]]()
    for keys in parts.components():
        if all(key in parts.alone for key in keys):
            alone.setdefault(min(keys)[1], set()).update(keys)
        else:
            connected.append(_application(parts, keys))
    connected += [replace(_application(parts, keys), name=WITHOUT_APPLICATION) for keys in alone.values()]
    return sorted(connected, key=lambda application: (application.worst.rank, application.namespace, application.name))


@dataclass(slots=True)
class _Parts:
    """The report's objects and VMs, and what each is next to."""

    report: Report
    objects: dict[Key, Result] = field(default_factory=dict)
    machines: dict[Key, VmResult] = field(default_factory=dict)
    beside: dict[Key, set[Key]] = field(default_factory=dict)
    selected_by: dict[Key, list[str]] = field(default_factory=dict)
    nested: set[Key] = field(default_factory=set)
    alone: dict[Key, Result] = field(default_factory=dict)
    """VMs that an operation of their own waited for, and its result."""

    def __post_init__(self) -> None:
        for vm in self.report.machines:
            key = (_VM, vm.namespace, vm.name)
            self.machines[key] = vm
            self.beside.setdefault(key, set())
        for item in self.report.objects:
            if item.kind == VMS_ALONE.name:
                self.alone |= {(_VM, item.namespace, name): item for name in item.selected}
                continue
            key = _key(item)
            self.objects[key] = item
            self.beside.setdefault(key, set())
            for other in _related(item):
                self.beside[key].add(other)
                self.beside.setdefault(other, set()).add(key)
            for name in item.selected:
                self.selected_by.setdefault((_VM, item.namespace, name), []).append(item.name)
            if key[0] == _GROUP:
                self.nested |= {(_member_key(item, member.kind, member.name)) for member in item.members}

    def components(self) -> Iterator[set[Key]]:
        left = dict.fromkeys(self.beside)
        while left:
            component, ahead = set[Key](), [next(iter(left))]
            while ahead:
                key = ahead.pop()
                if key not in component:
                    component.add(key)
                    left.pop(key, None)
                    ahead += self.beside[key]
            yield component


def _key(result: Result) -> Key:
    return (_GROUP if result.kind == VIRTUAL_MACHINE_GROUP.name else _SERVICE, result.namespace, result.name)


def _member_key(group: Result, kind: str, name: str) -> Key:
    return (_GROUP if kind == VIRTUAL_MACHINE_GROUP.name else _VM, group.namespace, name)


def _related(result: Result) -> Iterator[Key]:
    yield from (_member_key(result, member.kind, member.name) for member in result.members)
    yield from ((_VM, result.namespace, name) for name in (*result.selected, *result.endpoints))
    if result.parent:
        yield (_GROUP, result.namespace, result.parent)


def _application(parts: _Parts, keys: set[Key]) -> Application:
    objects = [parts.objects[key] for key in keys if key in parts.objects]
    drawn = set[Key]()
    groups = sorted(key for key in keys if key[0] == _GROUP)
    roots = [key for key in groups if key not in parts.nested] or groups[:1]  # a cycle is entered somewhere
    trees = tuple(_tree(parts, key, drawn) for key in roots)
    trees += tuple(_tree(parts, key, drawn) for key in groups if key not in drawn)
    loose = tuple(_vm(parts, key) for key in sorted(keys) if key[0] == _VM and key not in drawn)
    results = objects or [parts.alone[key] for key in sorted(keys) if key in parts.alone]
    looks = [badges.stage(result.stage) for result in results]
    looks += [badges.vm(parts.machines[key]) for key in keys if key in parts.machines]
    services = tuple(sorted((item for item in objects if _key(item)[0] == _SERVICE), key=lambda item: item.name))
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


def _tree(parts: _Parts, key: Key, drawn: set[Key], *, levels: int = MOST_LEVELS) -> GroupNode:
    """Draw a group and what is in it; what was drawn before is not drawn again, so that a cycle ends.

    A group below the deepest level is left to be drawn as a tree of its own.
    """
    drawn.add(key)
    result = parts.objects.get(key)
    children: list[GroupNode | VmNode] = []
    for member in sorted(result.members if result else (), key=lambda member: member.order):
        child = (_GROUP if member.kind == VIRTUAL_MACHINE_GROUP.name else _VM, key[1], member.name)
        if child[0] == _VM:
            drawn.add(child)
            children.append(_vm(parts, child, linked=member.linked))
        elif child not in drawn and levels > 1:
            children.append(_tree(parts, child, drawn, levels=levels - 1))
    return GroupNode(name=key[2], result=result, children=tuple(children))


def _vm(parts: _Parts, key: Key, *, linked: bool | None = None) -> VmNode:
    services = tuple(parts.selected_by.get(key, ()))
    return VmNode(name=key[2], vm=parts.machines.get(key), services=services, linked=linked)


def vm_nodes(nodes: Iterable[GroupNode | VmNode]) -> Iterator[VmNode]:
    """Yield the VMs of some nodes, at any depth, in the order of drawing."""
    for node in nodes:
        if isinstance(node, VmNode):
            yield node
        else:
            yield from vm_nodes(node.children)
