from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.unit.builders import backup, group, obj, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice.errors import Forbidden, ForeignStorage, InvalidSettings, Unavailable
from velero_vmservice.velero.actions import CALLER

LINK = "velero-plugin-for-vmservice/capture"


def purge(world: World, item: dict[str, Any], name: str = "nightly") -> None:
    world.app.actions.delete["purge"].execute(item, backup(name))


@pytest.fixture(name="items")
def _items(world: World) -> list[dict[str, Any]]:
    return world.back_up(vm("web-1"), group("tier", ["web-1"]), service("front"), service("back"))


def test_each_item_takes_its_object_and_the_last_one_the_rest(world: World, items: list[dict[str, Any]]) -> None:
    left = [len(list(world.store.list(CAPTURES)))]
    for item in items:
        purge(world, item)
        left.append(len(list(world.store.list(CAPTURES))))
    assert left == [5, 4, 3, 0]


def test_it_can_be_repeated(world: World, items: list[dict[str, Any]]) -> None:
    for item in (*items, *items):
        purge(world, item)
    assert not list(world.store.list(""))


def test_another_backups_capture_stays(world: World, items: list[dict[str, Any]]) -> None:
    world.capture(service("front"), name="hourly")
    for item in items:
        purge(world, item)
    assert all(key.startswith("captures/hourly/") for key in world.store.list(""))
    assert len(list(world.store.list(""))) == 2


@pytest.mark.parametrize(
    "link",
    [
        f'{{"v":1,"key":"{key}","sha256":"{"0" * 64}"}}'
        for key in (
            "captures/hourly/20260301T120000Z/objects/virtualmachineservices/shop/front.json",
            f"{CAPTURES}capture.json",
            f"{CAPTURES}namespaces/shop.json",
            f"{CAPTURES}objects/../capture.json",
            "restores/again/20260301T120000Z/x.json",
            "",
        )
    ]
    + ["{", ""],
    ids=range(8),
)
def test_only_the_items_own_capture_is_removed_wherever_a_link_leads(
    world: World, items: list[dict[str, Any]], link: str
) -> None:
    world.capture(service("front"), name="hourly")
    before = list(world.store.list(""))
    purge(world, service("front", meta={"annotations": {LINK: link}}))
    assert set(before) - set(world.store.list("")) == {f"{CAPTURES}objects/virtualmachineservices/shop/front.json"}
    assert items


def test_an_item_without_link_takes_nothing(world: World, items: list[dict[str, Any]]) -> None:
    purge(world, service("front"))
    assert len(list(world.store.list(CAPTURES))) == len(items) + 2


def test_a_locked_bucket_is_reported(world: World, items: list[dict[str, Any]]) -> None:
    world.store.calls.fail("delete", Forbidden("the object is locked"))
    with pytest.raises(Forbidden, match="locked"):
        purge(world, items[0])


def account(name: str = "default") -> dict[str, Any]:
    return obj("ServiceAccount", name, api="v1")


def sealed_without_objects(world: World) -> None:
    caller = CALLER.set("launched")
    world.cluster.seed(vm("web-1"))
    world.withhold(vm("web-1"))
    CALLER.reset(caller)
    world.app.actions.ended("launched")
    assert world.store.exists(f"{CAPTURES}capture.json")


@pytest.mark.parametrize("item", [account(), vm("web-1")], ids=["every Velero", "a VM that an older Velero stored"])
def test_a_backup_without_groups_and_services_leaves_nothing(world: World, item: dict[str, Any]) -> None:
    sealed_without_objects(world)
    purge(world, account("builder"))
    assert world.store.exists(f"{CAPTURES}capture.json")
    for _ in range(100):
        purge(world, item)
    assert not list(world.store.list(""))
    assert world.store.calls.counts["delete"] == 2


def test_other_items_take_nothing_while_an_object_is_there(world: World, items: list[dict[str, Any]]) -> None:
    for other in (account(), vm("web-1")):
        purge(world, other)
    assert len(list(world.store.list(CAPTURES))) == len(items) + 2


def test_a_failed_look_is_repeated(world: World) -> None:
    sealed_without_objects(world)
    world.store.calls.fail("list", Unavailable("away"))
    with pytest.raises(Unavailable):
        purge(world, account())
    world.store.calls.heal()
    purge(world, account())
    assert not list(world.store.list(""))


def test_a_backup_in_a_location_that_is_not_s3_has_nothing_to_purge(world: World) -> None:
    world.locations.calls.fail("open", ForeignStorage("no S3"))
    purge(world, account())


def test_a_location_that_settings_keep_from_being_opened_is_no_empty_one(world: World) -> None:
    world.locations.namespace = "elsewhere"
    with pytest.raises(InvalidSettings, match="velero_namespace"):
        purge(world, account())


def test_velero_calls_the_plugin_for_its_two_kinds_and_for_backups_without_them(world: World) -> None:
    assert world.app.actions.delete["purge"].applies_to().included_resources == (
        "virtualmachinegroups.vmoperator.vmware.com",
        "virtualmachineservices.vmoperator.vmware.com",
        "virtualmachines.vmoperator.vmware.com",
        "serviceaccounts",
    )


def test_a_document_that_cannot_be_removed_keeps_the_seal_and_no_other(
    world: World, items: list[dict[str, Any]]
) -> None:
    world.store.put(f"{CAPTURES}namespaces/another.json", b"{}", sha256=hashlib.sha256(b"{}").hexdigest())
    *earlier, last = items
    for item in earlier:
        purge(world, item)
    world.store.calls.fail("delete", Forbidden("the object is locked"), on="another.json")
    with pytest.raises(Forbidden, match="locked"):
        purge(world, last)
    assert list(world.store.list(CAPTURES)) == [f"{CAPTURES}capture.json", f"{CAPTURES}namespaces/another.json"]
