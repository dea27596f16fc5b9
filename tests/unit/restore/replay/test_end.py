"""How a replay ends: stored results, Events, cancelling."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import restore, service, vm, vsphere_namespace
from tests.unit.world import CAPTURES, World
from velero_vmservice.errors import Unavailable
from velero_vmservice.report.html import page

if TYPE_CHECKING:
    from velero_vmservice.report.model import Report

WEB = {"app": "web"}
VM = vm("web-1", labels=WEB)
FRONT = service("front", WEB)
RESULT = "restores/again/20260301T120000Z/virtualmachineservices/shop/front.json"


@pytest.fixture(name="operations")
def _operations(world: World) -> list[str]:
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    return world.replay_all(items)


def back(world: World) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))


def cancel(world: World, operation: str) -> None:
    world.app.actions.restore["replay"].cancel(operation, restore())


def events(world: World) -> list[tuple[str, bool]]:
    return [(event.reason, event.warning) for event in world.cluster.events]


def test_the_result_is_stored_with_its_course(world: World, operations: list[str]) -> None:
    world.round(operations)
    back(world)
    world.finish(operations)
    result = world.document(RESULT)
    assert (result["stage"], result["kind"], result["namespace"], result["name"]) == (
        "verified",
        "VirtualMachineService",
        "shop",
        "front",
    )
    assert (result["restore"], result["backup"]) == ("again", "nightly")
    assert result["capture"].startswith(CAPTURES)
    course = [text for _, text in result["timeline"]]
    assert course[0] == "waiting: web-1: not registered yet"
    assert course[-1].startswith("verified")
    assert not any(before == after for before, after in itertools.pairwise(course))


def test_an_operation_is_not_over_before_its_result_is_stored(world: World, operations: list[str]) -> None:
    back(world)
    world.store.calls.fail("put", Unavailable("s3 is away"))
    for _ in range(6):
        progress = world.round(operations)[operations[0]]
        assert (progress.completed, progress.error) == (False, "")
    assert progress.description.count("the result is not stored yet: s3 is away") == 1
    world.store.calls.heal()
    (last,) = world.finish(operations).values()
    assert "not stored" not in last.description
    assert "not stored" not in str(world.document(RESULT))
    assert world.created() == ["VirtualMachineService shop/front"]


def test_a_result_is_written_once(world: World, operations: list[str]) -> None:
    back(world)
    world.finish(operations)
    body = world.store.get(RESULT)
    world.clock.advance(60)
    world.restart()
    assert world.finish(operations)[operations[0]].completed
    assert world.store.get(RESULT) == body
    assert world.created() == ["VirtualMachineService shop/front"]


def test_the_restores_events_follow_its_course(world: World, operations: list[str]) -> None:
    for _ in range(3):
        world.round(operations)
    back(world)
    world.finish(operations)
    assert events(world) == [("Waiting", False), ("Verified", False), ("Reported", False)]
    first, last, report = world.cluster.events
    assert "plugins/vmservice/restores/again/20260301T120000Z/report.html" in report.message
    assert "web-1: not registered yet" in first.message
    assert "VirtualMachineService shop/front" in last.message
    assert (str(last.about), last.uid) == ("Restore velero/again", "uid-of-again")


def test_a_bad_end_is_a_warning_event(world: World, operations: list[str]) -> None:
    world.cluster.seed(service("front", {"app": "other"}))
    back(world)
    world.finish(operations)
    assert ("Retained", True) in events(world)


def test_an_event_that_cannot_be_recorded_disturbs_no_object(world: World, operations: list[str]) -> None:
    world.cluster.calls.fail("event", Unavailable("away"))
    back(world)
    world.finish(operations)


def test_cancel_says_what_it_was_waiting_for_and_how_to_go_on(world: World, operations: list[str]) -> None:
    world.round(operations)
    cancel(world, operations[0])
    progress = world.poll(operations[0])
    assert progress.completed
    assert "web-1: not registered yet" in progress.error
    assert "itemOperationTimeout" in progress.error
    assert "Repeat the restore" in progress.error
    assert world.document(RESULT)["stage"] == "cancelled"
    assert ("Cancelled", True) in events(world)


def test_nothing_is_created_after_cancel(world: World, operations: list[str]) -> None:
    world.round(operations)
    cancel(world, operations[0])
    back(world)
    for _ in range(3):
        world.round(operations)
    assert world.created() == []


def test_cancel_can_be_repeated_and_comes_after_a_restart_too(world: World, operations: list[str]) -> None:
    world.round(operations)
    world.restart()
    cancel(world, operations[0])
    body = world.store.get(RESULT)
    cancel(world, operations[0])
    assert world.store.get(RESULT) == body


def test_cancel_leaves_a_finished_operation_as_it_ended(world: World, operations: list[str]) -> None:
    back(world)
    world.finish(operations)
    cancel(world, operations[0])
    assert world.poll(operations[0]).error == ""
    assert world.document(RESULT)["stage"] == "verified"


def test_cancel_while_the_store_is_away_does_not_fail(world: World, operations: list[str]) -> None:
    world.store.calls.fail("put", Unavailable("away"))
    cancel(world, operations[0])


def test_repeating_the_restore_goes_on(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    first = world.replay_all(items)
    world.round(first)
    cancel(world, first[0])
    back(world)
    second = world.replay_all(items, name="second")
    world.finish(second, name="second")
    assert world.created() == ["VirtualMachineService shop/front"]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_restore_repeated_after_it_half_ended_changes_nothing_that_is_there(world: World, stop: int) -> None:
    items: list[dict[str, Any]] = world.back_up(VM, FRONT)
    world.lose(FRONT)
    operations = world.replay_all(items)
    for _ in range(stop):
        world.round(operations)
    uid = world.live("VirtualMachineService", "front").uid
    again = world.replay_all(items, name="second")
    world.finish(again, name="second")
    assert world.live("VirtualMachineService", "front").uid == uid


def test_a_page_that_cannot_be_drawn_does_not_keep_the_restore_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(report: Report) -> str:
        raise KeyError(report.restore)

    monkeypatch.setattr(page, "render", broken)
    world = World()
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    operations = world.replay_all(items)
    back(world)

    world.finish(operations)

    reports = RESULT.partition("virtualmachineservices")[0]
    assert world.document(f"{reports}report.json")["outcome"] == "verified"
    assert b"Read report.json" in world.store.get(f"{reports}report.html")


def test_both_objects_that_are_mapped_into_one_are_reported(world: World) -> None:
    world.cluster.seed(vsphere_namespace("blue"), vsphere_namespace("green"))
    blue, green = (service("front", meta={"namespace": name}) for name in ("blue", "green"))
    items = world.back_up(blue, green)
    mapped = {"namespaceMapping": {"blue": "shop", "green": "shop"}}
    world.finish(world.replay_all(items, **mapped), **mapped)
    report = world.document("restores/again/20260301T120000Z/report.json")
    assert report["outcome"] == "mixed"
    assert {(result["source_namespace"], result["stage"]) for result in report["objects"]} == {
        ("blue", "verified"),
        ("green", "failed"),
    }
    stored = [key for key in world.store.list("restores/") if "virtualmachineservices" in key]
    assert len(stored) == 2


def test_the_report_costs_no_request_for_each_object(world: World) -> None:
    objects = [service(f"front-{number}") for number in range(20)]
    items = world.back_up(*objects)
    world.lose(*objects)
    operations = world.replay_all(items)
    world.round(operations)
    world.store.calls.made.clear()
    world.finish(operations)
    assert world.store.calls.counts["get"] == 1  # the seal, which has what the backup left out
