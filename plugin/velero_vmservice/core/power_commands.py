"""The commands that power machines on, for whoever is to type them, and why a group does not start a late member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.core import nesting
from velero_vmservice.core.manifest import compact_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from velero_vmservice.core.machine import Machine
    from velero_vmservice.core.manifest import Manifest

_ON: Final = "PoweredOn"
LAST_SET: Final = "vmoperator.vmware.com.protected/last-updated-power-state-time"
"""When a group was last told to apply its power state (virtualmachinegroup_mutator.go)."""


def power_on(machines: Iterable[Machine], groups: Mapping[str, Manifest], namespace: str) -> Iterator[str]:
    """Yield the commands that power machines on: through the root of their groups, so that its boot order holds.

    A late member is powered on by itself: its group says PoweredOn already, and saying so again changes nothing.
    """
    parents = {name: str(one.spec.get("groupName", "")) for name, one in groups.items()}
    targets = dict.fromkeys(
        ("virtualmachinegroup", (one.group_name, *nesting.ancestors(one.group_name, parents))[-1])
        if one.group_name in groups and not is_late(one, groups)
        else ("virtualmachine", one.name)
        for one in machines
    )
    for resource, name in targets:
        yield _patch(resource, namespace, name)


def is_late(machine: Machine, groups: Mapping[str, Manifest]) -> bool:
    """Say whether a machine is off in a group that has applied PoweredOn, and was not told to run with it.

    VM Operator hands a power state down once for each time that it is set; a member that comes later stays as it is,
    and is marked NotSynced (virtualmachinegroup_controller.go, shouldUpdatePowerState).
    """
    group = groups.get(machine.group_name)
    if group is None or group.spec.get("powerState") != _ON or _ON in (machine.power_state, machine.asked_power):
        return False
    applied = compact_time(group.status.get("lastUpdatedPowerStateTime"))
    return bool(applied) and applied >= compact_time(group.annotations.get(LAST_SET))


def late(machine: Machine, groups: Mapping[str, Manifest], namespace: str) -> str:
    """Say of a late member why it does not run, and how to start it."""
    applied = groups[machine.group_name].status.get("lastUpdatedPowerStateTime")
    return (
        f"{machine.name} is {machine.power_state or 'in no known power state'}: its group {machine.group_name} has"
        f" applied PoweredOn at {applied}, and VM Operator starts no member that comes later; to start it:"
        f" {_patch('virtualmachine', namespace, machine.name)}"
    )


def _patch(resource: str, namespace: str, name: str) -> str:
    return (
        f"""kubectl -n {namespace} patch {resource} {name} --type merge -p '{{"spec":{{"powerState":"PoweredOn"}}}}'"""
    )
