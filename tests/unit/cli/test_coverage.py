"""`velero-vmservice coverage` as an administrator runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.errors import Unavailable
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION, ObjectRef
from velero_vmservice.vadp.capturing import CaptureRequest

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = World()
    location = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
    world.cluster.seed(location, obj("Namespace", NAMESPACE, api="v1", namespace=""))
    made = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    world.cluster.seed(
        vm("web-1", labels={"app": "web"}, group="web", meta=made),
        group("web", ["web-1"], meta=made),
        service("front", {"app": "web"}, meta=made),
    )
    command.connects_to(world.start)
    return world


def take(world: World) -> None:
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="Gold", restore_point="4711"))
    world.clock.advance(7300.0)


def test_all_that_is_protected_exits_with_0(command: CommandLine, world: World) -> None:
    take(world)
    ran = command("coverage")
    assert (ran.code, ran.err) == (0, "")
    capture = world.app.catalogue.list().captures[0].ref
    assert ran.rows == [
        ["OBJECT", "STATE", "CAPTURE", "AGE", "JOB", "WHY"],
        ["VirtualMachineGroup shop/web", "protected", str(capture), "2h", "Gold", "-"],
        ["VirtualMachineService shop/front", "protected", str(capture), "2h", "Gold", "-"],
        ["VirtualMachine shop/web-1", "protected", str(capture), "2h", "Gold", "-"],
        ["3 of 3 objects are protected"],
    ]


def test_what_is_not_protected_exits_with_3_and_a_reason(command: CommandLine, world: World) -> None:
    take(world)
    world.cluster.seed(vm("new-1"))
    ran = command("coverage", "-n", NAMESPACE, "-o", "json")
    assert ran.code == 3
    document = json.loads(ran.out)
    (new,) = (entry for entry in document["objects"] if entry["name"] == "new-1")
    assert (new["state"], [reason["code"] for reason in new["reasons"]]) == (
        "unprotected",
        ["no-capture", "no-application"],
    )
    web = next(entry for entry in document["objects"] if entry["name"] == "web-1")
    assert (web["capture"]["vadp_job"], web["capture"]["restore_point"]) == ("Gold", "4711")


def test_names_are_arguments_of_other_commands(command: CommandLine, world: World) -> None:
    take(world)
    assert command("coverage", "-o", "name").lines == [
        "VirtualMachineGroup/shop/web",
        "VirtualMachineService/shop/front",
        "shop/web-1",
    ]


def test_the_page_is_html(command: CommandLine, world: World) -> None:
    take(world)
    ran = command("coverage", "-o", "html")
    assert ran.code == 0
    assert ran.out.startswith("<!doctype html>")
    assert "all protected" in ran.out


def test_a_bucket_that_is_away_is_no_answer(command: CommandLine, world: World) -> None:
    take(world)
    world.store.calls.fail("get", Unavailable("the bucket is away"))
    ran = command("coverage")
    assert ran.code == 1
    assert "not read: the bucket is away" in ran.err
    assert ["VirtualMachine shop/web-1", "unknown"] in [row[:2] for row in ran.rows]


@pytest.mark.usefixtures("world")
def test_help_names_the_exit_codes_and_has_examples(command: CommandLine) -> None:
    ran = command("coverage", "--help")
    assert ran.code == 0
    assert "Exits with 3 if anything is not protected, with 1 if that is not known." in ran.out
    assert "velero-vmservice coverage -o html > coverage.html" in ran.out


@pytest.mark.usefixtures("world")
def test_a_namespace_that_does_not_exist_is_an_error(command: CommandLine) -> None:
    ran = command("coverage", "-n", "shopp")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "velero-vmservice: namespace shopp does not exist",
        "hint: check the spelling and the kubeconfig's context",
    ]


@pytest.mark.usefixtures("world")
def test_a_duration_that_is_none_is_refused(command: CommandLine) -> None:
    ran = command("coverage", "--within", "a month")
    assert (ran.code, ran.out) == (2, "")
    assert '"a month" is not a duration' in ran.err


def test_without_a_bucket_the_hint_says_what_to_set(command: CommandLine, world: World) -> None:
    world.cluster.remove(ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default"))
    ran = command("coverage")
    assert (ran.code, ran.out) == (1, "")
    assert "hint: set bucket.name in the settings" in ran.err
