"""A group is judged with all that is below it, and an application is powered on once all of it has ended whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, restore, service, vm, with_policy
from velero_vmservice.errors import Rejected
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

REPORT = "restores/again/20260301T120000Z/report.json"
RAN = {"power": "PoweredOn"}
VMS = [
    vm("db-1", group="db", labels={"app": "db"}, **RAN),
    vm("web-1", group="web", labels={"app": "web"}, **RAN),
    vm("web-2", group="web", labels={"app": "web"}, **RAN),
]
OBJECTS = [
    group("app", ["/tiers"]),
    group("tiers", ["/db"], ["/web"], parent="app"),
    group("db", ["db-1"], parent="tiers"),
    group("web", ["web-1", "web-2"], parent="tiers"),
    service("front", {"app": "web"}),
    service("store", {"app": "db"}),
]
ROOT = """kubectl -n shop patch virtualmachinegroup app --type merge -p '{"spec":{"powerState":"PoweredOn"}}'"""
APP, DB, TIERS, WEB = range(4)
"""Positions of the groups among the operations: the items come sorted by kind and name."""


@pytest.fixture(name="operations")
def _operations(world: World) -> list[str]:
    items = world.back_up(*VMS, *OBJECTS)
    assert [item["metadata"]["name"] for item in items[:4]] == ["app", "db", "tiers", "web"]
    world.lose(*VMS, *OBJECTS)
    return world.replay_all(items)


def back(world: World, *machines: dict[str, Any], **changed: Any) -> None:
    """Bring VMs as RegisterVM does: a new UID, powered off, with its mark."""
    mark = {"annotations": {"vmoperator.vmware.com/restored-vm": ""}}
    for manifest in machines:
        known = {"labels": manifest["metadata"]["labels"], "group": manifest["spec"]["groupName"], **changed}
        world.cluster.seed(vm(manifest["metadata"]["name"], uid="new", meta=mark, **known))


def described(last: Iterable[Progress]) -> str:
    return "\n".join(progress.description for progress in last)


def commands(world: World) -> list[str]:
    lines = [line for step in world.document(REPORT)["steps"] for line in step["commands"]]
    return [line for line in lines if line.startswith("kubectl ")]


def stages(world: World) -> dict[str, str]:
    return {result["name"]: result["stage"] for result in world.document(REPORT)["objects"]}


def test_no_vm_is_named_alone_though_it_was_there_before_its_group(world: World, operations: list[str]) -> None:
    back(world, VMS[2])
    for _ in range(4):
        polled = world.round(operations)
        assert not any(progress.completed for progress in polled.values())
        assert "kubectl" not in described(polled.values())
    back(world, *VMS[:2])
    last = world.finish(operations)
    assert described(last.values()).count("kubectl") == 1
    assert last[operations[APP]].description.count(ROOT) == 1
    assert commands(world) == [ROOT]
    assert set(stages(world).values()) == {"verified"}


def test_a_service_that_ends_before_the_groups_gives_no_command(world: World, operations: list[str]) -> None:
    back(world, VMS[0])  # its groups wait for no other VM; the tree is not whole
    for _ in range(6):
        polled = world.round(operations)
    assert polled[operations[DB]].completed
    assert polled[operations[5]].completed
    assert "kubectl" not in described(polled.values())
    assert "VirtualMachineGroup tiers is not verified yet" in polled[operations[APP]].description
    back(world, *VMS[1:])
    world.finish([operation for operation in operations if not polled[operation].completed])
    assert commands(world) == [ROOT]


def test_a_clean_restore_has_no_warning(world: World, operations: list[str]) -> None:
    world.cluster.serve(VIRTUAL_MACHINE_GROUP, "v1alpha6")
    back(world, *VMS)
    world.finish(operations)
    report = world.document(REPORT)
    assert report["warnings"] == []
    assert [note.partition(":")[0] for note in report["notes"]] == ["replayed at v1alpha6"]
    assert [event.message for event in world.cluster.events if event.warning] == []


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("below", [DB, WEB])
def test_a_group_whose_member_failed_is_incomplete_up_to_the_root(
    world: World, operations: list[str], below: int, *, restarts: bool
) -> None:
    name = {DB: "db", WEB: "web"}[below]
    world.cluster.calls.fail("create", Rejected("no quota"), on=f"VirtualMachineGroup shop/{name}")
    back(world, *(manifest for manifest in VMS if manifest["spec"]["groupName"] == name))
    ended: dict[str, Progress] = {}
    for _ in range(4):
        ended |= {operation: progress for operation, progress in world.round(operations).items() if progress.completed}
    assert "no quota" in ended[operations[below]].error
    if restarts:
        world.restart()
    back(world, *VMS)
    last = ended | world.finish([operation for operation in operations if operation not in ended])
    assert last[operations[TIERS]].description.startswith(f"incomplete: VirtualMachineGroup {name} failed")
    assert last[operations[APP]].description.startswith("incomplete: VirtualMachineGroup tiers is incomplete")
    assert (last[operations[APP]].error, last[operations[TIERS]].error) == ("", "")
    assert "kubectl" not in described(last.values())
    assert commands(world) == []
    report = world.document(REPORT)
    assert report["outcome"] == "mixed"
    assert "would start without what is missing" in report["next_steps"][-1]
    about = [event.message for event in world.cluster.events if event.warning]
    assert [warning for warning in about if "shop/app: incomplete" in warning]


def test_a_group_ends_though_a_member_never_links(world: World, operations: list[str]) -> None:
    """The member's own deadline ends it, and with it all that waits for it."""
    within = with_policy(verified_within="1m")
    back(world, *VMS)
    ended: dict[str, Progress] = {}
    for _ in range(20):
        ended |= {
            operation: progress
            for operation, progress in world.round(
                [operation for operation in operations if operation not in ended], **within
            ).items()
            if progress.completed
        }
        for number in range(2):
            lost = world.live("VirtualMachine", f"web-{number + 1}").editable()
            lost["metadata"]["ownerReferences"] = []
            world.cluster.seed(lost)
    assert set(ended) == set(operations)
    assert "verified-within=1m is over" in ended[operations[WEB]].error
    assert ended[operations[APP]].description.startswith("incomplete: VirtualMachineGroup tiers is incomplete")


def test_a_root_outlasts_its_own_deadline_while_its_members_are_still_to_come(
    world: World, operations: list[str]
) -> None:
    within = with_policy(verified_within="1m")
    back(world, VMS[0])
    for _ in range(20):
        world.round(operations, **within)
    back(world, *VMS[1:])
    last = world.finish(operations, **within)
    assert {progress.error for progress in last.values()} == {""}
    assert set(stages(world).values()) == {"verified"}


@pytest.mark.parametrize(
    ("timed_out", "stage", "why"),
    [
        ((TIERS, WEB), "cancelled", "VirtualMachineGroup web is still to be replayed"),
        ((WEB, TIERS), "incomplete", "VirtualMachineGroup web was cancelled"),
    ],
)
def test_a_group_ends_by_itself_where_velero_gives_its_member_up_first(
    world: World, operations: list[str], timed_out: tuple[int, int], stage: str, why: str
) -> None:
    back(world, *VMS[:2])
    for _ in range(4):
        world.round(operations)
    for position in timed_out:  # one is given up at the end of a round, the other in the next
        if not world.round(operations)[operations[position]].completed:
            world.app.actions.restore["replay"].cancel(operations[position], restore())

    ended = world.poll(operations[TIERS])

    assert ended.completed
    assert why in ended.description + ended.error
    ref = "restores/again/20260301T120000Z/virtualmachinegroups/shop/tiers.json"
    assert world.document(ref)["stage"] == stage
    assert not any(created.endswith("/web") for created in world.created())


def test_a_vm_that_came_back_without_its_group_leaves_the_tree_incomplete(world: World, operations: list[str]) -> None:
    back(world, *VMS[:2])
    back(world, VMS[2], group="")
    last = world.finish(operations)
    assert last[operations[WEB]].description.startswith("incomplete: VirtualMachine web-2 is not a member now")
    assert last[operations[APP]].description.startswith("incomplete")
    assert {progress.error for progress in last.values()} == {""}
    assert (commands(world), world.document(REPORT)["outcome"]) == ([], "incomplete")


def test_a_vm_that_came_back_without_its_label_leaves_the_service_incomplete(
    world: World, operations: list[str]
) -> None:
    back(world, *VMS[:2])
    back(world, VMS[2], labels={})
    last = world.finish(operations)
    assert last[operations[4]].description.startswith("incomplete: VirtualMachine web-2 is not selected now")
    assert commands(world) == [ROOT]  # the groups are whole: the boot order holds


def test_a_stored_failure_is_not_verified_by_the_next_process(world: World, operations: list[str]) -> None:
    world.cluster.calls.fail("create", Rejected("no quota"), on="VirtualMachineGroup shop/db")
    back(world, *VMS)
    for _ in range(4):
        world.round(operations)
    world.cluster.calls.heal()
    world.restart()  # before Velero has heard of the end
    last = world.finish(operations)
    assert "no quota" in last[operations[DB]].error
    assert not world.exists("VirtualMachineGroup", "db")
    assert stages(world)["db"] == "failed"
    assert stages(world)["app"] == "incomplete"


def test_a_parent_that_was_replaced_by_hand_is_judged_by_what_is_there(world: World) -> None:
    """Only the child is of this restore; the parent is there and lists it."""
    items = world.back_up(VMS[0], OBJECTS[1], OBJECTS[2])
    world.lose(VMS[0], OBJECTS[2])
    operations = world.replay_all(items[:1])
    back(world, VMS[0])
    world.finish(operations)
    assert world.live("VirtualMachineGroup", "tiers").name == "tiers"
    assert commands(world) == [ROOT.replace("group app", "group tiers")]
    assert ObjectRef(VIRTUAL_MACHINE_GROUP, "shop", "app").name not in stages(world)


def test_a_vm_that_the_collector_took_says_so_when_the_restore_ends(world: World, operations: list[str]) -> None:
    """It was there for less than a look, or for one: no owner of its record is there any more."""
    dead = {"apiVersion": "vmoperator.vmware.com/v1alpha5", "kind": "VirtualMachineGroup", "name": "db", "uid": "lost"}
    world.round(operations)
    world.cluster.seed(vm("db-1", group="db", labels={"app": "db"}, uid="new", meta={"ownerReferences": [dead]}))
    world.round(operations)
    world.lose(VMS[0])
    for _ in range(3):
        polled = world.round(operations)
    assert "db-1: was registered and is gone: its only owner was the lost VirtualMachineGroup db" in (
        polled[operations[DB]].description
    )
    assert "web-1: not registered yet" in polled[operations[WEB]].description
    world.app.actions.restore["replay"].cancel(operations[WEB], restore())
    ended = world.poll(operations[WEB]).error
    assert "See whether RegisterVM has succeeded for a VM of group web that is not there" in ended


@pytest.mark.parametrize("power", ["on", "captured"])
def test_a_group_that_has_lost_a_member_ends_incomplete_and_is_not_powered(
    world: World, operations: list[str], power: str
) -> None:
    asks = with_policy(power=power)
    world.cluster.calls.fail("create", Rejected("no quota"), on="VirtualMachineGroup shop/db")
    back(world, *VMS)
    last = world.finish(operations, **asks)
    assert last[operations[TIERS]].description.startswith("incomplete: VirtualMachineGroup db failed")
    assert last[operations[APP]].description.startswith("incomplete: VirtualMachineGroup tiers is incomplete")
    assert stages(world)["web"] == "verified"
    for name in ("app", "tiers"):
        assert "powerState" not in world.live("VirtualMachineGroup", name).spec


def test_a_group_below_one_that_an_earlier_process_left_incomplete_is_not_powered(
    world: World, operations: list[str]
) -> None:
    asks = with_policy(power="on")
    world.cluster.calls.fail("create", Rejected("no quota"), on="VirtualMachineGroup shop/db")
    back(world, *VMS)
    ended: dict[str, Progress] = {}
    while operations[APP] not in ended:
        ended |= {
            operation: progress for operation, progress in world.round(operations, **asks).items() if progress.completed
        }
    assert ended[operations[APP]].description.startswith("incomplete")
    assert operations[WEB] not in ended
    world.restart()
    last = world.finish([operation for operation in operations if operation not in ended], **asks)
    assert "left off with the group app, which is incomplete" in last[operations[WEB]].description
    assert "powerState" not in world.live("VirtualMachineGroup", "web").spec
