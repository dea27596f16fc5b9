"""What VM Operator does with a power state, as far as a restore can tell (virtualmachinegroup_controller.go).

A group hands its power state down to its linked members once for each time that it was set; a VM takes its own.
Its webhook notes when it was set, and turns `now` into a time (virtualmachinegroup_mutator.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velero_vmservice.kube import manifest as kinds
from velero_vmservice.kube.manifest import condition, is_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clock import SettableClock
    from tests.fakes.cluster import MemoryCluster
    from velero_vmservice.kube.manifest import Manifest

SET_AT = "vmoperator.vmware.com.protected/last-updated-power-state-time"
CHECK = "poweron.check.vmoperator.vmware.com/"


def play(cluster: MemoryCluster, clock: SettableClock, namespace: str) -> None:
    """Hand down what is due, parents first, and let each VM take what it was asked for."""
    now = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    todo = [group.name for group in cluster.list(kinds.VIRTUAL_MACHINE_GROUP, namespace)]
    for _ in range(len(todo)):  # a state reaches the leaves of any tree
        for group in cluster.list(kinds.VIRTUAL_MACHINE_GROUP, namespace):
            _hand_down(cluster, group, now)
    for machine in cluster.list(kinds.VIRTUAL_MACHINE, namespace):
        _take(cluster, machine)


def _hand_down(cluster: MemoryCluster, group: Manifest, now: str) -> None:
    if group.spec.get("powerState") != "PoweredOn":
        return
    content = group.editable()
    spec, annotations = content["spec"], content["metadata"].setdefault("annotations", {})
    status = content.setdefault("status", {})
    forced = spec.get("nextForcePowerStateSyncTime") == "now"
    if forced:
        spec["nextForcePowerStateSyncTime"] = now
    if SET_AT not in annotations or forced:
        annotations[SET_AT] = now
    if status.get("lastUpdatedPowerStateTime", "") >= annotations[SET_AT] and not forced:
        return
    for kind, name in _linked(group):
        for member in cluster.list(kind, group.namespace):
            if member.name == name and member.spec.get("powerState") != "PoweredOn":
                cluster.seed(_with_power(member))
    status["lastUpdatedPowerStateTime"] = now
    cluster.seed(content)


def _linked(group: Manifest) -> Iterator[tuple[kinds.Kind, str]]:
    of = {kind.name: kind for kind in (kinds.VIRTUAL_MACHINE, kinds.VIRTUAL_MACHINE_GROUP)}
    for entry in group.status.get("members", ()):
        if is_true(condition(entry, "GroupLinked")):
            yield of[entry["kind"]], entry["name"]


def _with_power(member: Manifest) -> dict[str, Any]:
    content = member.editable()
    content["spec"]["powerState"] = "PoweredOn"
    return content


def _take(cluster: MemoryCluster, machine: Manifest) -> None:
    held = any(key.startswith(CHECK) for key in machine.annotations)
    if machine.spec.get("powerState") != "PoweredOn" or machine.status.get("powerState") == "PoweredOn" or held:
        return
    content = machine.editable()
    number = sum(machine.name.encode()) % 250
    content["status"] |= {"powerState": "PoweredOn", "network": {"primaryIP4": f"198.51.100.{number}"}}
    cluster.seed(content)
