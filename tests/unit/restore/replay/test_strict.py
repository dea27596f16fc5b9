"""mode=strict: nothing is created until the gate of every object is open, and nothing any more once one is lost."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, group, obj, restore, service, vm, vsphere_namespace, with_policy
from velero_vmservice.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

STRICT = with_policy(mode="strict")
VMS = [vm("a", labels={"app": "a"}, group="one"), vm("b", labels={"app": "b"}, group="two")]
OBJECTS = [
    group("one", ["a"]),
    group("two", ["b"]),
    service("front", {"app": "a"}),
    service("back", {"app": "b"}),
]
ALL = [
    "VirtualMachineGroup shop/one",
    "VirtualMachineGroup shop/two",
    "VirtualMachineService shop/back",
    "VirtualMachineService shop/front",
]


@pytest.fixture(name="operations")
def _operations(world: World) -> list[str]:
    items = world.back_up(*VMS, *OBJECTS)
    world.lose(*VMS, *OBJECTS)
    return world.replay_all(items)


def back(world: World, *names: str, **rest: Any) -> None:
    of = {"a": "one", "b": "two"}
    world.cluster.seed(
        *(vm(name, **{"labels": {"app": name}, "group": of[name], "uid": "new", **rest}) for name in names)
    )


def rounds(world: World, operations: list[str], count: int, **spec: Any) -> dict[str, Progress]:
    polled: dict[str, Progress] = {}
    for _ in range(count):
        polled |= world.round(
            [operation for operation in operations if operation not in polled or not polled[operation].completed],
            **spec,
        )
    return polled


def test_nothing_is_created_until_every_gate_is_open(world: World, operations: list[str]) -> None:
    back(world, "a")
    polled = rounds(world, operations, 5, **STRICT)
    assert world.created() == []
    assert polled[operations[0]].description == (
        "waiting: every VM is ready; the policy is mode=strict, and VirtualMachineGroup shop/two is not ready"
        " (waiting: b: not registered yet)"
    )
    back(world, "b")
    assert {progress.error for progress in world.finish(operations, **STRICT).values()} == {""}
    assert world.created() == ALL


def test_best_effort_creates_what_it_can(world: World, operations: list[str]) -> None:
    back(world, "a")
    rounds(world, operations, 5)
    assert world.created() == [ALL[0], ALL[3]]


@pytest.mark.parametrize("order", [1, -1])
def test_a_restart_opens_no_gate(world: World, operations: list[str], order: int) -> None:
    back(world, "a")
    for _ in range(4):
        rounds(world, operations[::order], 1, **STRICT)
        world.restart()
    rounds(world, operations[::order], 3, **STRICT)
    assert world.created() == []
    back(world, "b")
    world.finish(operations[::order], **STRICT)
    assert world.created() == ALL


def test_a_gate_that_shuts_again_before_anything_is_created_holds_all(world: World, operations: list[str]) -> None:
    """Two gates that were never open at the same look are not both open."""
    back(world, "b")
    rounds(world, operations, 3, **STRICT)
    back(world, "a")
    back(world, "b", meta={"annotations": {"vmoperator.vmware.com/paused": ""}})
    rounds(world, operations, 4, **STRICT)
    assert world.created() == []
    back(world, "b")
    world.finish(operations, **STRICT)
    assert world.created() == ALL


def test_a_gate_that_shuts_at_the_very_look_that_opens_the_last_one(world: World, operations: list[str]) -> None:
    back(world, "b")
    rounds(world, operations, 2, **STRICT)
    back(world, "a")
    rounds(world, operations, 1, **STRICT)  # a is looked at once more
    back(world, "b", meta={"annotations": {"vmoperator.vmware.com/paused": ""}})
    rounds(world, operations, 1, **STRICT)
    assert world.created() == []


def test_a_namespace_that_cannot_be_observed_holds_the_others(world: World) -> None:
    world.cluster.seed(vsphere_namespace("other"))
    theirs = service("front", {"app": "none"})
    theirs["metadata"]["namespace"] = "other"
    items = world.back_up(service("front", {"app": "none"}), theirs)
    world.lose(service("front", {"app": "none"}), theirs)
    operations = world.replay_all(items)
    world.cluster.calls.fail("list", Unavailable("away"), on="other")
    rounds(world, operations, 3, **STRICT)
    assert world.created() == []
    world.cluster.calls.heal()
    rounds(world, operations, 2, **STRICT)
    assert len(world.created()) == 2


def test_a_capture_that_cannot_be_read_yet_holds_the_others(world: World, operations: list[str]) -> None:
    back(world, "a", "b")
    world.store.calls.fail("get", Unavailable("s3 is away"), on="virtualmachineservices/shop/front")
    rounds(world, operations, 4, **STRICT)
    assert world.created() == []
    world.store.calls.heal()
    world.finish(operations, **STRICT)
    assert world.created() == ALL


def conflict(world: World) -> None:
    world.cluster.seed(obj("Service", "front", api="v1", spec={"ports": [{"port": 80}]}))


def rotten(world: World) -> None:
    (key,) = (key for key in world.store.list("captures/") if key.endswith("virtualmachineservices/shop/front.json"))
    world.store.tamper(key, b"rotten")


def relabelled(world: World) -> None:
    back(world, "a", labels={"app": "x"})


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    ("spoil", "policy", "excerpt"),
    [
        (conflict, {}, "not VM Operator's"),
        (rotten, {}, "digest"),
        (relabelled, {"label_mismatch": "fail"}, "is not selected: its label app is x"),
    ],
)
def test_once_one_is_lost_the_others_are_given_up(
    world: World, operations: list[str], spoil: Any, policy: dict[str, str], excerpt: str, *, restarts: bool
) -> None:
    back(world, "a", "b")
    spoil(world)
    strict = with_policy(mode="strict", **policy)
    polled: dict[str, Progress] = {}
    for _ in range(12):
        world.clock.advance(10)
        for operation in [pending for pending in operations if pending not in polled or not polled[pending].completed]:
            polled[operation] = world.poll(operation, **strict)
            if polled[operation].completed and restarts:  # what it knew is lost, but for its result
                world.restart()
    assert all(progress.completed and progress.error for progress in polled.values()), [
        progress.description for progress in polled.values()
    ]
    assert world.created() == []
    assert excerpt in polled[operations[3]].error
    others = [polled[operation].error for operation in operations[:3]]
    assert all(
        "not replayed: the policy is mode=strict, and VirtualMachineService shop/front" in error for error in others
    )


def test_a_vm_that_never_comes_gives_up_all(world: World, operations: list[str]) -> None:
    back(world, "a")
    policy = with_policy(mode="strict", registered_within="1h")
    rounds(world, operations, 3, **policy)
    world.clock.advance(3600)
    polled = rounds(world, operations, 3, **policy)
    assert all(progress.error for progress in polled.values())
    assert world.created() == []


def test_a_cancelled_object_gives_up_the_others(world: World, operations: list[str]) -> None:
    back(world, "a")
    rounds(world, operations, 2, **STRICT)
    world.app.actions.restore["replay"].cancel(operations[1], restore(**STRICT))
    back(world, "b")
    polled = rounds(world, [operation for operation in operations if operation != operations[1]], 4, **STRICT)
    assert "VirtualMachineGroup shop/two cancelled" in polled[operations[0]].error
    assert world.created() == []


def test_a_refusal_of_the_api_server_once_the_gates_are_open_does_not_hold_the_others(
    world: World, operations: list[str]
) -> None:
    back(world, "a", "b")
    trials = itertools.count()

    def refuse_after_the_first_trial(subject: str) -> None:
        if "shop/one" in subject and next(trials):
            raise Rejected("denied by policy")

    world.cluster.calls.before("dry-run create", refuse_after_the_first_trial)
    last = world.finish(operations, **STRICT)
    assert world.created() == ALL[1:]
    assert [bool(last[operation].error) for operation in operations] == [True, False, False, False]


def test_a_gate_that_shuts_for_good_later_takes_back_nothing(world: World, operations: list[str]) -> None:
    back(world, "a", "b")
    for _ in range(2):
        world.clock.advance(10)
        for operation in operations:
            world.poll(operation, **STRICT)
    assert world.created() == ALL
    world.restart()
    policy = with_policy(mode="strict", registered_within="1h")
    back(world, "b", spec={"instanceUUID": "x"}, status={"biosUUID": "y"})
    for _ in range(3):
        world.round(operations, **policy)
    world.clock.advance(3600)
    polled = rounds(world, operations, 4, **policy)
    assert polled[operations[0]].error == polled[operations[3]].error == ""
    assert world.exists("VirtualMachineGroup", "one", NAMESPACE)
