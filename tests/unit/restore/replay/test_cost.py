"""A waiting restore costs a few LISTs per namespace and round, whatever is away and however many objects wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, service, vm, vsphere_namespace, with_policy
from velero_vmservice.errors import Unavailable
from velero_vmservice.restore.plan import decision

if TYPE_CHECKING:
    from collections import Counter

    from tests.unit.world import World

COUNT = 300
ATTEMPTS = "ConfigMap velero"
"""Where calls of RegisterVM are recorded."""


@pytest.fixture(name="operations")
def _operations(world: World) -> list[str]:
    objects: list[dict[str, Any]] = []
    for number in range(COUNT // 2):
        labels = {"app": f"a{number}"}
        objects += [
            vm(f"vm-{number}", labels=labels, group=f"tier-{number}"),
            group(f"tier-{number}", [f"vm-{number}"]),
            service(f"front-{number}", labels),
        ]
    items = world.back_up(*objects)
    world.lose(*objects)
    operations = world.replay_all(items)
    assert len(operations) == COUNT
    return operations


def poll_all(world: World, operations: list[str]) -> tuple[Counter[str], Counter[str]]:
    """Poll as Velero does, and return what one round asked of the cluster and of the store."""
    world.cluster.calls.made.clear()
    world.store.calls.made.clear()
    world.clock.advance(10)
    for operation in operations:
        assert not world.poll(operation).completed
    return world.cluster.calls.counts, world.store.calls.counts


def test_a_round_is_one_list_of_each_kind(world: World, operations: list[str]) -> None:
    _, store = poll_all(world, operations)
    assert store["get"] == COUNT + 1  # each capture and the namespace's facts once, in the first round
    attempts = []
    for _ in range(3):
        cluster, store = poll_all(world, operations)
        listed = [subject for method, subject in world.cluster.calls.made if method == "list"]
        attempts.append(listed.count(ATTEMPTS))
        assert cluster["list"] - attempts[-1] == len({*listed} - {ATTEMPTS}) == 7
        assert cluster["get"] == 1  # the namespace; no VM is ever asked for by itself
        assert sum(store.values()) == 0
    assert attempts == [0, 0, 1]  # a call of RegisterVM by command is seen every half minute


def test_a_restart_costs_one_more_round(world: World, operations: list[str]) -> None:
    poll_all(world, operations)
    world.restart()
    cluster, store = poll_all(world, operations)
    assert (cluster["list"], store["get"]) == (8, COUNT + 1)
    cluster, store = poll_all(world, operations)
    assert (cluster["list"], store["get"]) == (7, 0)


@pytest.mark.parametrize("seconds", [0, 12], ids=["at once", "after a timeout"])
def test_a_cluster_that_is_away_costs_one_failure(world: World, operations: list[str], seconds: float) -> None:
    poll_all(world, operations)

    def away(_: str) -> None:
        world.clock.advance(seconds)
        raise Unavailable("the API server is away")

    world.cluster.calls.before("list", away)
    cluster, _ = poll_all(world, operations)
    assert cluster["list"] == 1
    assert "the API server is away" in world.poll(operations[-1]).description


@pytest.mark.parametrize("seconds", [0, 12], ids=["at once", "after a timeout"])
def test_a_store_that_is_away_costs_one_failure(world: World, operations: list[str], seconds: float) -> None:
    world.restart()

    def away(_: str) -> None:
        world.clock.advance(seconds)
        raise Unavailable("s3 is away")

    world.store.calls.before("get", away)
    _, store = poll_all(world, operations)
    assert store["get"] == 1
    assert "s3 is away" in world.poll(operations[-1]).description


def test_a_store_that_takes_no_results_costs_one_failure(world: World) -> None:
    objects = [service(f"front-{number}", {"app": "none"}) for number in range(20)]
    items = world.back_up(*objects)
    world.lose(*objects)
    operations = world.replay_all(items)
    for _ in range(2):
        world.round(operations[:1])

    def away(_: str) -> None:
        world.clock.advance(12)
        raise Unavailable("s3 is away")

    world.store.calls.before("put", away)
    _, store = poll_all(world, operations[1:])
    assert store["put"] == 1
    assert "the result is not stored yet: s3 is away" in world.poll(operations[-1]).description
    world.store.calls.heal()
    world.finish(operations[1:])


def test_a_look_that_takes_long_is_not_repeated_for_each_operation(world: World, operations: list[str]) -> None:
    poll_all(world, operations)
    world.cluster.calls.before("list", lambda _: world.clock.advance(1))
    cluster, _ = poll_all(world, operations)
    assert cluster["list"] == 7


def test_three_hundred_objects_are_all_replayed(world: World, operations: list[str]) -> None:
    world.cluster.seed(
        *[vm(f"vm-{n}", labels={"app": f"a{n}"}, group=f"tier-{n}", uid=f"new-{n}") for n in range(COUNT // 2)]
    )
    world.finish(operations)
    assert len(world.created()) == COUNT


def test_a_poll_works_no_longer_than_its_budget(world: World, operations: list[str]) -> None:
    world.cluster.seed(
        *[vm(f"vm-{n}", labels={"app": f"a{n}"}, group=f"tier-{n}", uid=f"new-{n}") for n in range(COUNT // 2)]
    )
    for operation in operations:
        world.poll(operation)
    world.clock.advance(10)
    world.cluster.calls.before("create", lambda _: world.clock.advance(0.5))
    before = world.clock.monotonic()
    world.poll(operations[0])
    assert world.clock.monotonic() - before <= 5
    assert 0 < len(world.created()) < COUNT


def test_a_look_that_takes_longer_than_the_budget_leads_on_all_the_same(world: World) -> None:
    items = world.back_up(vm("web-1", labels={"app": "x"}), service("front", {"app": "x"}))
    world.lose(service("front"))
    world.cluster.seed(vm("web-1", labels={"app": "x"}, uid="new"))
    world.cluster.calls.before("list", lambda _: world.clock.advance(1))
    world.finish(world.replay_all(items))
    assert world.created() == ["VirtualMachineService shop/front"]


def test_no_namespace_starves_the_others_on_a_slow_cluster(world: World) -> None:
    """Twenty looks take longer than a round lasts: each is overtaken by those that wait longer."""
    names = [f"ns-{number:02}" for number in range(20)]
    items = []
    for name in names:
        world.cluster.seed(vsphere_namespace(name))
        items += world.back_up(vm("web-1", labels={"app": "x"}, namespace=name), service_in(name))
    for name in names:
        world.lose(service_in(name))
    operations = world.replay_all(items)
    world.cluster.calls.before("list", lambda _: world.clock.advance(0.1))
    for _ in range(3):
        for operation in operations:
            world.poll(operation)
    assert len(world.created()) == len(names)


def test_an_object_whose_create_hangs_holds_no_other_back(world: World) -> None:
    machines = [vm(f"vm-{number}", labels={"app": f"a{number}"}) for number in range(4)]
    fronts = [service(f"s{number}", {"app": f"a{number}"}) for number in range(4)]
    items = world.back_up(*machines, *fronts)
    world.lose(*fronts)
    operations = world.replay_all(items)

    def hang(subject: str) -> None:
        if subject.endswith("/s0"):
            world.clock.advance(6)
            raise Unavailable("timed out")

    world.cluster.calls.before("dry-run create", hang)
    for _ in range(6):
        world.round(operations)
    assert world.created() == [f"VirtualMachineService shop/s{number}" for number in (1, 2, 3)]


def service_in(namespace: str) -> dict[str, Any]:
    made = service("front", {"app": "x"})
    return {**made, "metadata": {**made["metadata"], "namespace": namespace}}


def test_the_dependents_of_an_object_are_decided_once_in_a_round(
    world: World, monkeypatch: pytest.MonkeyPatch, operations: list[str]
) -> None:
    """Strict: 299 of 300 objects are ready, and each of 300 polls would decide them all again."""
    strict, asked_for = with_policy(mode="strict"), list[str]()
    decide = decision.decide
    monkeypatch.setattr(
        decision, "decide", lambda subject, view: (asked_for.append(subject.ref.name), decide(subject, view))[1]
    )
    world.cluster.seed(
        *[vm(f"vm-{n}", labels={"app": f"a{n}"}, group=f"tier-{n}", uid=f"new-{n}") for n in range(COUNT // 2 - 1)]
    )
    for _ in range(3):
        asked_for.clear()
        world.round(operations, **strict)
    assert len(asked_for) <= COUNT
    assert world.created() == []
