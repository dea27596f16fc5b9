"""Each stage has its own end, counted where a restart of this process does not move it; what is ours is not late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, service, vm, with_policy
from velero_vmservice.errors import Unavailable

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
VM = vm("web-1", labels=WEB)
FRONT = service("front", WEB)
TREE = [group("app", ["/db"], ["/web"]), group("db", ["db-1"], parent="app"), group("web", ["web-1"], parent="app")]
MEMBERS = [vm("db-1", group="db"), vm("web-1", labels=WEB, group="web")]
HOUR = 3600


def lost(world: World, *objects: dict[str, Any]) -> list[str]:
    items = world.back_up(*objects)
    world.lose(*objects)
    return world.replay_all(items)


def after(world: World, operations: list[str], seconds: float, **spec: Any) -> dict[str, Progress]:
    """Let time pass with a poll now and then."""
    polled: dict[str, Progress] = {}
    for _ in range(6):
        world.clock.advance(seconds / 6)
        polled |= world.round(operations, **spec)
    return polled


@pytest.mark.parametrize("restarts", [False, True])
def test_registration_counts_from_the_start_of_the_restore(world: World, *, restarts: bool) -> None:
    (operation,) = lost(world, VM, FRONT)
    policy = with_policy(registered_within="1h")
    polled = after(world, [operation], HOUR - 200, **policy)
    assert not polled[operation].completed
    if restarts:
        world.restart()
    polled = after(world, [operation], 300, **policy)
    assert polled[operation].error == (
        "VirtualMachineService shop/front: the policy's registered-within=1h is over: web-1: not registered yet"
    )


def test_registration_has_no_deadline_but_veleros_unless_asked(world: World) -> None:
    (operation,) = lost(world, VM, FRONT)
    assert not after(world, [operation], 48 * HOUR)[operation].completed


def test_a_replayed_object_does_not_wait_for_registration_any_more(world: World) -> None:
    """A restart looks twice at every VM again, which is not a reason to give up on what is there."""
    operations = lost(world, *MEMBERS, *TREE)
    policy = with_policy(registered_within="1h", verified_within="none")
    world.cluster.seed(
        *(vm(member["metadata"]["name"], group=member["spec"]["groupName"], uid="new") for member in MEMBERS)
    )
    for _ in range(2):
        for operation in operations:
            world.poll(operation, **policy)
        world.clock.advance(10)
    assert len(world.created()) == 3
    world.clock.advance(2 * HOUR)
    world.restart()
    polls = [world.poll(operation, **policy) for operation in operations]
    assert [progress.error for progress in polls] == ["", "", ""]
    assert {progress.error for progress in world.finish(operations, **policy).values()} == {""}


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("mode", ["best-effort", "strict"])
def test_a_replayed_object_is_not_late_for_registration_when_its_vm_goes(
    world: World, mode: str, *, back: bool
) -> None:
    """It has its half hour for verification, as it would have without the restart in between."""
    (operation,) = lost(world, vm("web-1", group="tier"), group("tier", ["web-1"]))
    policy = with_policy(registered_within="1h", mode=mode)
    world.cluster.seed(vm("web-1", group="tier", uid="new"))
    for _ in range(2):
        world.clock.advance(10)
        world.poll(operation, **policy)
    assert world.created() == ["VirtualMachineGroup shop/tier"]
    world.clock.advance(2 * HOUR)
    world.restart()
    world.lose(vm("web-1"))
    for minutes in (1, 29):
        world.clock.advance(60 * minutes)
        progress = world.poll(operation, **policy)
        assert progress.description == "replayed: web-1: not registered yet"
    if back:
        world.cluster.seed(vm("web-1", group="tier", uid="newer"))
        assert world.finish([operation], **policy)[operation].error == ""
        return
    world.clock.advance(2 * 60)
    assert world.poll(operation, **policy).error == (
        "VirtualMachineGroup shop/tier: the policy's verified-within=30m is over: web-1: not registered yet"
    )


def test_verification_has_half_an_hour(world: World) -> None:
    operations = lost(world, vm("web-1", group="tier"), group("tier", ["web-1"]))
    world.cluster.seed(vm("web-1", group="tier", uid="new"))
    for _ in range(2):
        world.clock.advance(10)
        assert not world.poll(operations[0]).completed
    world.clock.advance(HOUR / 2)
    assert not world.poll(operations[0]).completed
    world.clock.advance(60)
    assert world.poll(operations[0]).error == (
        "VirtualMachineGroup shop/tier: the policy's verified-within=30m is over: VirtualMachine web-1 is not linked"
        " yet (GroupLinked)"
    )


def test_a_parent_is_not_late_for_a_child_whose_vms_are_still_to_come(world: World) -> None:
    """VMs come back over hours, one after another: the parent is there long before its last child."""
    operations = lost(world, *MEMBERS, *TREE)
    world.cluster.seed(vm("db-1", group="db", uid="new"))
    polled = after(world, operations, 3 * HOUR)
    assert {name: progress.error for name, progress in polled.items()} == dict.fromkeys(operations, "")
    assert "VirtualMachineGroup web is still to be replayed" in polled[operations[0]].description
    world.cluster.seed(vm("web-1", labels=WEB, group="web", uid="new"))
    last = world.finish([operation for operation in operations if not polled[operation].completed])
    assert {progress.error for progress in last.values()} == {""}


@pytest.mark.parametrize("restarts", [False, True])
def test_power_has_half_an_hour_from_when_it_was_asked_for(world: World, *, restarts: bool) -> None:
    (operation,) = lost(world, vm("web-1", group="tier"), group("tier", ["web-1"]))
    policy = with_policy(power="on")
    world.clock.advance(HOUR)
    world.cluster.seed(vm("web-1", group="tier", uid="new"))
    for _ in range(2):
        world.round([operation], **with_policy())
    world.clock.advance(10)
    assert world.poll(operation, **policy).description.startswith("powering")
    assert world.patched() == ["VirtualMachineGroup shop/tier"]
    if restarts:  # VM Operator is away: nothing powers on
        world.restart()
        for _ in range(3):
            world.clock.advance(10)
            world.poll(operation, **policy)
    for minutes, over in ((29, False), (2, True)):
        world.clock.advance(60 * minutes)
        assert world.poll(operation, **policy).completed is over
    assert world.poll(operation, **policy).error == (
        "VirtualMachineGroup shop/tier: the policy's powered-within=30m is over: web-1 is PoweredOff"
    )


def test_a_child_is_not_late_for_power_that_its_root_has_not_asked_for_yet(world: World) -> None:
    operations = lost(world, *MEMBERS, *TREE, FRONT, service("back", {"app": "db"}))
    policy = with_policy(power="on")
    world.cluster.seed(vm("db-1", group="db", uid="new"))
    polled = after(world, operations, 3 * HOUR, **policy)
    assert world.patched() == []
    assert {progress.error for progress in polled.values()} == {""}
    world.cluster.seed(vm("web-1", labels=WEB, group="web", uid="new"))
    last = world.finish([operation for operation in operations if not polled[operation].completed], **policy)
    assert {progress.error for progress in last.values()} == {""}
    assert world.patched() == ["VirtualMachineGroup shop/app"]


def test_a_root_that_cannot_be_powered_is_late_and_its_children_are_left_off(world: World) -> None:
    operations = lost(world, *MEMBERS, *TREE)
    policy = with_policy(power="on")
    world.cluster.seed(vm("db-1", group="db", uid="new"), vm("web-1", labels=WEB, group="web", uid="new"))
    world.cluster.calls.fail("patch", Unavailable("the API server is away"))
    last = dict[str, Any]()
    for _ in range(30):
        last |= after(
            world,
            [operation for operation in operations if operation not in last or not last[operation].completed],
            1200,
            **policy,
        )
    assert "the policy's powered-within=30m is over" in last[operations[0]].error
    assert [progress.error for progress in last.values()].count("") == len(last) - 1
    assert "left off with the group app, whose replay has failed" in last[operations[1]].description
