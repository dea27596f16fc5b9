"""What a restore shows Prometheus from its first poll to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scraped import Scrape, parsed
from tests.unit.builders import group, service, vm
from tests.unit.world import World
from velero_vmservice.errors import Unavailable
from velero_vmservice.metrics import REGISTRY
from velero_vmservice.metrics.now import OPEN_RESTORES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.builders import Json

from prometheus_client import generate_latest

VM, WEB, FRONT = (
    vm("web-1", labels={"app": "web"}, group="web"),
    group("web", ["web-1"]),
    service("front", {"app": "web"}),
)


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    OPEN_RESTORES.forget()
    yield World()
    OPEN_RESTORES.forget()


def scraped() -> Scrape:
    return parsed(generate_latest(REGISTRY).decode())


def lost(world: World) -> list[str]:
    items: list[Json] = world.back_up(VM, WEB, FRONT)
    world.lose(VM, WEB, FRONT)
    return world.replay_all(items)


def come_back(world: World) -> None:
    mark = {"annotations": {"vmoperator.vmware.com/restored-vm": ""}}
    world.cluster.seed(vm("web-1", labels={"app": "web"}, group="web", uid="new", meta=mark))


def test_a_restore_from_waiting_to_its_report(world: World) -> None:
    before = scraped()
    operations = lost(world)
    began = world.clock.now()
    world.round(operations)
    waiting = scraped()
    assert waiting.value("vmservice_open_operations", stage="waiting") == 2
    assert waiting.value("vmservice_registrations", state="absent", code="") == 1
    assert waiting.value("vmservice_waiting_since_timestamp_seconds") == began.timestamp()
    come_back(world)
    world.finish(operations)
    after = scraped()
    assert not after.has("vmservice_open_operations")
    assert not after.has("vmservice_registrations")
    assert not after.has("vmservice_waiting_since_timestamp_seconds")
    for name, labels, rise in (
        ("vmservice_replays_total", {"stage": "verified"}, 2),
        ("vmservice_replays_total", {"stage": "failed"}, 0),
        ("vmservice_restores_total", {"outcome": "verified"}, 1),
        ("vmservice_replay_wait_seconds_count", {}, 2),
    ):
        assert after.value(name, **labels) - before.value(name, **labels) == rise, (name, labels)
    waited = after.value("vmservice_replay_wait_seconds_sum") - before.value("vmservice_replay_wait_seconds_sum")
    assert waited == 2 * 30  # both from the first poll on: ten seconds before each round, and two looks to settle


def test_an_operation_whose_result_is_refused_is_storing(world: World) -> None:
    operations = lost(world)
    come_back(world)
    world.store.calls.fail("put", Unavailable("s3 is away"), on="restores/")
    for _each in range(6):
        world.round(operations)
    refused = scraped()
    assert refused.value("vmservice_open_operations", stage="storing") == 2
    assert refused.value("vmservice_results_refused_total", code="unavailable") > 0
    world.store.calls.heal()
    world.finish(operations)
    assert not scraped().has("vmservice_open_operations")


def test_a_restart_counts_no_restore_twice(world: World) -> None:
    operations = lost(world)
    world.round(operations)
    world.restart()
    world.round(operations)
    assert scraped().value("vmservice_open_operations", stage="waiting") == 2
