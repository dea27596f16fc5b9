"""Level-triggered and idempotent: two processes may poll the same operations, in turn or at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.builders import group, service, vm
from tests.unit.world import World
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE

WEB = {"app": "web"}
VMS = [vm(f"web-{n}", labels=WEB, group="tier") for n in range(3)]
OBJECTS = [group("tier", ["web-0", "web-1", "web-2"], parent="top"), group("top", ["/tier"]), service("front", WEB)]


@pytest.fixture(name="worlds")
def _worlds(world: World) -> tuple[World, World, list[str]]:
    items = world.back_up(*VMS, *OBJECTS)
    world.lose(*OBJECTS)
    other = World()
    other.cluster, other.store, other.locations, other.clock = world.cluster, world.store, world.locations, world.clock
    other.restart()
    return world, other, world.replay_all(items)


def live(world: World) -> list[Any]:
    kinds = (VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE)
    return [
        (manifest.kind_name, manifest.name, manifest.uid)
        for kind in kinds
        for manifest in world.cluster.list(kind, "shop")
    ]


def test_in_turn(worlds: tuple[World, World, list[str]]) -> None:
    first, other, operations = worlds
    for _ in range(5):
        first.round(operations)
        other.round(operations)
    first.finish(operations)
    other.finish(operations)
    assert sorted(first.created()) == sorted(set(first.created()))
    assert [name for _, name, _ in live(first)] == ["tier", "top", "front"]


def test_at_once(worlds: tuple[World, World, list[str]]) -> None:
    first, other, operations = worlds
    with ThreadPoolExecutor(8) as pool:
        for _ in range(6):
            first.clock.advance(10)
            list(pool.map(lambda call: call[0].poll(call[1]), [(w, o) for o in operations for w in (first, other)]))
            first.vm_operator()
            before = live(first)
    assert live(first) == before
    assert all(first.poll(operation).completed for operation in operations)
    assert [name for _, name, _ in live(first)] == ["tier", "top", "front"]
    assert {first.poll(operation).error for operation in operations} == {""}


def test_parallel_executes_and_polls_of_one_process(world: World) -> None:
    objects = [service(f"front-{n}", WEB) for n in range(20)]
    items = world.back_up(*VMS, *objects)
    world.lose(*objects)
    with ThreadPoolExecutor(8) as pool:
        operations = [outcome.operation_id for outcome in pool.map(world.replay, items)]
        list(pool.map(world.poll, operations * 3))
    world.finish(operations)
    assert sorted(world.created()) == sorted(f"VirtualMachineService shop/front-{n}" for n in range(20))
