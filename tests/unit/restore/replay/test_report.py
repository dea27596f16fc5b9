"""What a restore leaves in the bucket: a result per object as it ended, and one report after the last of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, restore, service, vm, with_policy
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.vmoperator.marks import SNAPSHOT_REVERT_ANNOTATION

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
RAN = {"power": "PoweredOn", "ip": "192.0.2.1"}
VM = vm("web-1", labels=WEB, group="tier", **RAN)
TIER = group("tier", ["web-1"], powerState="PoweredOn")
FRONT = service("front", WEB, more={"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}})
PREFIX = "restores/again/20260301T120000Z/"
REPORT, PAGE = f"{PREFIX}report.json", f"{PREFIX}report.html"


def lost(world: World, *objects: dict[str, Any]) -> list[str]:
    items = world.back_up(*objects)
    world.lose(*objects)
    return world.replay_all(items)


def back(world: World, **rest: Any) -> None:
    world.cluster.seed(vm("web-1", **{"labels": WEB, "group": "tier", "uid": "new", **rest}))


def result(world: World, plural: str, name: str) -> dict[str, Any]:
    return world.document(f"{PREFIX}{plural}/shop/{name}.json")


def written(world: World, key: str) -> int:
    return sum(call == ("put", key) for call in world.store.calls.made)


def test_the_results_of_what_came_back_and_runs(world: World) -> None:
    operations = lost(world, VM, TIER, FRONT)
    back(world)
    world.finish(operations, **with_policy(power="captured"))
    tier, front = result(world, "virtualmachinegroups", "tier"), result(world, "virtualmachineservices", "front")
    assert (tier["stage"], tier["action"], tier["power_before"]) == ("verified", "create", "PoweredOn")
    assert tier["members"] == [{"kind": "VirtualMachine", "name": "web-1", "order": 0, "linked": True}]
    assert (front["stage"], front["selected"], front["endpoints"]) == ("verified", ["web-1"], ["web-1"])
    assert (front["addresses_before"], front["addresses_after"]) == (["192.0.2.10"], [])
    assert [(port["name"], port["port"], port["target_port"], port["probe"]) for port in front["ports"]] == [
        ("http", 80, 8080, "")
    ]
    (machine,) = world.document(REPORT)["machines"]
    assert (machine["power_before"], machine["power_after"], machine["registered"]) == ("PoweredOn", "PoweredOn", True)
    assert (machine["addresses_before"], machine["waiting_for"]) == (["192.0.2.1"], "")
    assert [result["next_commands"] for result in (tier, front)] == [[], []]
    assert any(text.startswith("powering: ") for _, text in tier["timeline"])


def test_the_results_of_what_came_back_and_is_off(world: World) -> None:
    operations = lost(world, VM, TIER, FRONT)
    back(world)
    world.finish(operations)
    (command,) = result(world, "virtualmachinegroups", "tier")["next_commands"]
    assert "patch virtualmachinegroup tier" in command
    assert any(command in step for step in world.document(REPORT)["next_steps"])


def test_the_result_of_what_was_left_as_it_is(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.cluster.seed(service("front", {"app": "other"}))
    world.finish(world.replay_all(items))
    stored = result(world, "virtualmachineservices", "front")
    assert (stored["stage"], stored["action"]) == ("retained", "retain")
    assert stored["changes"] == [{"path": "spec.selector", "captured": '{"app": "web"}', "live": '{"app": "other"}'}]
    assert world.document(REPORT)["outcome"] == "retained"


def test_the_result_of_what_failed(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.cluster.seed(service("front", WEB, type="ClusterIP"))
    policy = with_policy(conflict="update")
    world.finish(world.replay_all(items), **policy)
    stored = result(world, "virtualmachineservices", "front")
    assert (stored["stage"], stored["action"], stored["next_commands"]) == ("failed", "conflict", [])
    assert "spec.type cannot be changed" in stored["reason"]
    assert [change["path"] for change in stored["changes"]] == ["spec.type"]
    report = world.document(REPORT)
    assert (report["outcome"], report["policy"]["conflict"]) == ("failed", "update")
    assert report["steps"][0]["words"].startswith("VirtualMachineService shop/front failed: conflict: exists and ")
    assert report["warnings"] == []


def test_the_next_step_of_a_failed_object_says_what_to_do(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.cluster.seed(service("front", WEB, type="ClusterIP"))
    world.finish(world.replay_all(items), **with_policy(conflict="update"))
    (remedy,) = result(world, "virtualmachineservices", "front")["remedy"]
    assert remedy == "Remove the object yourself if the captured one is wanted, then repeat the restore."
    (step, *_) = world.document(REPORT)["steps"]
    assert (step["words"].count("emove the object yourself"), step["words"].count("repeat the restore")) == (1, 1)
    assert step["commands"] == ["velero-vmservice restore --resume again"]
    assert remedy in world.store.get(PAGE).decode()


def test_an_object_cancelled_while_it_waits_for_rights_names_them(world: World) -> None:
    operations = lost(world, VM, FRONT)
    back(world)
    world.cluster.calls.fail("dry-run create", Forbidden("may not create", hint="grant create on services"))
    for _ in range(3):
        world.round(operations)
    world.app.actions.restore["replay"].cancel(operations[0], restore())
    remedy = "Grant create on services; then repeat the restore."
    assert result(world, "virtualmachineservices", "front")["remedy"] == [remedy]
    (step, *_) = world.document(REPORT)["steps"]
    assert step["words"].startswith("VirtualMachineService shop/front cancelled: Velero's time ")
    assert "may not create: grant create on services" in step["words"]


def test_a_vm_that_nothing_registers_by_itself_is_the_first_step(world: World) -> None:
    operations = lost(world, VM, FRONT)
    reverting = {"annotations": {SNAPSHOT_REVERT_ANNOTATION: "true"}}
    back(world, meta=reverting)
    world.round(operations)
    world.app.actions.restore["replay"].cancel(operations[0], restore())
    report = world.document(REPORT)
    assert [vm_result["by_hand"] for vm_result in report["machines"]] == [True]
    (step, *_) = report["steps"]
    assert step["words"].endswith("Call RegisterVM once for each that was also restored: shop/web-1.")
    assert "which holds back VirtualMachineService shop/front (cancelled)" in step["words"]
    assert "register-VM --namespace shop" in step["commands"][0]
    assert step["commands"][-1] == "velero-vmservice restore --resume again"


def test_the_result_of_what_was_cancelled_while_it_waited(world: World) -> None:
    operations = lost(world, VM, FRONT)
    world.round(operations)
    world.app.actions.restore["replay"].cancel(operations[0], restore())
    stored = result(world, "virtualmachineservices", "front")
    assert (stored["stage"], stored["action"]) == ("cancelled", "wait")
    report = world.document(REPORT)
    (machine,) = report["machines"]
    assert (machine["registered"], machine["waiting_for"]) == (False, "not registered yet")
    assert report["outcome"] == "cancelled"


def test_an_object_whose_capture_is_damaged_has_a_result_without_vms(world: World) -> None:
    operations = lost(world, VM, FRONT)
    (key,) = (key for key in world.store.list("captures/") if key.endswith("front.json"))
    world.store.tamper(key, b"rotten")
    world.finish(operations)
    stored = result(world, "virtualmachineservices", "front")
    assert (stored["stage"], stored["action"], stored["selected"]) == ("failed", "", [])


def test_the_report_is_written_once_after_the_last_object(world: World) -> None:
    operations = lost(world, VM, TIER, FRONT, service("none", {"app": "none"}))
    for _ in range(4):
        world.round(operations)
    assert (written(world, REPORT), written(world, PAGE)) == (0, 0)
    back(world)
    last = world.finish(operations)
    assert (written(world, REPORT), written(world, PAGE)) == (1, 1)
    to_come = "the report is made when the restore's last object has ended: velero-vmservice report again"
    stored = f"report: memory://plugins/vmservice/{PAGE} (velero-vmservice report again)"
    assert {progress.description.rpartition(" | ")[2] for progress in last.values()} == {to_come, stored}
    for _ in range(3):
        world.round(operations)
    assert written(world, REPORT) == 1
    assert [event.reason for event in world.cluster.events].count("Reported") == 1
    assert world.store.get(PAGE).startswith(b"<!doctype html>")


@pytest.mark.parametrize("uid", ["new", None], ids=["registered anew", "never lost"])
@pytest.mark.parametrize("at", range(6))
def test_the_report_is_written_after_a_restart_too(world: World, at: int, uid: str | None) -> None:
    """Whichever object is the last, and however few are still asked about."""
    operations = lost(world, VM, TIER, FRONT, service("none", {"app": "none"}))
    back(world, uid=uid)
    open_ones, number = list(operations), 0
    while open_ones:
        assert number < 20
        if number >= at:  # a process that ends after this round, if a poll of it was of use
            world.restart()
        polled = world.round(open_ones)
        polled |= world.round([operation for operation in open_ones if not polled[operation].completed])
        polled |= world.round([operation for operation in open_ones if not polled[operation].completed])
        open_ones = [operation for operation in open_ones if not polled[operation].completed]
        number += 1
    report = world.document(REPORT)
    assert {result["name"]: result["stage"] for result in report["objects"]} == dict.fromkeys(
        ("tier", "front", "none"), "verified"
    )
    assert report["outcome"] == "verified"


def test_the_last_object_alone_in_a_new_process_makes_the_report(world: World) -> None:
    operations = lost(world, service("a", {"app": "none"}), service("b", {"app": "none"}))
    polled = world.round(operations)
    polled |= world.round(operations)
    assert all(progress.completed for progress in polled.values())
    world.store.delete(REPORT)
    world.store.delete(PAGE)
    world.restart()  # as if it had ended before the report was made
    (last,) = world.finish(operations[1:]).values()
    assert last.completed
    assert {result["name"] for result in world.document(REPORT)["objects"]} == {"a", "b"}


def test_a_store_that_is_away_at_the_end_gets_its_report_when_it_is_back(world: World) -> None:
    operations = lost(world, service("a", {"app": "none"}), service("b", {"app": "none"}))
    world.round(operations)
    world.store.calls.fail("put", Unavailable("s3 is away"), on="report")
    for _ in range(3):
        polled = world.round(operations)
    assert [progress.completed for progress in polled.values()].count(False) == 1
    assert "the report is not stored yet: s3 is away" in polled[operations[1]].description
    world.restart()
    world.store.calls.heal()
    world.finish(operations[1:])
    report = world.document(REPORT)
    assert ({result["name"] for result in report["objects"]}, report["outcome"]) == ({"a", "b"}, "verified")
