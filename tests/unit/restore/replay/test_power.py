"""Power, as a whole restore asks for it: through the roots, once, and only where every member is linked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit import power
from tests.unit.builders import group, service, vm, with_policy
from tests.unit.world import World
from velero_vmservice.errors import Rejected, Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP
from velero_vmservice.restore.policy import RestorePolicy

WEB = {"app": "web"}
RAN = {"power": "PoweredOn", "ip": "192.0.2.1"}
VMS = [
    vm("db-1", group="db", **RAN),
    vm("web-1", labels=WEB, group="web", **RAN),
    vm("web-2", labels=WEB, group="web"),
    vm("alone", labels={"app": "alone"}, **RAN),
    vm("idle", labels={"app": "idle"}),
]
OBJECTS = [
    group("app", ["/db"], ["/web"], powerState="PoweredOn"),
    group("db", ["db-1"], parent="app"),
    group("web", ["web-1", "web-2"], parent="app"),
    service("front", WEB),
    service("alone", {"app": "alone"}),
    service("idle", {"app": "idle"}),
]
ROOT = "VirtualMachineGroup shop/app"


def lost(world: World, *objects: dict[str, Any]) -> list[str]:
    items = world.back_up(*objects)
    world.lose(*objects)
    world.cluster.calls.made.clear()
    return world.replay_all(items)


def back(world: World, *given: dict[str, Any]) -> None:
    """Bring VMs as RegisterVM does: with a new UID, powered off."""
    for manifest in given:
        labels, of = manifest["metadata"]["labels"], manifest["spec"].get("groupName", "")
        world.cluster.seed(vm(manifest["metadata"]["name"], labels=labels, group=of, uid="new"))


def running(world: World) -> list[str]:
    vms = world.cluster.list(VIRTUAL_MACHINE, "shop")
    return [vm.name for vm in vms if vm.status.get("powerState") == "PoweredOn"]


@pytest.mark.parametrize("policy", [{}, with_policy(power="leave")], ids=["by default", "as told"])
def test_no_vm_is_powered_on_unasked(world: World, policy: dict[str, Any]) -> None:
    operations = lost(world, *VMS, *OBJECTS)
    back(world, *VMS)
    world.finish(operations, **policy)
    assert running(world) == []
    assert world.patched() == []
    assert not any("powerState" in manifest.spec for manifest in world.cluster.list(VIRTUAL_MACHINE_GROUP, "shop"))


def test_on_powers_the_tree_through_its_root_and_the_others_by_their_own(world: World) -> None:
    operations = lost(world, *VMS, *OBJECTS)
    back(world, *VMS)
    last = world.finish(operations, **with_policy(power="on"))
    assert running(world) == ["alone", "db-1", "idle", "web-1", "web-2"]
    assert sorted(world.patched()) == ["VirtualMachine shop/alone", "VirtualMachine shop/idle", ROOT]
    assert {progress.error for progress in last.values()} == {""}
    descriptions = "\n".join(progress.description for progress in last.values())
    assert "endpoints: web-1, web-2" in descriptions
    assert "to go on" not in descriptions


def test_captured_powers_what_ran(world: World) -> None:
    operations = lost(world, *VMS, *OBJECTS)
    back(world, *VMS)
    world.finish(operations, **with_policy(power="captured"))
    assert running(world) == ["alone", "db-1", "web-1", "web-2"]  # a group speaks for all its members
    assert sorted(world.patched()) == ["VirtualMachine shop/alone", ROOT]


def test_captured_leaves_a_tree_that_was_off(world: World) -> None:
    tree = [
        group("app", ["/db"], powerState="PoweredOff"),
        group("db", ["db-1"], parent="app", powerState="PoweredOff"),
    ]
    operations = lost(world, vm("db-1", group="db"), *tree)
    back(world, VMS[0])
    world.finish(operations, **with_policy(power="captured"))
    assert (running(world), world.patched()) == ([], [])


def test_nothing_is_asked_before_every_member_of_the_tree_is_linked(world: World) -> None:
    operations = lost(world, *VMS[:3], *OBJECTS[:4])
    back(world, *VMS[:2])
    for _ in range(5):
        polled = world.round(operations, **with_policy(power="on"))
        assert running(world) == []
    assert "web-2: not registered yet" in polled[operations[2]].description
    assert "powered through its group app" in polled[operations[1]].description
    back(world, VMS[2])
    before = len(world.writes())
    world.finish(operations, **with_policy(power="on"))
    assert world.writes()[before:] == [
        ("create", "VirtualMachineGroup shop/web"),
        ("create", "VirtualMachineService shop/front"),
        ("patch", ROOT),
    ]


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("uid", ["new", None], ids=["registered anew", "never lost"])
def test_a_restart_powers_no_child_by_itself(world: World, at: int, order: int, uid: str | None) -> None:
    operations = lost(world, *VMS[:3], *OBJECTS[:4])[::order]
    for member in VMS[:3]:
        labels, of = member["metadata"]["labels"], member["spec"]["groupName"]
        world.cluster.seed(vm(member["metadata"]["name"], labels=labels, group=of, uid=uid))
    done: set[str] = set()
    for number in range(16):
        if number == at:
            world.restart()
        polled = world.round(
            [operation for operation in operations if operation not in done], **with_policy(power="on")
        )
        done |= {name for name, progress in polled.items() if progress.completed}
    assert done == set(operations)
    assert world.patched() == [ROOT]
    assert running(world) == ["db-1", "web-1", "web-2"]


def test_while_the_capture_of_the_root_cannot_be_read_no_other_group_is_powered(world: World) -> None:
    operations = lost(world, *VMS[:3], *OBJECTS[:4])
    back(world, *VMS[:3])
    for _ in range(2):
        world.round(operations, **with_policy())
    assert len(world.created()) == 4
    world.restart()
    world.store.calls.fail("get", Unavailable("s3 is away"), on="virtualmachinegroups/shop/app")
    for _ in range(5):
        world.round(operations, **with_policy(power="on"))
    assert world.patched() == []
    world.store.calls.heal()
    world.finish(operations, **with_policy(power="on"))
    assert world.patched() == [ROOT]


def test_the_children_of_a_root_that_does_not_come_are_their_own_roots(world: World) -> None:
    operations = lost(world, *VMS[:3], *OBJECTS[:4])
    (key,) = (key for key in world.store.list("captures/") if key.endswith("virtualmachinegroups/shop/app.json"))
    world.store.tamper(key, b"rotten")
    back(world, *VMS[:3])
    last = world.finish(operations, **with_policy(power="on"))
    assert sorted(world.patched()) == ["VirtualMachineGroup shop/db", "VirtualMachineGroup shop/web"]
    assert [bool(progress.error) for progress in (last[operation] for operation in operations)] == [
        True,
        False,
        False,
        False,
    ]


def test_a_root_that_is_left_as_it_is_is_not_powered_and_its_children_are(world: World) -> None:
    operations = lost(world, *VMS[:3], *OBJECTS[:4])
    world.cluster.seed(group("app", ["/web"], ["/db"]))
    back(world, *VMS[:3])
    last = world.finish(operations, **with_policy(power="on"))
    assert sorted(world.patched()) == ["VirtualMachineGroup shop/db", "VirtualMachineGroup shop/web"]
    assert last[operations[0]].description.startswith("retained")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_member_that_was_missing_at_backup_holds_no_power_at_any_depth(world: World, *, restarts: bool) -> None:
    objects = [group("app", ["/db"]), group("db", ["db-1", "db-9"], parent="app")]
    operations = lost(world, VMS[0], *objects)
    back(world, VMS[0])
    for _ in range(3):
        world.round(operations, **with_policy(power="on"))
    if restarts:
        world.restart()
    world.finish(operations, **with_policy(power="on"))
    assert world.patched() == [ROOT]


def test_a_vm_without_a_backup_is_left_alone_whatever_its_labels(world: World) -> None:
    operations = lost(world, VMS[3], OBJECTS[4])
    back(world, VMS[3])
    world.cluster.seed(vm("stranger", labels={"app": "alone"}))
    world.finish(operations, **with_policy(power="on"))
    assert running(world) == ["alone"]


def test_a_group_in_place_that_says_on_already_is_asked_once_to_apply_it(world: World) -> None:
    tier = group(
        "tier", ["web-1"], powerState="PoweredOn", meta={"annotations": {power.SET_AT: "2026-01-01T00:00:00Z"}}
    )
    items = world.back_up(vm("web-1", group="tier", **RAN), tier)
    world.cluster.seed(
        {**tier, "status": {"lastUpdatedPowerStateTime": "2026-01-01T00:00:00Z"}},
        vm("web-1", group="tier", meta={"annotations": {"vmoperator.vmware.com/restored-vm": ""}}),
    )
    world.finish(world.replay_all(items), **with_policy(power="captured"))
    assert world.writes() == [("patch", "VirtualMachineGroup shop/tier")]
    assert running(world) == ["web-1"]
    live = world.live("VirtualMachineGroup", "tier")
    assert (live.spec["powerState"], live.spec["nextForcePowerStateSyncTime"][:4]) == ("PoweredOn", "2026")


def test_a_tree_in_place_that_says_on_already_is_asked_group_by_group_in_boot_order(world: World) -> None:
    """VM Operator's member groups do nothing with a state that they have (shouldUpdatePowerState)."""
    noted = {"annotations": {power.SET_AT: "2026-01-01T00:00:00Z"}}
    tree = [
        group("app", ["/web"], ["/db"], meta=noted, powerState="PoweredOn"),
        group("db", ["db-1"], parent="app", meta=noted, powerState="PoweredOn"),
        group("web", ["web-1"], parent="app", meta=noted, powerState="PoweredOn"),
    ]
    items = world.back_up(*VMS[:2], *tree)
    world.cluster.seed(
        *({**manifest, "status": {"lastUpdatedPowerStateTime": "2026-01-01T00:00:00Z"}} for manifest in tree)
    )
    back(world, *VMS[:2])
    world.vm_operator()
    last = world.finish(world.replay_all(items), **with_policy(power="on"))
    assert {progress.error for progress in last.values()} == {""}
    assert world.patched() == ["VirtualMachineGroup shop/web", "VirtualMachineGroup shop/db"]
    assert running(world) == ["db-1", "web-1"]


def test_a_vm_that_is_held_back_is_reported_and_not_waited_for(world: World) -> None:
    operations = lost(world, VMS[3], OBJECTS[4])
    check = {"annotations": {f"{power.CHECK}licence": "wait"}}
    world.cluster.seed(vm("alone", labels={"app": "alone"}, uid="new", meta=check))
    (last,) = world.finish(operations, **with_policy(power="on")).values()
    assert "alone is held back by poweron.check.vmoperator.vmware.com/licence" in last.description
    assert (world.patched(), running(world)) == ([], [])


def test_a_power_state_that_is_refused_is_reported_and_asked_again(world: World) -> None:
    operations = lost(world, VMS[3], OBJECTS[4])
    back(world, VMS[3])
    world.cluster.calls.fail("patch", Rejected("quota is used up"), times=3)
    for _ in range(3):
        polled = world.round(operations, **with_policy(power="on"))
    assert "VirtualMachine shop/alone cannot be powered on: quota is used up" in polled[operations[0]].description
    world.finish(operations, **with_policy(power="on"))
    assert running(world) == ["alone"]


def test_the_same_restore_again_writes_nothing(world: World) -> None:
    items = world.back_up(*VMS, *OBJECTS)
    world.lose(*VMS, *OBJECTS)
    operations = world.replay_all(items)
    back(world, *VMS)
    world.finish(operations, **with_policy(power="on"))
    before = world.writes()
    again: dict[str, Any] = {"name": "second", **with_policy(power="on")}
    world.clock.advance(3600)
    world.finish(world.replay_all(items, **again), **again)
    assert world.writes() == before


def test_settings_can_ask_for_power_and_a_restore_can_take_it_back() -> None:
    for policy, want in (({}, ["alone"]), (with_policy(power="leave"), [])):
        world = World(restore=RestorePolicy(power="on"))
        operations = lost(world, VMS[3], OBJECTS[4])
        back(world, VMS[3])
        world.finish(operations, **policy)
        assert running(world) == want


def test_vms_that_were_off_and_run_with_their_group_are_named(world: World) -> None:
    operations = lost(world, *VMS, *OBJECTS)
    back(world, *VMS)
    captured = with_policy(power="captured")
    ended = world.finish(operations, **captured)
    assert "web-2" in running(world)
    descriptions = [progress.description for progress in ended.values() if "was off at backup" in progress.description]
    assert len(descriptions) == 1
    assert "web-2 was off at backup and is powered on all the same" in descriptions[0]
    assert "of the group app" in descriptions[0]
    report = world.document(next(key for key in world.store.list("restores/") if key.endswith("report.json")))
    assert any("web-2 was off at backup" in warning for warning in report["warnings"])


def test_no_vm_is_named_where_none_is_started(world: World) -> None:
    operations = lost(world, *VMS, *OBJECTS)
    back(world, *VMS)
    assert not any("was off at backup" in progress.description for progress in world.finish(operations).values())
