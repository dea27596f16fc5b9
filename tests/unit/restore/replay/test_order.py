from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, service, vm
from velero_vmservice.errors import Unavailable

if TYPE_CHECKING:
    from tests.unit.world import World

NAMES = ["a-leaf", "m-middle", "z-root"]
GROUPS = [
    group("a-leaf", ["vm-a"], parent="m-middle"),
    group("m-middle", ["vm-m"], ["/a-leaf"], parent="z-root"),
    group("z-root", ["vm-z"], ["/m-middle"]),
]
VMS = [vm("vm-a", group="a-leaf", labels={"app": "x"}), vm("vm-m", group="m-middle"), vm("vm-z", group="z-root")]
PARENTS_FIRST = [
    "VirtualMachineGroup shop/z-root",
    "VirtualMachineGroup shop/m-middle",
    "VirtualMachineGroup shop/a-leaf",
    "VirtualMachineService shop/front",
]


@pytest.fixture(name="items")
def _items(world: World) -> list[dict[str, Any]]:
    items = world.back_up(*VMS, *GROUPS, service("front", {"app": "x"}))
    world.lose(*GROUPS, service("front"))
    world.cluster.calls.made.clear()
    return items


def test_parents_come_first_although_velero_polls_by_name(world: World, items: list[dict[str, Any]]) -> None:
    world.finish(world.replay_all(items))
    assert world.created() == PARENTS_FIRST


@pytest.mark.parametrize("order", [1, -1])
def test_parents_come_first_after_a_restart(world: World, items: list[dict[str, Any]], order: int) -> None:
    operations = world.replay_all(items)[::order]
    world.restart()
    world.round(operations)
    assert world.created() == []  # not every operation is known in this process
    world.finish(operations)
    assert world.created() == PARENTS_FIRST


def test_parents_come_first_after_a_restart_in_the_middle_of_execute(world: World, items: list[dict[str, Any]]) -> None:
    leaf, middle, root, front = items
    operations = world.replay_all([leaf, root])
    world.restart()
    operations += world.replay_all([middle, front])
    world.finish(operations)
    assert world.created() == PARENTS_FIRST


def test_children_wait_for_a_parent_that_waits_and_services_do_not(world: World, items: list[dict[str, Any]]) -> None:
    world.lose(VMS[2])
    operations = world.replay_all(items)
    polled = world.round(operations)
    assert world.created() == PARENTS_FIRST[3:]  # the service, whose own VMs are there
    assert "waits for VirtualMachineGroup shop/z-root" in polled[operations[1]].description
    world.cluster.seed(vm("vm-z", group="z-root", uid="new"))
    world.finish(operations)
    assert world.created() == [*PARENTS_FIRST[3:], *PARENTS_FIRST[:3]]


def test_a_parent_whose_capture_cannot_be_read_yet_is_waited_for(world: World, items: list[dict[str, Any]]) -> None:
    operations = world.replay_all(items)
    world.store.calls.fail("get", Unavailable("away"), on="z-root")
    for _ in range(3):
        polled = world.round(operations)
    assert world.created() == []
    assert "waits for" in polled[operations[0]].description
    world.store.calls.heal()
    world.finish(operations)
    assert world.created() == PARENTS_FIRST


def test_a_parent_that_failed_is_not_waited_for(world: World, items: list[dict[str, Any]]) -> None:
    operations = world.replay_all(items)
    (key,) = (key for key in world.store.list("captures/") if key.endswith("z-root.json"))
    world.store.tamper(key, b"rotten")
    last = world.finish(operations)
    assert world.created() == PARENTS_FIRST[1:]
    assert last[operations[2]].error
    assert "its parent group z-root is not there" in last[operations[1]].description


def test_a_parent_outside_the_restore_is_reported_and_not_waited_for(world: World, items: list[dict[str, Any]]) -> None:
    operations = world.replay_all(items[:2])
    last = world.finish(operations)
    assert world.created() == PARENTS_FIRST[1:3]
    assert "its parent group z-root is not there" in last[operations[1]].description


def test_groups_that_contain_each_other_are_blocked_with_the_chain(world: World) -> None:
    groups = [group("a", ["/b"], parent="b"), group("b", ["/a"], parent="a")]
    items = world.back_up(*groups)
    world.lose(*groups)
    last = world.finish(world.replay_all(items))
    assert ["a → b → a" in progress.error for progress in last.values()] == [True, True]
    assert world.created() == []


def test_two_restores_do_not_wait_for_each_other(world: World, items: list[dict[str, Any]]) -> None:
    first = world.replay_all(items[:1], name="first")
    world.lose(VMS[2])
    second = world.replay_all(items[2:3], name="second")
    assert world.round(first, name="first")[first[0]].description.startswith("replayed")
    assert "vm-z: not registered yet" in world.round(second, name="second")[second[0]].description


def test_a_parent_is_verified_only_with_the_children_that_are_still_to_come(world: World) -> None:
    trunk, leaf = group("trunk", [], ["/leaf"]), group("leaf", ["vm-a"], parent="trunk")
    machine = vm("vm-a", group="leaf")
    items = world.back_up(machine, trunk, leaf)
    world.lose(trunk, leaf, machine)
    operations = world.replay_all(items)
    for _ in range(3):
        polled = world.round(operations)
    assert world.created() == ["VirtualMachineGroup shop/trunk"]
    assert "VirtualMachineGroup leaf is still to be replayed" in polled[operations[1]].description
    world.cluster.seed(vm("vm-a", group="leaf", uid="new"))
    world.finish(operations)


def test_a_root_waits_while_a_living_child_holds_a_vm_that_would_be_placed_anew(world: World) -> None:
    trunk, leaf = group("trunk", [], ["/leaf"]), group("leaf", ["vm-a"], parent="trunk")
    items = world.back_up(vm("vm-a", group="leaf"), trunk, leaf)
    world.lose(trunk)
    world.cluster.seed(vm("vm-a", group="leaf", uid="new", status={"uniqueID": ""}))
    operations = world.replay_all(items)
    polled = world.round(operations)
    assert "VM Operator would place vm-a anew" in polled[operations[1]].description
    world.cluster.seed(vm("vm-a", group="leaf", uid="new"))
    world.finish(operations)
    assert world.created() == ["VirtualMachineGroup shop/trunk"]


def test_a_restart_does_not_verify_a_parent_before_it_knows_of_its_children(world: World) -> None:
    trunk, leaf = group("trunk", [], ["/leaf"]), group("leaf", ["vm-a"], parent="trunk")
    machine = vm("vm-a", group="leaf")
    items = world.back_up(machine, trunk, leaf)
    world.lose(trunk, leaf, machine)
    operations = world.replay_all(items)
    world.round(operations)
    world.restart()
    for _ in range(3):
        assert not world.round(operations[::-1])[operations[1]].completed
    world.cluster.seed(vm("vm-a", group="leaf", uid="new"))
    last = world.finish(operations)
    assert "not a member now" not in last[operations[1]].description
