"""Which objects of a restore belong together: an application is all that groups, selectors and membership connect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.report.model import Result, VmResult

Part = tuple[str, str, str]
"""Kind, namespace and name of an object or a VM."""
_OF_NOW: Final = frozenset({"powered_by", "power_asked"})
"""Fields that an older look fills and a newer one does not: they no longer hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The objects of a restore that belong together, and the VMs that they need."""

    objects: tuple[Result, ...]
    machines: tuple[VmResult, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more will be done for any of its objects."""
        return all(Stage(item.stage).final for item in self.objects)

    @property
    def broken(self) -> tuple[Result, ...]:
        """The groups that are not whole: failed, cancelled or incomplete."""
        return tuple(item for item in self.objects if is_group(item) and Stage(item.stage).broken)


def applications(objects: Iterable[Result], vms: Iterable[VmResult]) -> Sequence[Application]:
    """Split the results of a restore into its applications, each with its parts in the order given."""
    results = {part(item): item for item in objects}
    known = {vm_part(vm): vm for vm in vms}
    near = neighbours((key, related(result)) for key, result in results.items())
    for key in known:
        near.setdefault(key, set())
    return [
        Application(
            objects=tuple(result for key, result in results.items() if key in parts),
            machines=tuple(vm for key, vm in known.items() if key in parts),
        )
        for parts in components(near)
    ]


def is_group(result: Result) -> bool:
    """Say whether a result is that of a VirtualMachineGroup."""
    return result.kind == VIRTUAL_MACHINE_GROUP.name


def part(result: Result) -> Part:
    """Return what a result is of."""
    return (result.kind, result.namespace, result.name)


def vm_part(vm: VmResult) -> Part:
    """Return which VM a result is of."""
    return (VIRTUAL_MACHINE.name, vm.namespace, vm.name)


def related(result: Result) -> Iterator[Part]:
    """Yield what a result connects its object to: members, parent, VMs selected and served."""
    yield from ((member.kind, result.namespace, member.name) for member in result.members)
    yield from ((VIRTUAL_MACHINE.name, result.namespace, name) for name in (*result.selected, *result.endpoints))
    if result.parent:
        yield (VIRTUAL_MACHINE_GROUP.name, result.namespace, result.parent)


def merged(objects: Iterable[Result]) -> tuple[VmResult, ...]:
    """List each VM once, as the object that ended last saw it, with what the others add."""
    vms_by_part: dict[Part, VmResult] = {}
    for result in sorted(objects, key=lambda item: item.ended):
        for vm in result.machines:
            key = vm_part(vm)
            vms_by_part[key] = _merge(vm, vms_by_part[key]) if key in vms_by_part else vm
    return tuple(vms_by_part[key] for key in sorted(vms_by_part))


def _merge(newer: VmResult, older: VmResult) -> VmResult:
    """Take the newer look, and from the older one what the newer leaves open."""
    open_fields = {
        name: getattr(older, name)
        for name in type(newer).model_fields
        if name not in _OF_NOW and getattr(newer, name) in ("", (), "unknown")
    }
    if newer.registered:
        open_fields.pop("waiting_for", None)
    newer_attributes = {deviation.attribute for deviation in newer.deviations}
    return newer.model_copy(
        update={
            **open_fields,
            "deviations": (
                *newer.deviations,
                *(deviation for deviation in older.deviations if deviation.attribute not in newer_attributes),
            ),
            "timeline": tuple(sorted({*newer.timeline, *older.timeline})),
            "ready_at": tuple(sorted({*newer.ready_at, *older.ready_at})),
        }
    )


def without_courses(result: Result) -> Result:
    """Return a result without the timelines of its VMs, as a process keeps it in memory."""
    vms = tuple(vm.model_copy(update={"timeline": (), "ready_at": ()}) for vm in result.machines)
    return result.model_copy(update={"machines": vms})


def neighbours(edges: Iterable[tuple[Part, Iterable[Part]]]) -> dict[Part, set[Part]]:
    """Return what each part is next to, in both directions."""
    near: dict[Part, set[Part]] = {}
    for start, ends in edges:
        near.setdefault(start, set())
        for end in ends:
            near[start].add(end)
            near.setdefault(end, set()).add(start)
    return near


def components(near: Mapping[Part, Collection[Part]]) -> Iterator[set[Part]]:
    """Yield the parts that belong together, in the order of the first of each."""
    left = dict.fromkeys(near)
    while left:
        component, ahead = set[Part](), [next(iter(left))]
        while ahead:
            key = ahead.pop()
            if key not in component:
                component.add(key)
                left.pop(key, None)
                ahead += near[key]
        yield component
