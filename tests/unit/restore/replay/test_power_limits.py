"""Power through a whole restore: asked for once, never against a person, never waited for in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.builders import group, service, vm, with_policy
from tests.unit.power import SET_AT

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
ON = with_policy(power="on")


def until_over(world: World, operations: list[str], *, minutes: int, **spec: Any) -> dict[str, Progress]:
    """Poll for some minutes; return the last words of each operation."""
    last: dict[str, Progress] = {}
    for _ in range(minutes * 6):
        last |= world.round(
            [operation for operation in operations if operation not in last or not last[operation].completed], **spec
        )
    return last


def switch_off(world: World, kind: str, name: str) -> None:
    """Do what a person does with kubectl, and VM Operator after it."""
    content = world.live(kind, name).editable()
    content["spec"]["powerState"] = "PoweredOff"
    if kind == "VirtualMachine":
        content["status"]["powerState"] = "PoweredOff"
    world.cluster.seed(content)


def test_the_root_is_powered_once_and_the_service_follows(world: World) -> None:
    objects = [vm("web-1", labels=WEB, group="tier"), group("tier", ["web-1"]), service("front", WEB)]
    items = world.back_up(*objects)
    world.lose(*objects)
    world.cluster.seed(vm("web-1", labels=WEB, group="tier", uid="new"))
    last = world.finish(world.replay_all(items, **ON), **ON)
    assert {progress.error for progress in last.values()} == {""}
    assert world.patched() == ["VirtualMachineGroup shop/tier"]


def test_a_vm_that_is_switched_off_meanwhile_stays_off(world: World) -> None:
    names = ("web-1", "web-2")
    machines = [vm(name, labels=WEB) for name in names]
    items = world.back_up(*machines, service("front", WEB))
    world.lose(*machines, service("front"))
    world.cluster.seed(*[vm(name, labels=WEB, uid="new") for name in names])
    operations = world.replay_all(items, **ON)
    while len(world.patched()) < 2:
        world.round(operations, **ON)
    switch_off(world, "VirtualMachine", "web-1")
    world.cluster.seed(  # the other one takes its time, so that the restore goes on
        vm("web-2", labels=WEB, uid="new", power="PoweredOn", spec={"powerState": "PoweredOn"})
    )
    for _ in range(3):
        world.round(operations, **ON)
    assert world.patched() == ["VirtualMachine shop/web-1", "VirtualMachine shop/web-2"]
    assert world.live("VirtualMachine", "web-1").spec["powerState"] == "PoweredOff"


def test_another_service_does_not_power_a_vm_again_that_was_switched_off(world: World) -> None:
    machines = [vm("web-1", labels={**WEB, "late": ""}), vm("web-2", labels={"late": ""})]
    objects = [service("front", WEB), service("late", {"late": ""})]
    items = world.back_up(*machines, *objects)
    world.lose(*machines, *objects)
    world.cluster.seed(vm("web-1", labels=machines[0]["metadata"]["labels"], uid="new"))
    front, late = world.replay_all(items, **ON)
    while not world.round([front, late], **ON)[front].completed:
        pass
    switch_off(world, "VirtualMachine", "web-1")
    world.cluster.seed(vm("web-2", labels={"late": ""}, uid="new"))
    last = world.finish([late], **ON)[late]
    assert world.patched() == ["VirtualMachine shop/web-1", "VirtualMachine shop/web-2"]
    assert "web-1" in last.description


def test_a_group_that_is_switched_off_meanwhile_stays_off(world: World) -> None:
    objects = [vm("web-1", group="tier"), group("tier", ["web-1"])]
    items = world.back_up(*objects)
    world.lose(*objects)
    world.cluster.seed(vm("web-1", group="tier", uid="new"))
    operations = world.replay_all(items, **ON)
    while not world.patched():
        world.round(operations, **ON)
    switch_off(world, "VirtualMachine", "web-1")
    switch_off(world, "VirtualMachineGroup", "tier")
    (last,) = world.finish(operations, **ON).values()
    assert "switched off since" in last.description
    assert world.patched() == ["VirtualMachineGroup shop/tier"]


def test_a_service_does_not_wait_for_the_power_of_a_group_that_was_left_as_it_is(world: World) -> None:
    objects = [vm("web-1", labels=WEB, group="tier"), group("tier", ["web-1"]), service("front", WEB)]
    items = world.back_up(*objects)
    world.lose(*objects)
    world.cluster.seed(vm("web-1", labels=WEB, group="tier", uid="new"), group("tier", ["web-1"], ["extra"]))
    operations = world.replay_all(items, **ON)
    last = world.finish(operations, **ON)
    assert "retained" in last[operations[0]].description
    assert "web-1 is left to its group tier" in last[operations[1]].description
    assert world.patched() == []


def test_a_group_with_a_member_that_is_none_any_more_does_not_wait_for_ever(world: World) -> None:
    objects = [vm("web-1", group="tier"), vm("web-2", group="tier"), group("tier", ["web-1", "web-2"])]
    items = world.back_up(*objects)
    world.lose(*objects)
    world.cluster.seed(vm("web-1", group="tier", uid="new"), vm("web-2", group="other", uid="new"))
    operations = world.replay_all(items, **ON)
    (last,) = until_over(world, operations, minutes=40, **ON).values()
    assert last.completed
    assert last.description.startswith("incomplete: VirtualMachine web-2 is not a member now")
    assert world.patched() == []


def test_a_service_counts_no_time_while_the_group_of_its_vm_waits_for_another(world: World) -> None:
    tier = group("tier", ["web-1", "db-1"], powerState="PoweredOn")
    machines = [vm("web-1", labels=WEB, group="tier"), vm("db-1", group="tier")]
    items = world.back_up(*machines, tier, service("front", WEB))
    world.vm_operator()
    world.lose(*machines)
    settled = world.live("VirtualMachineGroup", "tier").editable()  # VM Operator powers no VM that comes late
    settled["metadata"]["annotations"] = {SET_AT: "2026-03-01T11:00:00Z"}
    settled["status"]["lastUpdatedPowerStateTime"] = "2026-03-01T11:00:00Z"
    world.cluster.seed(settled, vm("web-1", labels=WEB, group="tier", uid="new"))
    operations = world.replay_all(items, **ON)
    last = until_over(world, operations, minutes=40, **ON)
    assert not any(progress.completed for progress in last.values()), [
        progress.description for progress in last.values()
    ]
    world.cluster.seed(vm("db-1", group="tier", uid="new"))
    last = world.finish(operations, **ON)
    assert {progress.error for progress in last.values()} == {""}


def test_below_a_root_that_was_given_up_nothing_is_powered(world: World) -> None:
    machines = [vm("web-1", labels=WEB, group="tier"), vm("db-1", group="root")]
    objects = [group("root", ["/tier"], ["db-1"]), group("tier", ["web-1"], parent="root"), service("front", WEB)]
    items = world.back_up(*machines, *objects)
    world.lose(*machines, *objects)
    world.cluster.seed(vm("web-1", labels=WEB, group="tier", uid="new"), vm("db-1", group="other", uid="new"))
    root, tier, front = world.replay_all(items, **ON)
    last = until_over(world, [root, tier, front], minutes=40, **ON)
    assert last[root].description.startswith("incomplete: VirtualMachine db-1 is not a member now")
    assert "left off with the group root, which is incomplete" in last[tier].description
    assert "web-1 is left off with its group root, which is incomplete" in last[front].description
    assert world.patched() == []
