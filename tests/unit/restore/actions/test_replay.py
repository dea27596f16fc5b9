"""Execute of `replay`: the item leaves Velero's hands, and nothing is created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, service, vm, with_policy
from velero_vmservice.errors import Corrupt, Forbidden, InvalidItem, InvalidSettings, Unavailable
from velero_vmservice.velero.runs import Replay, read_replay_id

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from tests.unit.world import World

WEB = {"app": "web"}
LINK = "velero-plugin-for-vmservice/capture"


@pytest.fixture(name="items")
def _items(world: World) -> list[dict[str, Any]]:
    return world.back_up(
        vm("web-1", labels=WEB, group="tier"), group("tier", ["web-1"], powerState="PoweredOn"), service("front", WEB)
    )


def replayed(world: World, item: dict[str, Any], **spec: Any) -> Replay:
    outcome = world.replay(item, **spec)
    assert outcome.skip
    return read_replay_id(outcome.operation_id)


def test_the_item_is_skipped_and_its_operation_carries_the_link(world: World, items: list[dict[str, Any]]) -> None:
    world.cluster.calls.made.clear()
    outcome = replayed(world, items[0], namespaceMapping={"shop": "shop-dr"})
    assert (outcome.plural, outcome.namespace, outcome.target, outcome.name) == (
        "virtualmachinegroups",
        "shop",
        "shop-dr",
        "tier",
    )
    assert outcome.key.endswith("objects/virtualmachinegroups/shop/tier.json")
    assert (outcome.vms, outcome.unread) == (("web-1",), False)
    assert outcome.item is not None, "the capture may go while the restore waits"
    assert world.created() == []


def test_the_operation_does_not_carry_the_item_where_the_capture_is_required(
    world: World, items: list[dict[str, Any]]
) -> None:
    outcome = replayed(world, items[0], **with_policy(capture="require"))
    assert (outcome.vms, outcome.item) == (None, None)


def test_the_same_item_has_the_same_operation(world: World, items: list[dict[str, Any]]) -> None:
    first = world.replay(items[0]).operation_id
    world.restart()
    assert world.replay(items[0]).operation_id == first


@pytest.mark.parametrize("trouble", ["gone", "away", "backup unknown"])
def test_the_operation_carries_the_item_where_the_capture_cannot_be_read(
    world: World, log: LogCapture, items: list[dict[str, Any]], trouble: str
) -> None:
    key = items[0]["metadata"]["annotations"][LINK].partition('"key":"')[2].partition('"')[0]
    if trouble == "gone":
        world.store.delete(key)
    elif trouble == "away":
        world.store.calls.fail("exists", Unavailable("away"))
    outcome = replayed(world, items[0], of="nightly" if trouble != "backup unknown" else "unknown")
    assert outcome.key == key
    assert (outcome.vms, outcome.unread) == (("web-1",), True)
    assert outcome.item is not None
    assert "powerState" not in outcome.item["spec"]
    assert set(outcome.item["metadata"]) <= {"name", "namespace", "labels", "annotations"}
    assert LINK not in str(outcome.item)
    assert [entry for entry in log.entries if entry["event"].startswith("capture ")]


@pytest.mark.parametrize("error", [Forbidden, InvalidSettings, InvalidItem], ids=lambda e: e.code)
def test_a_store_that_denies_or_is_misconfigured_is_logged_and_the_item_carried(
    world: World, log: LogCapture, items: list[dict[str, Any]], error: type[Forbidden]
) -> None:
    world.store.calls.fail("exists", error("denied", hint="grant s3:GetObject"))
    outcome = replayed(world, items[0])
    assert (outcome.item is not None, outcome.vms, outcome.unread) == (True, ("web-1",), True)
    (line,) = [entry for entry in log.entries if entry["event"] == "capture not readable yet"]
    assert (line["log_level"], line["cause"], line["hint"]) == ("warning", "denied", "grant s3:GetObject")


def test_damage_fails_the_item(world: World, items: list[dict[str, Any]]) -> None:
    world.store.calls.fail("exists", Corrupt("rotten"))
    with pytest.raises(Corrupt):
        world.replay(items[0])


def test_a_backup_without_the_plugin_is_replayed_by_its_items(world: World) -> None:
    outcome = replayed(world, group("tier", ["web-1", "/inner"], ["web-2"]))
    assert (outcome.key, outcome.vms) == ("", ("web-1", "web-2"))
    assert outcome.item is not None


@pytest.mark.parametrize(
    ("meta", "excerpt"),
    [
        ({"deletionTimestamp": "2026-03-01T11:00:00Z"}, "being deleted"),
        ({"annotations": {"velero.io/skip-from-backup": "true"}}, "left out of the backup"),
        (
            {"ownerReferences": [{"apiVersion": "cluster.x-k8s.io/v1", "kind": "Cluster", "name": "c"}]},
            "guest cluster",
        ),
    ],
    ids=["deleting", "left out, and stored by an older Velero", "a guest cluster's"],
)
def test_an_item_that_should_not_be_in_the_backup_is_skipped_for_good(
    world: World, log: LogCapture, meta: dict[str, Any], excerpt: str
) -> None:
    outcome = world.replay(service("front", WEB, meta=meta))
    assert (outcome.skip, outcome.operation_id) == (True, "")
    assert excerpt in log.entries[-1]["reason"]


def test_an_object_captured_for_a_users_vm_is_replayed_whatever_its_annotations(world: World) -> None:
    key = "virtualmachineservice.vmoperator.vmware.com/service.externalTrafficPolicy"
    annotated = service("front", WEB, meta={"annotations": {key: "Local"}})
    (item,) = world.back_up(vm("web-1", labels=WEB), annotated)[-1:]
    assert world.replay(item).operation_id
    assert not world.replay(annotated).operation_id  # of a backup without the plugin: the annotation is all there is


def test_velero_calls_the_plugin_for_its_two_kinds(world: World) -> None:
    assert len(world.app.actions.restore["replay"].applies_to().included_resources) == 2
