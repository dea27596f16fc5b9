"""Whoever ends the last operation makes the report, over restarts, Cancel and a second process beside the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import restore, service, vm
from velero_vmservice.errors import Unavailable

WEB = {"app": "web"}
PREFIX = "restores/again/20260301T120000Z/"
REPORT, PAGE = f"{PREFIX}report.json", f"{PREFIX}report.html"
NAMES = ("a", "b", "c")

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.app import App


@pytest.fixture(name="waiting")
def _waiting(world: World) -> list[str]:
    """Three services that wait for their VM."""
    items = world.back_up(vm("web-1", labels=WEB), *(service(name, WEB) for name in NAMES))
    world.lose(vm("web-1"), *(service(name) for name in NAMES))
    return world.replay_all(items)


def cancel(world: World, operation: str) -> None:
    world.app.actions.restore["replay"].cancel(operation, restore())


def stages(world: World) -> dict[str, str]:
    return {result["name"]: result["stage"] for result in world.document(REPORT)["objects"]}


def result(world: World, name: str) -> dict[str, Any]:
    return world.document(f"{PREFIX}virtualmachineservices/shop/{name}.json")


@pytest.mark.parametrize("polled", [True, False], ids=["polled before", "the first call"])
@pytest.mark.parametrize("restarts", [1, 3], ids=["one restart", "a restart before each"])
def test_cancel_after_a_restart_leaves_results_and_a_report_of_all(
    world: World,
    waiting: list[str],
    polled: bool,  # noqa: FBT001 - a table
    restarts: int,
) -> None:
    world.round(waiting)
    for number, operation in enumerate(waiting):
        if number < restarts:
            world.restart()
        if polled:
            world.poll(operation)
        cancel(world, operation)
        assert len(stages(world)) == number + 1
    assert stages(world) == dict.fromkeys(NAMES, "cancelled")
    assert all("web-1: not registered yet" in result(world, name)["reason"] for name in NAMES)
    (machine,) = world.document(REPORT)["machines"]
    assert (machine["name"], machine["waiting_for"]) == ("web-1", "not registered yet")
    (step,) = world.document(REPORT)["steps"]
    assert all(f"shop/{name} (cancelled)" in step["words"] for name in NAMES)
    assert world.created() == []


def test_cancel_after_a_restart_does_not_take_back_what_was_ended(world: World, waiting: list[str]) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    world.finish(waiting)
    before = world.store.get(REPORT), world.store.get(PAGE)
    for operation in waiting:
        world.restart()
        cancel(world, operation)
    assert (world.store.get(REPORT), world.store.get(PAGE)) == before
    assert stages(world) == dict.fromkeys(NAMES, "verified")


def test_cancel_says_that_an_earlier_process_had_replayed_it(world: World, waiting: list[str]) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    for _ in range(2):
        world.clock.advance(10)
        for operation in waiting:
            world.poll(operation)
    world.restart()
    cancel(world, waiting[0])
    assert (result(world, "a")["stage"], result(world, "a")["replayed"]) == ("cancelled", True)


def test_a_vm_that_cannot_be_looked_at_is_not_reported_missing(world: World, waiting: list[str]) -> None:
    world.restart()
    world.cluster.calls.fail("list", Unavailable("the API server is away"))
    cancel(world, waiting[0])
    assert (result(world, "a")["stage"], result(world, "a")["machines"]) == ("cancelled", [])


def test_a_result_that_could_not_be_stored_at_one_cancel_is_stored_at_the_next(
    world: World, waiting: list[str]
) -> None:
    world.round(waiting)
    world.store.calls.fail("put", Unavailable("s3 is away"), times=1)
    for operation in waiting:
        cancel(world, operation)
    assert stages(world) == dict.fromkeys(NAMES, "cancelled")


def beside(world: World) -> App:
    """Return another process, which has heard of nothing yet."""
    return world.start()


@pytest.mark.parametrize("order", [1, -1])
def test_the_process_that_sees_the_last_end_makes_the_report(world: World, waiting: list[str], order: int) -> None:
    """Velero asks no process again for what another one has told the end of."""
    first, other = world.app, beside(world)
    for app in (first, other, other):
        world.app = app
        world.round(waiting)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    polls = [(first, waiting[:1]), (other, waiting[1:])][::order]
    for app, operations in polls:
        world.app = app
        world.finish(operations)
    assert stages(world) == dict.fromkeys(NAMES, "verified")
    assert world.store.exists(PAGE)
    assert [event.reason for event in world.cluster.events].count("Reported") == 1


def test_a_report_that_lacks_what_another_process_has_ended_is_made_again(world: World, waiting: list[str]) -> None:
    first, other = world.app, beside(world)
    world.round(waiting)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    world.app = other  # it is asked for one object alone, and takes it for all
    world.finish(waiting[:1])
    assert stages(world) == {"a": "verified"}
    world.app = first
    world.finish(waiting[1:])
    assert stages(world) == dict.fromkeys(NAMES, "verified")
    assert all(name in world.store.get(PAGE).decode() for name in NAMES)


def test_a_process_that_dies_before_the_page_leaves_it_to_the_next(world: World, waiting: list[str]) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    world.store.calls.fail("put", Unavailable("s3 is away"), on=PAGE)
    for _ in range(4):
        world.round(waiting)
    assert (world.store.exists(REPORT), world.store.exists(PAGE)) == (True, False)
    world.store.calls.heal()
    world.restart()
    world.finish(waiting[2:])
    assert world.store.exists(PAGE)
    assert stages(world) == dict.fromkeys(NAMES, "verified")
