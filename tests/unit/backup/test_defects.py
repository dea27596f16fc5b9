"""An unexpected exception fails no backup: it is logged under an id, and the other items go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice.kube.manifest import STORAGE_CLASS
from velero_vmservice.supervisor import observe
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from structlog.testing import LogCapture

DEFECT = KeyError("what only the log may say")


def defects(log: LogCapture) -> list[str]:
    return [entry["object"] for entry in log.entries if entry["event"] == "internal error"]


@pytest.mark.parametrize("method", ["list", "get"])
def test_a_withheld_item_is_left_out_whatever_breaks_down(world: World, log: LogCapture, method: str) -> None:
    world.cluster.calls.fail(method, DEFECT)
    item = world.withhold(vm("web-1")).item
    assert item["metadata"]["annotations"] == {"velero.io/skip-from-backup": "true"}
    assert len(defects(log)) == 1


def test_a_store_that_breaks_down_fails_no_withheld_item_and_is_left_alone_for_a_while(
    world: World, log: LogCapture
) -> None:
    world.store.calls.fail("put", DEFECT)
    for name in ("web-1", "web-2"):
        world.withhold(vm(name))
    assert defects(log) == ["the facts of namespace shop"]


def test_a_look_at_the_cluster_that_breaks_down_leaves_the_item_to_the_restore(
    log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(supervisor="detect")

    def broken(_: str) -> bool:
        raise DEFECT

    monkeypatch.setattr(world.cluster, "serves_group", broken)
    assert "annotations" not in world.withhold(vm("web-1")).item["metadata"]
    assert defects(log) == ["VirtualMachine shop/web-1"]


def test_velero_learns_the_resources_to_withhold_whatever_breaks_down(world: World) -> None:
    world.cluster.calls.fail("get", DEFECT)
    assert world.app.actions.backup["withhold"].applies_to().included_resources


def test_a_capture_is_not_failed_for_the_sake_of_a_warning(world: World, log: LogCapture) -> None:
    world.cluster.calls.fail("get", DEFECT, on="ConfigMap")
    assert world.capture(service("front")).operation_id
    assert len(defects(log)) == 1


def test_a_backup_without_an_operation_is_sealed_though_another_breaks_down(world: World, log: LogCapture) -> None:
    caller = CALLER.set("a process")
    try:
        for name in ("nightly", "hourly"):
            world.withhold(vm("web-1"), name=name)
    finally:
        CALLER.reset(caller)
    world.store.calls.fail("put", DEFECT, on=f"{CAPTURES}capture.json")
    world.app.actions.ended("a process")
    assert world.store.exists(f"{CAPTURES.replace('nightly', 'hourly')}capture.json")
    assert defects(log) == ["the seal of backup nightly"]


def test_references_that_cannot_be_listed_stop_no_look(world: World) -> None:
    world.cluster.serve(STORAGE_CLASS, "v1")
    world.cluster.calls.fail("list", DEFECT)
    assert observe.referred(world.cluster, "shop", [STORAGE_CLASS]) == {}
