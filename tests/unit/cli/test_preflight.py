from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import claim, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

VERSION = "vmoperator.vmware.com/backup-version"
RECORDED = {"annotations": {VERSION: "1795374005000"}}
NODE = {"capv.vmware.com/cluster.role": "worker"}


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = World()
    world.cluster.seed(
        vm("web-1", labels={"app": "web"}, group="shop", meta=RECORDED, claims=["data"], spec={"className": "small"}),
        vm("db-1", group="shop", meta=RECORDED),
        group("shop", ["db-1"], ["web-1"]),
        service("front", {"app": "web"}),
        claim("data"),
        vm("lonely", meta=RECORDED),
        vm("node-1", labels=NODE),
    )
    command.connects_to(lambda: world.start(vcenter=False))
    return world


def test_a_sound_application_is_restorable(world: World, command: CommandLine) -> None:
    del world
    ran = command("preflight", "-n", "shop")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == [
        "VERDICT     APPLICATION  VMS  REASONS",
        "restorable  shop/shop    2    -",
        "in no application, and restorable: 1 VM: shop/lonely",
        "nodes of guest clusters, which RegisterVM cannot bring back: 1 VM: shop/node-1",
        "the records in vCenter were not read: the settings name no vCenter (vcenter.server)",
    ]


def test_wide_shows_what_no_restore_brings_back(world: World, command: CommandLine) -> None:
    del world
    headers, row, *_ = command("preflight", "-A", "-o", "wide").rows
    assert headers == ["VERDICT", "APPLICATION", "VMS", "OBJECTS", "RECORDED", "NEEDS", "REASONS"]
    assert row == [
        "restorable",
        "shop/shop",
        "2",
        "VirtualMachineGroup/shop, VirtualMachineService/front",
        "2026-11-22T19:00:05+00:00",
        "VirtualMachineClass/small",
        "-",
    ]


def test_an_application_that_is_not_restorable_ends_with_exit_code_3(world: World, command: CommandLine) -> None:
    world.cluster.seed(
        vm("web-1", labels={"app": "web"}, group="shop", meta=RECORDED, claims=["lost"], status={"uniqueID": ""}),
        vm("web-2", labels={"app": "web"}, meta=RECORDED, created=False, status={"uniqueID": ""}),
    )
    ran = command("preflight", "-n", "shop")
    assert ran.code == 3
    assert ran.rows[1][:3] == ["not-restorable", "shop/shop", "3"]
    assert ran.rows[1][3] == (
        "VirtualMachine web-2 has no vSphere VM yet: there is nothing to back up;"
        " VirtualMachine web-1 has the PVC lost, which does not exist"
    )
    assert "to do: shop/web-1: look at the claim's events, and back up once it is bound" in ran.lines


def test_json_has_the_checklist_of_each_vm(world: World, command: CommandLine) -> None:
    bootstrap = {"cloudInit": {"rawCloudConfig": {"name": "boot", "key": "user-data"}}}
    world.cluster.seed(vm("lonely", meta=RECORDED, spec={"bootstrap": bootstrap, "powerState": "PoweredOn"}))
    document = json.loads(command("preflight", "-n", "shop", "-o", "json").out)
    (application,) = document["applications"]
    assert (application["verdict"], application["objects"]) == (
        "restorable",
        [{"kind": "VirtualMachineGroup", "name": "shop"}, {"kind": "VirtualMachineService", "name": "front"}],
    )
    (web,) = [entry for entry in application["vms"] if entry["name"] == "web-1"]
    assert (web["claims"], web["recorded_at"]) == ({"data": "Bound"}, "2026-11-22T19:00:05+00:00")
    (alone,) = document["without_application"]
    assert [(reason["code"], reason["blocking"]) for reason in alone["reasons"]] == [
        ("vm-power-changing", False),
        ("bootstrap-missing", False),
    ]
    assert all(reason["hint"] for reason in alone["reasons"])
    assert (document["nodes"], document["records_read_in_vcenter"]) == (["shop/node-1"], False)


def test_a_bootstrap_object_that_is_there_is_looked_for_by_its_metadata_alone(
    world: World, command: CommandLine
) -> None:
    bootstrap = {"cloudInit": {"rawCloudConfig": {"name": "boot", "key": "user-data"}}}
    world.cluster.seed(
        vm("lonely", meta=RECORDED, spec={"bootstrap": bootstrap}),
        obj("Secret", "boot", api="v1", data={"user-data": "c2VjcmV0"}),
    )
    read_all = world.cluster.read_all

    def recorded(kind: Any, namespace: str, read: Any, **options: Any) -> Any:
        assert kind.name != "Secret" or options["metadata_only"]
        return read_all(kind, namespace, read, **options)

    command.patch.setattr(world.cluster, "read_all", recorded)
    ran = command("preflight", "-n", "shop")
    assert "in no application, and restorable: 1 VM: shop/lonely" in ran.lines
    assert "c2VjcmV0" not in ran.out


def test_what_may_not_be_read_is_not_known_and_no_reason_to_refuse(world: World, command: CommandLine) -> None:
    bootstrap = {"cloudInit": {"rawCloudConfig": {"name": "boot", "key": "user-data"}}}
    world.cluster.seed(vm("db-1", group="shop", meta=RECORDED, spec={"bootstrap": bootstrap}))

    def deny(subject: str) -> None:
        if subject.startswith(("Secret", "PersistentVolumeClaim")):
            raise Forbidden(f"listing {subject} is denied")

    world.cluster.calls.before("list", deny)
    ran = command("preflight", "-n", "shop", "-o", "json")
    (application,) = json.loads(ran.out)["applications"]
    assert (ran.code, application["verdict"]) == (0, "restorable")
    assert [(reason["code"], reason["severity"]) for reason in application["reasons"]] == [
        ("claims-unknown", "note"),
        ("bootstrap-unknown", "note"),
    ]


def test_an_application_is_chosen_by_any_of_its_names(world: World, command: CommandLine) -> None:
    world.cluster.seed(service("side", {"app": "side"}), vm("side-1", labels={"app": "side"}, meta=RECORDED))
    assert command("preflight", "-n", "shop", "-o", "name").lines == ["shop/shop", "shop/side"]
    assert command("preflight", "-A", "front", "-o", "name").lines == ["shop/shop"]
    assert command("preflight", "-A", "shop/side", "-o", "name").lines == ["shop/side"]
    assert [row[1] for row in command("preflight", "-n", "shop", "side", "--no-headers").rows] == ["shop/side"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentences"),
    [
        ([], 2, ["no namespace is named, and the kubeconfig's context has none", "name it with -n"]),
        (["-n", "shop", "-A"], 2, ["name namespaces with -n, or ask for --all-namespaces"]),
        (["-n", "shop", "shpo"], 2, ["there is no application shpo", "there are: shop/shop"]),
        (["-n", "shpo"], 1, ["namespace shpo does not exist", "check the spelling and the kubeconfig's context"]),
        (["-n", "shop", "-o", "xml"], 2, ["Invalid value for '-o' / '--output'"]),
    ],
)
def test_misuse(world: World, command: CommandLine, arguments: list[str], code: int, sentences: list[str]) -> None:
    del world
    ran = command("preflight", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert [sentence for sentence in sentences if sentence not in ran.err] == []


def test_an_api_server_without_vms_is_no_sound_cluster(world: World, command: CommandLine) -> None:
    for name in ("web-1", "db-1", "lonely", "node-1"):
        world.lose(vm(name))
    world.cluster.serve(VIRTUAL_MACHINE)
    ran = command("preflight", "-n", "shop")
    assert ran.code == 1
    assert "does not serve virtualmachines.vmoperator.vmware.com" in ran.err


def test_a_vcenter_that_is_away_leaves_the_records_unknown(world: World, command: CommandLine) -> None:
    world.vsphere.vcenter.calls.fail("look", Unavailable("vCenter is away"))
    command.connects_to(world.start)
    document = json.loads(command("preflight", "-n", "shop", "-o", "json").out)
    (application,) = document["applications"]
    assert [(reason["code"], reason["severity"]) for reason in application["reasons"]] == [("vcenter-unknown", "note")]


def test_help_has_examples(command: CommandLine) -> None:
    ran = command("preflight", "--help")
    assert ran.code == 0
    assert "velero-vmservice preflight -n shop" in ran.out
