"""The commands that power an application on, once all of it is back: through its root groups, in boot order.

A VM that VM Operator starts too late for its group is the exception: it is started by its own power state.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, compact_time
from velero_vmservice.report.application import Part, is_group, part, vm_part
from velero_vmservice.vmoperator.groups import ancestors, boot_order_members

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.report.application import Application
    from velero_vmservice.report.model import Result, VmResult
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

_ON: Final = "PoweredOn"
LAST_SET: Final = "vmoperator.vmware.com.protected/last-updated-power-state-time"
"""When a group was last told to apply its power state (virtualmachinegroup_mutator.go)."""


def power_on(application: Application) -> tuple[str, ...]:
    """Return the commands that power on what ran at backup and is off, one for each root group, in boot order.

    None while an object is still under way, when what its group looks like is not known, and none where a group is
    broken: its root would start what is there without what is missing.
    """
    if not application.ended or application.broken:
        return ()
    groups = [item for item in application.objects if is_group(item)]
    holders, parents = dict(_holders(groups)), dict(_parents(groups))
    place = {member: at for at, member in enumerate(_boot_order(groups))}
    off = sorted(
        filter(is_off, application.machines),
        key=lambda vm: (place.get(vm_part(vm), len(place)), vm.namespace, vm.name),
    )
    targets: dict[tuple[Kind, str, str], None] = {}
    for vm in off:
        own = (VIRTUAL_MACHINE, vm.namespace, vm.name)
        group = vm.powered_by or holders.get((vm.namespace, vm.name), "")
        if vm.late or not group:
            targets[own] = None
            continue
        above = ancestors((vm.namespace, group), parents)
        targets[VIRTUAL_MACHINE_GROUP, vm.namespace, above[-1][1] if above else group] = None
    return tuple(_patch(*target) for target in targets)


def is_off(vm: VmResult) -> bool:
    """Say whether a VM is there to stay, is off and was not asked to run, though it ran at backup as far as is known.

    One that is not ready may be another VM of the same name.
    """
    return vm.ready and not vm.deleting and vm.power_before in ("", _ON) and _ON not in (vm.power_after, vm.power_asked)


def _holders(groups: Iterable[Result]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the group that each linked VM is a member of."""
    for group in groups:
        for member in group.members:
            if member.linked and member.kind == VIRTUAL_MACHINE.name:
                yield (group.namespace, member.name), group.name


def _parents(groups: Iterable[Result]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield the group that each group is a linked member of; a root is its own."""
    for group in groups:
        yield (group.namespace, group.name), (group.namespace, group.name)
    for group in groups:
        for member in group.members:
            if member.linked and member.kind == VIRTUAL_MACHINE_GROUP.name:
                yield (group.namespace, member.name), (group.namespace, group.name)


def _boot_order(groups: Sequence[Result]) -> Iterator[Part]:
    """Yield what is in some groups in the order in which VM Operator starts it."""
    known = {part(group): group for group in groups}
    nested = {(member.kind, group.namespace, member.name) for group in groups for member in group.members}
    seen, todo = set[Part](), [key for key in sorted(known, reverse=True) if key not in nested]
    while todo:
        key = todo.pop()
        if key in seen:
            continue
        seen.add(key)
        yield key
        if key in known:
            members = sorted(known[key].members, key=lambda member: member.order, reverse=True)
            todo += [(member.kind, key[1], member.name) for member in members]


def is_late(vm: ObservedVm, groups: Mapping[str, Manifest]) -> bool:
    """Say whether a VM is off in a group that has applied PoweredOn, and was not told to run with it.

    VM Operator hands a power state down once for each time that it is set; a member that comes later stays as it is,
    and is marked NotSynced (virtualmachinegroup_controller.go, shouldUpdatePowerState).
    """
    group = groups.get(vm.group_name)
    if group is None or group.spec.get("powerState") != _ON or _ON in (vm.power_state, vm.asked_power):
        return False
    applied = compact_time(group.status.get("lastUpdatedPowerStateTime"))
    return bool(applied) and applied >= compact_time(group.annotations.get(LAST_SET))


def powered_by(vm: ObservedVm, groups: Mapping[str, Manifest]) -> str:
    """Return the outermost live group that hands its power state down to a VM, '' if none does.

    Each group on the way has to list the one below it, as that has to name it.
    """
    kind, name, above, outermost = VIRTUAL_MACHINE, vm.name, vm.group_name, ""
    seen = set[str]()
    while above in groups and above not in seen and _lists(groups[above], kind, name):
        seen.add(above)
        kind, name, outermost = VIRTUAL_MACHINE_GROUP, above, above
        above = str(groups[above].spec.get("groupName", ""))
    return outermost


def late(vm: ObservedVm, groups: Mapping[str, Manifest]) -> str:
    """Return why a late member does not run."""
    applied = groups[vm.group_name].status.get("lastUpdatedPowerStateTime")
    return (
        f"{vm.name} is {vm.power_state or 'in no known power state'}: its group {vm.group_name} has"
        f" applied PoweredOn at {applied}, and VM Operator starts no member that comes later"
    )


def start(vm: ObservedVm, namespace: str) -> str:
    """Return the command that starts one VM by its own power state."""
    return _patch(VIRTUAL_MACHINE, namespace, vm.name)


def _lists(group: Manifest, kind: Kind, name: str) -> bool:
    return any((member.kind, member.name) == (kind.name, name) for member in boot_order_members(group))


def _patch(kind: Kind, namespace: str, name: str) -> str:
    target = f"kubectl -n {shlex.quote(namespace)} patch {kind.name.lower()} {shlex.quote(name)}"
    return f"""{target} --type merge -p '{{"spec":{{"powerState":"PoweredOn"}}}}'"""
