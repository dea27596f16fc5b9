"""A person who deletes what a restore has just replayed is not fought: it is made once, and said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, service, vm, with_policy
from velero_vmservice.errors import Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
VM = vm("web-1", labels=WEB, group="tier")
TIER = group("tier", ["web-1"])
FRONT = service("front", WEB)
REASON = "it was deleted after this restore had replayed it, and is not made a second time"
AGAIN = "velero restore create --from-backup nightly"


def replayed(world: World, manifest: dict[str, Any], **spec: Any) -> str:
    """Return the operation of an object that was made and is not verified yet."""
    items = world.back_up(VM, manifest)
    world.lose(manifest)
    (operation,) = world.replay_all(items, **spec)
    poll(world, operation, **spec)
    assert len(world.created()) == 1
    return operation


def poll(world: World, operation: str, **spec: Any) -> Any:
    """Poll, and let no controller work: nothing is verified."""
    world.clock.advance(10)
    return world.poll(operation, **spec)


@pytest.mark.parametrize("manifest", [TIER, FRONT], ids=["group", "service"])
@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "next process has seen it"])
def test_an_object_that_is_deleted_after_its_replay_is_not_made_again(
    world: World,
    manifest: dict[str, Any],
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    operation = replayed(world, manifest)
    if restarted:
        world.restart()
        poll(world, operation)
    world.lose(manifest)
    for _ in range(3):
        progress = poll(world, operation)
    assert progress.completed
    assert REASON in progress.error
    assert AGAIN in progress.error
    assert len(world.created()) == 1
    kind = "virtualmachinegroups/shop/tier" if manifest is TIER else "virtualmachineservices/shop/front"
    result = world.document(f"restores/again/20260301T120000Z/{kind}.json")
    assert (result["stage"], result["replayed"]) == ("failed", True)


def test_a_deleted_object_is_made_again_by_a_restore_that_is_repeated(world: World) -> None:
    operation = replayed(world, TIER)
    world.lose(TIER)
    assert poll(world, operation).completed
    items = [TIER]
    world.finish(world.replay_all(items, name="second"), name="second")
    assert world.created() == ["VirtualMachineGroup shop/tier"] * 2


def test_an_object_that_is_deleted_after_its_update_is_not_made_either(world: World) -> None:
    policy = with_policy(conflict="update")
    items = world.back_up(VM, FRONT)
    world.cluster.seed(service("front", {"app": "other"}))
    (operation,) = world.replay_all(items, **policy)
    poll(world, operation, **policy)
    assert world.patched() == ["VirtualMachineService shop/front"]
    world.lose(FRONT)
    assert REASON in poll(world, operation, **policy).error
    assert world.created() == []


def test_an_object_that_was_there_before_and_is_deleted_is_made(world: World) -> None:
    items = world.back_up(VM, TIER)
    (operation,) = world.replay_all(items)
    assert not poll(world, operation).completed
    world.lose(TIER)
    assert world.finish([operation])[operation].error == ""
    assert world.created() == ["VirtualMachineGroup shop/tier"]


def test_an_object_that_was_deleted_after_an_earlier_process_ended_it_is_not_made_again(world: World) -> None:
    operation = replayed(world, TIER)
    world.vm_operator()
    world.finish([operation])
    world.restart()  # Velero never heard of the end: it asks again
    world.lose(TIER)
    world.store.calls.fail("get", Unavailable("s3 is away"), on="restores/")
    for _ in range(3):
        progress = poll(world, operation)
    assert not progress.completed
    assert "looking for an earlier process's results: s3 is away" in progress.description
    world.store.calls.heal()
    progress = poll(world, operation)
    progress = poll(world, operation)
    assert REASON in progress.error
    assert len(world.created()) == 1


@pytest.mark.parametrize("error", [Unavailable("the API server is away"), None], ids=["away", "not served"])
def test_nothing_is_taken_for_deleted_while_that_is_unknown(world: World, error: Unavailable | None) -> None:
    """VM Operator's definitions are away during an upgrade, and a list finds nothing then."""
    operation = replayed(world, TIER)
    if error:
        world.lose(TIER)
        world.cluster.calls.fail("get", error, on="VirtualMachineGroup")
    else:
        world.cluster.serve(VIRTUAL_MACHINE_GROUP)
    for _ in range(3):
        progress = poll(world, operation)
    assert not progress.completed
    assert ("is away" if error else "is not served any more") in progress.description
    world.cluster.calls.heal()
    world.cluster.serve(VIRTUAL_MACHINE_GROUP, "v1alpha5")
    (last,) = world.finish([operation]).values()
    assert bool(last.error) is bool(error)
    assert len(world.created()) == 1
