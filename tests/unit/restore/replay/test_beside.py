"""What a restore promises beside the VM: bootstrap objects, PVCs that are replaced, a BIOS UUID of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import claim, obj, service, vm, with_policy
from velero_vmservice.errors import Forbidden, Unavailable

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
BOOTSTRAP = {"bootstrap": {"cloudInit": {"rawCloudConfig": {"name": "web-1-init", "key": "data"}}}}
VM = vm("web-1", labels=WEB, claims=["data"], spec=BOOTSTRAP)
FRONT, BACK = service("front", WEB), service("back", WEB)
MARK = {"annotations": {"vmoperator.vmware.com/restored-vm": ""}}
PREFIX = "restores/again/20260301T120000Z/"


def restored(world: World, **after: Any) -> dict[str, Any]:
    """Restore an application whose VM has come back so; return its result in the report."""
    items = world.back_up(VM, FRONT, BACK)
    world.lose(VM, FRONT, BACK)
    operations = world.replay_all(items)
    claims = after.get("claims", ())
    world.cluster.seed(vm("web-1", **{"labels": WEB, "uid": "new", "meta": MARK, "spec": BOOTSTRAP, **after}))
    world.cluster.seed(*({**claim(name), "status": {"phase": "Bound"}} for name in claims))
    world.finish(operations)
    report: dict[str, Any] = world.document(f"{PREFIX}report.json")
    return report


def attributes(report: dict[str, Any]) -> list[str]:
    return [deviation["attribute"] for machine in report["machines"] for deviation in machine["deviations"]]


def lists(world: World, kind: str) -> int:
    return [subject for method, subject in world.cluster.calls.made if method == "list"].count(f"{kind} shop")


def test_a_bootstrap_object_that_is_not_there_is_in_the_report_and_lists_are_few(world: World) -> None:
    report = restored(world)
    assert "bootstrap object web-1-init" in attributes(report)
    assert any("bootstrap object web-1-init of shop/web-1 is missing" in warning for warning in report["warnings"])
    assert (lists(world, "Secret"), lists(world, "ConfigMap")) == (1, 1)


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_a_bootstrap_object_that_is_there_is_not_reported(world: World, kind: str) -> None:
    world.cluster.seed(obj(kind, "web-1-init", api="v1"))
    assert "bootstrap object web-1-init" not in attributes(restored(world))


def test_a_disk_that_an_in_place_restore_leaves_over_is_in_the_report(world: World) -> None:
    world.cluster.seed({**claim("data"), "status": {"phase": "Bound"}})
    report = restored(world, uid="uid-of-web-1", claims=["restored-0a1b2c"])
    assert "PVC data" in attributes(report)


@pytest.mark.parametrize("error", [Forbidden("denied"), Unavailable("away")], ids=lambda e: e.code)
def test_a_right_that_is_missing_is_a_note(world: World, error: Exception) -> None:
    world.cluster.calls.fail("list", error, on="Secret")
    report = restored(world)
    assert report["outcome"] == "verified"
    assert not [attribute for attribute in attributes(report) if attribute.startswith("bootstrap")]
    assert any("secrets" in note and error.args[0] in note for result in report["objects"] for note in result["notes"])


def test_another_vm_with_the_bios_uuid_blocks_registration_with_what_to_do(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    world.cluster.seed(vm("copy", status={"biosUUID": "BIOS-of-web-1"}))
    asks = with_policy(**{"registered-within": "1m"})
    operations = world.replay_all(items, **asks)
    world.round(operations, **asks)
    (progress,) = world.round(operations, **asks).values()
    assert "blocked: web-1: not registered yet; copy has its BIOS UUID" in progress.description
    world.finish(operations, **asks)
    (result,) = world.document(f"{PREFIX}report.json")["objects"]
    assert result["stage"] == "failed"
    assert "Decide which of the two VMs" in result["remedy"][0]
