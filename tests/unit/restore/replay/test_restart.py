"""A process that has just begun learns its operations one by one: before all are known none ends or is powered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.unit.builders import group, obj, service, vm, with_policy
from velero_vmservice.errors import Unavailable

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
REPORT = "restores/again/20260301T120000Z/report.json"


def test_a_root_is_not_verified_before_the_child_that_this_restore_still_replays(world: World) -> None:
    objects = [group("root", ["/tier"]), group("tier", ["web-1"], parent="root"), vm("web-1", group="tier")]
    items = world.back_up(*objects)
    world.lose(*objects)
    operations = world.replay_all(items)
    for _ in range(2):
        world.round(operations)
    assert world.created() == ["VirtualMachineGroup shop/root"]
    world.restart()
    for _ in range(2):
        polled = world.round(operations)
        assert not polled[operations[0]].completed, polled[operations[0]].description
    world.cluster.seed(vm("web-1", group="tier", uid="new"))
    last = world.finish(operations)
    assert "no member" not in last[operations[0]].description


def test_a_child_is_not_powered_past_its_root(world: World) -> None:
    power = with_policy(power="on")
    objects = [group("a-tier", ["web-1"], parent="root"), group("root", ["/a-tier"], ["db-1"])]
    machines = [vm("web-1", group="a-tier"), vm("db-1", group="root")]
    items = world.back_up(*machines, *objects)
    world.lose(*objects)
    operations = world.replay_all(items, **power)
    world.round(operations, **power)
    world.restart()
    world.finish(operations, **power)
    assert world.patched() == ["VirtualMachineGroup shop/root"]


def test_the_report_is_written_though_all_that_was_left_ends_at_the_first_poll(world: World) -> None:
    objects = [group("one", []), group("two", [])]
    items = world.back_up(*objects)
    world.lose(*objects)
    operations = world.replay_all(items)
    world.round(operations)
    world.restart()
    world.finish(operations)
    assert world.document(REPORT)["outcome"] == "verified"


def test_the_report_names_what_an_earlier_process_has_ended(world: World) -> None:
    objects = [service("one"), service("two", WEB), vm("web-1", labels=WEB)]
    items = world.back_up(*objects)
    world.lose(*objects)
    first, two = world.replay_all(items)
    for _ in range(3):
        polled = world.round([first, two])
    assert polled[first].completed
    world.restart()
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    world.finish([two])
    assert [result["name"] for result in world.document(REPORT)["objects"]] == ["one", "two"]


def test_an_object_replayed_in_time_does_not_miss_the_deadline_of_registration_later(world: World) -> None:
    within = with_policy(registered_within="1h")
    items = world.back_up(vm("web-1", labels=WEB), service("front", WEB))
    world.lose(vm("web-1"), service("front"))
    operations = world.replay_all(items, **within)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    for _ in range(2):
        world.round(operations, **within)
    assert world.created() == ["VirtualMachineService shop/front"]
    world.clock.advance(timedelta(hours=2).total_seconds())
    world.restart()
    assert world.finish(operations, **within)[operations[0]].error == ""


def test_a_users_own_service_stays_though_the_capture_was_read_after_the_look(world: World) -> None:
    """VM Operator would take the Service over: what stands in the way has to be looked for before anything is made."""
    items = world.back_up(service("front", WEB), service("back", {"app": "db"}))
    world.lose(service("front"), service("back"))
    world.cluster.seed(obj("Service", "front", api="v1", spec={"type": "ClusterIP"}))
    operations = world.replay_all(items)
    world.store.calls.fail("get", Unavailable("away"), on="front")
    world.cluster.calls.before("list", lambda _: world.clock.advance(0.4))
    world.poll(operations[0])
    world.store.calls.heal()
    world.clock.advance(3)
    for _ in range(4):
        for operation in operations:
            last = world.poll(operation)
        world.clock.advance(1)
    for _ in range(3):
        last = world.round(operations)[operations[1]]
    assert world.created() == ["VirtualMachineService shop/back"]
    assert "is not VM Operator's" in last.error
