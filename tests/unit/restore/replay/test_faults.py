"""What an outage, a lost capture or a refusal does: transient is progress, permanent is an error in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, claim, group, obj, service, vm, with_policy
from tests.unit.world import CAPTURES, World
from velero_vmservice import documents
from velero_vmservice.errors import (
    Conflict,
    Forbidden,
    InvalidItem,
    InvalidSettings,
    Rejected,
    Unavailable,
    VmServiceError,
)
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, Manifest

if TYPE_CHECKING:
    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
VM = vm("web-1", labels=WEB)
FRONT = service("front", WEB)
KEY = f"{CAPTURES}objects/virtualmachineservices/shop/front.json"


@pytest.fixture(name="items")
def _items(world: World) -> list[dict[str, Any]]:
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    world.cluster.calls.made.clear()
    world.store.calls.made.clear()
    return items


def back(world: World) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))


def test_a_store_that_is_away_is_waited_for(world: World, items: list[dict[str, Any]]) -> None:
    operations = world.replay_all(items)
    back(world)
    world.restart()
    world.store.calls.fail("get", Unavailable("s3://bucket/key cannot be reached"))
    for _ in range(4):
        progress = world.round(operations)[operations[0]]
        assert (progress.completed, progress.error) == (False, "")
        assert "s3://bucket/key cannot be reached" in progress.description
    assert world.created() == []
    world.store.calls.heal()
    world.finish(operations)


@pytest.mark.parametrize("method", ["get", "list"])
def test_a_cluster_that_is_away_is_waited_for(world: World, items: list[dict[str, Any]], method: str) -> None:
    operations = world.replay_all(items)
    back(world)
    world.cluster.calls.fail(method, Unavailable("the API server is away"))
    world.clock.advance(10)
    for _ in range(4):
        world.clock.advance(10)
        progress = world.poll(operations[0])
        assert (progress.completed, progress.error) == (False, "")
        assert "the API server is away" in progress.description
    assert world.created() == []
    world.cluster.calls.heal()
    world.finish(operations)


@pytest.mark.parametrize("error", [Unavailable("away"), Conflict("changed under us")], ids=lambda e: e.code)
@pytest.mark.parametrize("method", ["create", "dry-run create"])
def test_a_write_that_may_succeed_later_is_tried_in_the_next_round(
    world: World, items: list[dict[str, Any]], error: Exception, method: str
) -> None:
    operations = world.replay_all(items)
    back(world)
    world.cluster.calls.fail(method, error, times=2)
    world.finish(operations)
    assert world.cluster.calls.counts[method] == 3


def test_a_webhook_that_rejects_fails_the_operation_with_its_words(world: World, items: list[dict[str, Any]]) -> None:
    def refuse(_: Manifest) -> None:
        raise Rejected("admission webhook denied the request: spec.ports: Required value")

    world.cluster.admit = refuse
    operations = world.replay_all(items)
    back(world)
    (last,) = world.finish(operations).values()
    assert last.error.startswith("VirtualMachineService shop/front: ")
    assert "admission webhook denied the request: spec.ports: Required value" in last.error
    assert world.created() == []  # the dry run was enough


@pytest.mark.parametrize("method", ["dry-run create", "create"])
def test_missing_rights_are_waited_for_and_reported(world: World, items: list[dict[str, Any]], method: str) -> None:
    operations = world.replay_all(items)
    back(world)
    world.cluster.calls.fail(method, Forbidden("may not create", hint="grant create on virtualmachineservices"))
    for _ in range(4):
        progress = world.round(operations)[operations[0]]
    assert (progress.completed, progress.error) == (False, "")
    assert progress.description == "waiting: may not create: grant create on virtualmachineservices"
    world.cluster.calls.heal()
    (last,) = world.finish(operations).values()
    assert last.error == ""


def test_disks_whose_registration_may_not_be_read_are_waited_for_by_their_claims(world: World) -> None:
    machine = vm("web-1", labels=WEB, claims=["data"])
    items = world.back_up(machine, FRONT)
    world.lose(machine, FRONT)
    operations = world.replay_all(items)
    world.cluster.calls.fail("list", Forbidden("may not list cnsregistervolumes", hint="grant it"), on="CnsRegister")
    world.cluster.seed(vm("web-1", labels=WEB, claims=["data"], uid="new"))
    description = world.round(operations)[operations[0]].description
    assert description.startswith("waiting: web-1: waits for PVC data (not there yet)")
    note = "cannot tell how far the disks are registered: may not list cnsregistervolumes: grant it"
    assert f"note: {note}" in description
    world.cluster.seed(claim("data"))
    (last,) = world.finish(operations).values()
    assert last.error == ""


def test_rights_that_are_not_granted_in_time_fail_the_operation(world: World, items: list[dict[str, Any]]) -> None:
    within = with_policy(registered_within="1h")
    operations = world.replay_all(items, **within)
    back(world)
    world.cluster.calls.fail("dry-run create", Forbidden("may not create", hint="grant it"))
    for _ in range(3):
        world.round(operations, **within)
    world.clock.advance(3600)
    (last,) = world.finish(operations, **within).values()
    assert last.error.endswith(
        "the policy's registered-within=1h is over: may not create: grant it; then repeat the restore"
    )


def denied(world: World, operation: str, **spec: Any) -> Progress:
    """Poll twice without VM Operator, which reads the cluster that denies."""
    for _ in range(2):
        world.clock.advance(10)
        progress = world.poll(operation, **spec)
    return progress


DENIED = Forbidden("may not list virtualmachines", hint="grant list on virtualmachines")
UNSEEN = "shop cannot be observed: may not list virtualmachines: grant list on virtualmachines"


def test_a_namespace_that_may_never_be_observed_fails_at_the_deadline(
    world: World, items: list[dict[str, Any]]
) -> None:
    within = with_policy(registered_within="1h")
    operations = world.replay_all(items, **within)
    world.cluster.calls.fail("list", DENIED)
    first = denied(world, operations[0], **within)
    assert (first.completed, first.description) == (False, f"waiting: {UNSEEN}")
    world.clock.advance(3600)
    world.cluster.calls.fail("get", Forbidden("may not get virtualmachineservices"), on="VirtualMachineService")
    progress = denied(world, operations[0], **within)
    assert progress.completed
    assert progress.error.endswith(f"the policy's registered-within=1h is over: {UNSEEN}; then repeat the restore")


def test_a_namespace_that_may_not_be_observed_any_more_is_given_time_to_verify_what_was_replayed(
    world: World, items: list[dict[str, Any]]
) -> None:
    within = with_policy(registered_within="1h", verified_within="2h")
    operations = world.replay_all(items, **within)
    back(world)
    for _ in range(3):
        world.round(operations, **within)
    assert world.created() == ["VirtualMachineService shop/front"]
    world.restart()
    world.cluster.calls.fail("list", DENIED)
    world.clock.advance(3600)
    first = denied(world, operations[0], **within)
    assert (first.completed, first.description) == (False, f"replayed: {UNSEEN}")
    world.clock.advance(7200)
    progress = denied(world, operations[0], **within)
    assert progress.completed
    assert f"the policy's verified-within=2h is over: {UNSEEN}" in progress.error


def test_a_cluster_that_is_away_past_the_deadline_is_asked_again(world: World, items: list[dict[str, Any]]) -> None:
    within = with_policy(registered_within="1h")
    operations = world.replay_all(items, **within)
    back(world)
    world.cluster.calls.fail("list", Unavailable("the API server is away"))
    world.clock.advance(7200)
    progress = denied(world, operations[0], **within)
    assert (progress.completed, progress.description) == (
        False,
        "waiting: shop cannot be observed: the API server is away",
    )
    world.cluster.calls.heal()
    assert world.finish(operations, **within)[operations[0]].error == ""


def test_a_capture_that_was_replaced_fails_its_object_by_name(world: World, items: list[dict[str, Any]]) -> None:
    body = world.store.get(KEY).replace(b'"app":"web"', b'"app":"evil"')
    world.store.delete(KEY)
    world.store.put(KEY, body, sha256=documents.digest(body))
    back(world)
    (last,) = world.finish(world.replay_all(items)).values()
    assert "shop/front" in last.error
    assert KEY in last.error
    assert world.created() == []


def test_a_capture_that_rotted_fails_its_object_by_name(world: World, items: list[dict[str, Any]]) -> None:
    world.store.tamper(KEY, b"rotten")
    (last,) = world.finish(world.replay_all(items)).values()
    assert KEY in last.error


@pytest.mark.parametrize("facts", [True, False], ids=["with facts", "without facts"])
@pytest.mark.parametrize("restarted", [True, False])
def test_a_capture_that_is_gone_gives_way_to_the_backups_own_item_and_says_so(
    world: World,
    items: list[dict[str, Any]],
    facts: bool,  # noqa: FBT001 - a table
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    world.store.delete(KEY)
    if not facts:
        world.store.delete(f"{CAPTURES}namespaces/shop.json")
    operations = world.replay_all(items)
    if restarted:
        world.restart()
    assert "web-1: not registered yet" in world.round(operations)[operations[0]].description
    back(world)
    (last,) = world.finish(operations).values()
    assert last.error == ""
    assert f"the capture {KEY} is gone: the backup's own item is taken instead" in last.description
    live = world.live("VirtualMachineService", "front")
    assert live.spec["selector"] == WEB
    assert not live.annotations


def test_a_capture_that_was_away_at_first_is_preferred_to_the_item(world: World, items: list[dict[str, Any]]) -> None:
    world.store.calls.fail("exists", Unavailable("away"))
    operations = world.replay_all(items)
    world.store.calls.heal()
    back(world)
    (last,) = world.finish(operations).values()
    assert "own item" not in last.description


@pytest.mark.parametrize("error", [Forbidden("403"), InvalidSettings("no such bucket")], ids=lambda e: e.code)
def test_a_store_that_stays_closed_gives_way_to_the_backups_own_item_and_says_so(
    world: World, items: list[dict[str, Any]], error: VmServiceError
) -> None:
    for method in ("exists", "get"):
        world.store.calls.fail(method, error)
    operations = world.replay_all(items)
    world.restart()
    assert "web-1: not registered yet" in world.round(operations)[operations[0]].description
    assert world.created() == []
    back(world)
    world.store.calls.heal()
    (last,) = world.finish(operations).values()
    assert last.error == ""
    assert (
        f"the capture {KEY} cannot be read ({error.message}): the backup's own item is taken instead"
        in last.description
    )
    assert world.live("VirtualMachineService", "front").spec["selector"] == WEB


MENDABLE = [
    Forbidden("403", hint="grant s3:GetObject"),
    InvalidSettings("no such bucket", hint="correct the bucket's name"),
]


@pytest.mark.parametrize("error", MENDABLE, ids=lambda e: e.code)
@pytest.mark.parametrize("capture", ["prefer", "require"])
def test_a_store_that_is_closed_while_waiting_is_waited_for_and_says_what_to_do(
    world: World, items: list[dict[str, Any]], error: VmServiceError, capture: str
) -> None:
    policy = with_policy(capture=capture)
    operations = world.replay_all(items, **policy)
    back(world)
    world.restart()
    world.store.calls.fail("get", error)
    for _ in range(4):
        progress = world.round(operations, **policy)[operations[0]]
    assert (progress.completed, progress.error) == (False, "")
    assert progress.description == f"waiting: {error}"
    assert world.created() == []
    world.store.calls.heal()
    (last,) = world.finish(operations, **policy).values()
    assert (last.error, "own item" in last.description) == ("", False)


@pytest.mark.parametrize("restarted", [True, False])
def test_a_store_that_denies_past_the_deadline_fails_the_operation(
    world: World,
    items: list[dict[str, Any]],
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    within = with_policy(registered_within="1h")
    operations = world.replay_all(items, **within)
    world.store.calls.fail("get", Forbidden("403", hint="grant s3:GetObject"))
    world.round(operations, **within)
    world.clock.advance(3600)
    if restarted:
        world.restart()
    (last,) = world.finish(operations, **within).values()
    assert "registered-within=1h is over: 403: grant s3:GetObject" in last.error


def test_a_store_that_closes_after_the_object_was_replayed_is_not_late_for_registration(
    world: World, items: list[dict[str, Any]]
) -> None:
    within = with_policy(registered_within="1h")
    operations = world.replay_all(items, **within)
    back(world)
    for _ in range(2):
        world.clock.advance(10)
        world.poll(operations[0], **within)
    assert len(world.created()) == 1
    world.clock.advance(7200)
    world.restart()
    world.store.calls.fail("get", Forbidden("403", hint="grant s3:GetObject"))
    world.cluster.calls.fail("get", Unavailable("away"), times=1)
    for _ in range(3):
        progress = world.round(operations, **within)[operations[0]]
    assert progress.description == "replayed: 403: grant s3:GetObject"
    world.store.calls.heal()
    (last,) = world.finish(operations, **within).values()
    assert last.error == ""


def test_one_capture_that_stays_denied_does_not_keep_the_others(world: World) -> None:
    objects = [service(name, {"app": "none"}) for name in ("a", "b", "c")]
    items = world.back_up(*objects)
    world.lose(*objects)
    operations = world.replay_all(items)
    world.store.calls.fail("get", Forbidden("403"), on="virtualmachineservices/shop/a.json")
    for _ in range(5):
        world.round(operations)
    assert world.created() == ["VirtualMachineService shop/b", "VirtualMachineService shop/c"]


def test_a_capture_that_rotted_fails_though_the_item_is_in_hand(world: World, items: list[dict[str, Any]]) -> None:
    world.store.calls.fail("exists", Unavailable("away"))
    operations = world.replay_all(items)
    world.store.calls.heal()
    world.store.tamper(KEY, b"rotten")
    (last,) = world.finish(operations).values()
    assert KEY in last.error
    assert world.created() == []


def test_captures_that_stay_denied_have_the_same_description_at_every_poll(world: World) -> None:
    objects = [service(name, {"app": "none"}) for name in ("a", "b", "c")]
    items = world.back_up(*objects)
    world.lose(*objects)
    operations = world.replay_all(items)
    world.store.calls.before("get", lambda key: (_ for _ in ()).throw(Forbidden(f"denied: {key}")))
    for _ in range(4):
        polled = world.round(operations)
    for _ in range(4):
        assert world.round(operations) == polled
    assert len({progress.description for progress in polled.values()}) == 3


def test_a_backup_without_the_plugin_is_replayed_and_says_so(world: World) -> None:
    world.cluster.seed(vm("web-1", group="tier"))
    operations = world.replay_all([group("tier", ["web-1"], powerState="PoweredOn")])
    (last,) = world.finish(operations).values()
    assert "the item has no link to a capture" in last.description
    assert "powerState" not in world.live("VirtualMachineGroup", "tier").spec


def test_a_cluster_that_does_not_know_groups_says_what_it_takes(world: World) -> None:
    items = world.back_up(VM, group("tier", ["web-1"]))
    world.lose(group("tier"))
    world.cluster.serve(VIRTUAL_MACHINE_GROUP)
    (last,) = world.finish(world.replay_all(items)).values()
    assert "does not serve virtualmachinegroups.vmoperator.vmware.com" in last.error
    assert "9.0.1" in last.error


def test_fields_that_the_target_does_not_know_are_left_out_and_reported(world: World) -> None:
    world.cluster.serve(VIRTUAL_MACHINE_GROUP, "v1alpha5", "v1alpha6")
    tier = group("tier", ["web-1"])
    tier["apiVersion"] = "vmoperator.vmware.com/v1alpha6"
    tier["spec"]["bootOrder"][0]["powerOffDelay"] = "10s"
    items = world.back_up(vm("web-1", group="tier"), tier)
    world.lose(group("tier"))
    world.cluster.serve(VIRTUAL_MACHINE_GROUP, "v1alpha5")
    (last,) = world.finish(world.replay_all(items)).values()
    assert "the target does not take it: spec.bootOrder[0].powerOffDelay" in last.description
    assert "powerOffDelay" not in str(world.live("VirtualMachineGroup", "tier").content)


@pytest.mark.parametrize("operation", ["", "seal-v1:x", "replay-v1:AAAA"])
def test_an_operation_of_another_plugin_is_refused(world: World, operation: str) -> None:
    with pytest.raises(InvalidItem, match="repeat the restore"):
        world.poll(operation)
    with pytest.raises(InvalidItem):
        world.app.actions.restore["replay"].cancel(
            operation, obj("Restore", "r", api="velero.io/v1", namespace="velero")
        )


def test_a_target_namespace_that_is_not_there_is_waited_for(world: World, items: list[dict[str, Any]]) -> None:
    mapped = {"namespaceMapping": {NAMESPACE: "not-there"}}
    operations = world.replay_all(items, **mapped)
    description = world.poll(operations[0], **mapped).description
    assert "the namespace not-there does not exist" in description
