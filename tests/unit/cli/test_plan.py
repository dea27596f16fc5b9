from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests.unit.builders import backup, group, obj, service, vm, vsphere_namespace
from tests.unit.world import CAPTURES, World
from velero_vmservice.errors import Corrupt, Rejected, Unavailable

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine


def lost(command: CommandLine) -> World:
    """A world that has lost a service in each of two namespaces."""
    world = World()
    world.cluster.seed(vsphere_namespace("bill"))
    objects = [
        vm("web-1", labels={"app": "web"}),
        service("front", {"app": "web"}),
        vm("db-1", labels={"app": "db"}, namespace="bill"),
        service("db", {"app": "db"}, meta={"namespace": "bill"}),
    ]
    world.back_up(*objects)
    world.lose(*objects)
    command.connects_to(world.start)
    return world


def test_an_object_that_cannot_be_read_is_blocked_and_the_others_are_planned(command: CommandLine) -> None:
    world = lost(command)
    world.store.calls.fail("get", Corrupt("it is not what was written"), on=f"{CAPTURES}namespaces/bill.json")
    ran = command("plan", "nightly", "-o", "json")
    planned = {item["name"]: (item["action"], item["reason"]) for item in json.loads(ran.out)["objects"]}
    assert planned == {"db": ("blocked", "it is not what was written"), "front": ("wait", "web-1: not registered yet")}
    assert ran.code == 3


def test_a_store_that_is_away_is_no_plan(command: CommandLine) -> None:
    world = lost(command)
    world.store.calls.fail("get", Unavailable("the bucket is away"), on=f"{CAPTURES}namespaces/bill.json")
    ran = command("plan", "nightly")
    assert (ran.code, ran.out, ran.err) == (1, "", "velero-vmservice: the bucket is away\n")


def test_a_mapping_into_a_missing_namespace_is_blocked_and_reported_once(command: CommandLine) -> None:
    world = World()
    labels = {"app": "web"}
    world.back_up(vm("web-1", labels=labels), service("front", labels), service("side", labels), service("alone"))
    command.connects_to(world.start)
    ran = command("plan", "nightly", "--namespace-mapping", "shop:shop2")
    sentence = "the namespace shop2 does not exist, so nothing can be registered into it"
    assert ran.code == 3
    assert ran.out.count(sentence) == 1
    remedy = "Create shop2 as a vSphere Namespace in vCenter; then repeat the restore."
    assert f"(1) {sentence} | to do: {remedy}" in ran.lines
    assert ["blocked", "VirtualMachineService shop2/side", "0/1", "(1)"] in ran.rows
    planned = json.loads(command("plan", "nightly", "--namespace-mapping", "shop:shop2", "-o", "json").out)["objects"]
    refused = {(item["action"], item["reason"], item["remedy"]) for item in planned if item["namespace"] == "shop2"}
    assert refused == {("blocked", sentence, remedy)}


def test_a_plain_namespace_blocks_what_waits_for_a_vm(command: CommandLine) -> None:
    world = lost(command)
    world.cluster.seed(obj("Namespace", "dr", api="v1", namespace="", meta={"annotations": {}}))
    ran = command("plan", "nightly", "--namespace-mapping", "shop:dr")
    assert ran.code == 3
    assert "the namespace dr is not a vSphere Namespace, so nothing can be registered into it" in ran.out


def test_a_mapped_namespace_that_the_backup_does_not_have_is_an_error_that_names_those_it_has(
    command: CommandLine,
) -> None:
    lost(command)
    ran = command("plan", "nightly", "--namespace-mapping", "shp:shop2")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "velero-vmservice: the capture holds no object of namespace shp",
        "hint: name one of: bill, shop",
    ]


def test_a_backup_without_a_capture_is_not_restorable(command: CommandLine) -> None:
    world = lost(command)
    world.cluster.seed(backup("other"))
    ran = command("plan", "other")
    assert (ran.code, ran.out) == (3, "")
    assert "Backup other has no sealed capture" in ran.err


@pytest.mark.parametrize("width", [80, 110])
def test_a_table_keeps_names_and_reasons_whole(command: CommandLine, width: int) -> None:
    names = ["a-service-with-a-long-name-01", "a-service-with-a-long-name-02"]
    world = World()
    objects = [vm("web-1", labels={"app": "web"}), *(service(name, {"app": "web"}) for name in names)]
    world.back_up(*objects)
    world.lose(*objects[1:])
    command.connects_to(world.start)
    reason = "the webhook wants spec.ports[0].targetPort to be one that the platform team has on its list of ports"
    world.cluster.calls.fail("dry-run create", Rejected(reason))
    terminal = partial(Console, force_terminal=True, width=width, legacy_windows=False, _environ={"TERM": "dumb"})
    command.patch.setattr("velero_vmservice.cli.views.terminal.Console", terminal)
    ran = command("plan", "nightly")
    for name in names:
        assert any(f"shop/{name}" in line for line in ran.lines)
    assert any(reason in line for line in ran.lines)
    assert ran.out.count(reason) == 1
    assert "…" not in ran.out


def test_a_webhooks_message_is_never_markup(command: CommandLine) -> None:
    world = World()
    objects = [vm("web-1", labels={"app": "web"}), service("front", {"app": "web"})]
    world.back_up(*objects)
    world.lose(objects[1])
    command.connects_to(world.start)
    world.cluster.calls.fail(
        "dry-run create", Rejected("[/spec/ports] is [link=https://example.com]bad[/link]\x1b[2J\u202e")
    )
    ran = command("plan", "nightly")
    assert r"[/spec/ports] is [link=https://example.com]bad[/link]\u001b[2J\u202e" in ran.out
    planned = json.loads(command("plan", "nightly", "-o", "json").out)["objects"]
    assert planned[0]["reason"].endswith("\\u001b[2J\\u202e")


def test_objects_that_the_backup_left_out_are_listed(command: CommandLine) -> None:
    world = World()
    tier, front = group("tier", ["web-1"]), service("front", {"app": "web"})
    machine = vm("web-1", labels={"app": "web"}, group="tier")
    world.cluster.seed(tier, front, machine)
    world.withhold(machine)
    assert world.seal(world.capture(front).operation_id).completed
    command.connects_to(world.start)
    ran = command("plan", "nightly")
    assert "left out: VirtualMachineGroup shop/tier is not captured" in ran.out
    assert json.loads(command("plan", "nightly", "-o", "json").out)["not_in_backup"][0].endswith(": web-1.")


def test_a_namespace_of_vms_alone_has_a_plan(command: CommandLine) -> None:
    world = World()
    world.cluster.seed(vm("alone"))
    world.withhold(vm("alone"))
    world.app.actions.ended("")
    command.connects_to(world.start)
    ran = command("plan", "nightly")
    assert ["skip-identical", "VirtualMachines of shop", "1/1", "every VM is registered"] in ran.rows
