"""What the API server has against an object is told while its VMs are still waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import service, vm, with_policy
from velero_vmservice.errors import Rejected, Unavailable
from velero_vmservice.restore.replay.course import PAUSE_SECONDS

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
REFUSAL = 'admission webhook "freeze.example.com" denied the request: no new load balancers'
TRIAL = "dry-run create"


@pytest.fixture(name="items")
def _items(world: World) -> list[dict[str, Any]]:
    lost = vm("web-1", labels=WEB), service("front", WEB)
    items = world.back_up(*lost)
    world.lose(*lost)
    world.cluster.calls.made.clear()
    return items


def test_a_refusal_is_reported_before_the_vms_are_there_and_goes_with_its_cause(
    world: World, items: list[dict[str, Any]]
) -> None:
    world.cluster.calls.fail(TRIAL, Rejected(REFUSAL))
    operations = world.replay_all(items)
    for _ in range(3):
        (progress,) = world.round(operations).values()
        assert not progress.completed
        assert progress.description.startswith(f"waiting: blocked: {REFUSAL}")
        assert "web-1: not registered yet" in progress.description
    world.cluster.calls.heal()
    assert world.round(operations)[operations[0]].description == "waiting: web-1: not registered yet"
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    world.finish(operations)
    assert world.created() == ["VirtualMachineService shop/front"]


def test_an_object_that_is_accepted_is_tried_once(world: World, items: list[dict[str, Any]]) -> None:
    operations = world.replay_all(items)
    for _ in range(5):
        world.round(operations)
    assert world.cluster.calls.counts[TRIAL] == 1


def test_a_strict_restore_fails_at_a_refusal_and_creates_nothing(world: World, items: list[dict[str, Any]]) -> None:
    world.cluster.calls.fail(TRIAL, Rejected(REFUSAL))
    (progress,) = world.round(world.replay_all(items), **with_policy(mode="strict")).values()
    assert progress.completed
    assert f"blocked: {REFUSAL}" in progress.error
    assert world.created() == []


def test_a_webhook_that_does_not_answer_is_not_asked_at_every_look(world: World, items: list[dict[str, Any]]) -> None:
    world.cluster.calls.fail(TRIAL, Unavailable("failed calling webhook: timed out"))
    operations = world.replay_all(items)
    for _ in range(4):
        (progress,) = world.round(operations).values()
        assert (progress.completed, progress.description) == (False, "waiting: web-1: not registered yet")
    assert world.cluster.calls.counts[TRIAL] == 1
    world.clock.advance(PAUSE_SECONDS)
    world.round(operations)
    assert world.cluster.calls.counts[TRIAL] == 2
