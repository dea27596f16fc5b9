from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, claim, group, obj, service, vm, vsphere_namespace
from tests.unit.world import World
from velero_vmservice.archive import schema
from velero_vmservice.documents import canonical, digest
from velero_vmservice.errors import Forbidden
from velero_vmservice.kube.manifest import PERSISTENT_VOLUME_CLAIM, ObjectRef

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.builders import Json
    from tests.unit.cli.command_line import CommandLine

VERSION = "vmoperator.vmware.com/backup-version"
OLDER, NEWER = "1795374005000", "1795374006000"
SEAL = "captures/nightly/20260301T120000Z/capture.json"


def web(version: str = OLDER, *, power: str = "PoweredOff", volume: str = "data") -> Json:
    return vm(
        "web-1",
        labels={"app": "web"},
        group="shop",
        meta={"annotations": {VERSION: version}},
        power=power,
        spec={"volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": volume}}]},
    )


OBJECTS = (
    web(),
    vm("lonely", meta={"annotations": {VERSION: OLDER}}),
    group("shop", ["web-1"]),
    service("front", {"app": "web"}),
)


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = World()
    world.cluster.seed(obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero"), claim("data"))
    world.cluster.seed(*OBJECTS)
    world.withhold(OBJECTS[1])
    world.back_up(*OBJECTS)
    command.connects_to(world.start)
    return world


def restore(command: CommandLine, kind: str, *more: str) -> list[list[str]]:
    return command("preflight", "--restore", kind, "--from", "nightly", *more).rows


def test_a_restore_to_new_vms_where_nothing_is_in_the_way(world: World, command: CommandLine) -> None:
    world.lose(*OBJECTS)
    ran = command("preflight", "--restore", "new", "--from", "nightly")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == [
        "restore new from nightly/20260301T120000Z; target: VCF 9.0+",
        "VERDICT     APPLICATION  INTO  VMS  REASONS",
        "restorable  shop/shop    shop  1    -",
        "restorable  shop/lonely  shop  1    -",
    ]


def test_the_newest_capture_that_holds_an_application_is_the_latest(world: World, command: CommandLine) -> None:
    world.lose(*OBJECTS)
    ran = command("preflight", "--restore", "new", "--from", "latest", "front")
    assert (ran.code, ran.lines[0]) == (0, "restore new from nightly/20260301T120000Z; target: VCF 9.0+")
    assert ran.rows[2][:3] == ["restorable", "shop/shop", "shop"]
    missing = command("preflight", "--restore", "new", "--from", "latest", "ghost")
    assert (missing.code, missing.out) == (1, "")
    assert "no bucket has a sealed capture with application ghost" in missing.err


def test_a_vm_that_is_there_is_in_the_way_of_a_new_one(world: World, command: CommandLine) -> None:
    del world
    ran = command("preflight", "--restore", "new", "--from", "nightly", "front")
    assert ran.code == 3
    assert ran.rows[2] == [
        "not-restorable",
        "shop/shop",
        "shop",
        "1",
        "VirtualMachine web-1 is the name of a VM that is there",
    ]
    assert "to do: shop/web-1: restore in place if it is the same VM, or into another namespace" in ran.lines


def test_another_namespace_is_looked_at_instead(world: World, command: CommandLine) -> None:
    world.cluster.seed(vsphere_namespace("dr"))
    assert restore(command, "new", "--into", "dr")[2][:3] == ["restorable", "shop/shop", "dr"]
    assert restore(command, "new", "--namespace-mapping", "shop:dr")[2][:3] == ["restorable", "shop/shop", "dr"]
    ran = command("preflight", "--restore", "new", "--from", "nightly", "--into", "nowhere")
    assert ran.code == 3
    assert "Namespace nowhere does not exist" in ran.out


def test_in_place_records_what_is_replaced_and_advises_to_power_off(
    world: World, command: CommandLine, tmp_path: Path
) -> None:
    world.cluster.seed(web(NEWER, power="PoweredOn"))
    kept = tmp_path / "before.json"
    ran = command("preflight", "--restore", "in-place", "--from", "nightly", "shop", "--record", str(kept))
    assert ran.code == 0
    assert ran.rows[2][0] == "with-warnings"
    assert "is powered on" in ran.rows[2][4]
    assert (
        "power off: kubectl -n shop patch virtualmachine web-1 --type merge"
        """ -p '{"spec": {"powerState": "PoweredOff"}}'"""
    ) in ran.lines
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    recorded = json.loads(kept.read_text())
    (namespace,) = recorded["namespaces"]
    assert [entry["metadata"]["name"] for entry in namespace["vms"]] == ["web-1"]
    assert [entry["metadata"]["name"] for entry in namespace["claims"]] == ["data"]
    assert world.writes() == []


def test_what_is_left_over_afterwards_is_named(world: World, command: CommandLine, tmp_path: Path) -> None:
    world.cluster.seed(web(NEWER))
    kept = tmp_path / "before.json"
    command("preflight", "--restore", "in-place", "--from", "nightly", "--record", str(kept))
    world.cluster.seed(web(OLDER, volume="restored-a1b2c3"), claim("restored-a1b2c3"))
    ran = command("preflight", "--compare", str(kept))
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[1:] == [
        "VM          VOLUME  PVC BEFORE  PVC NOW          STATE",
        "shop/web-1  disk    data        restored-a1b2c3  left-over",
        "left over, and used by no VM: shop/data; their owner deletes them once the VM is sound",
    ]
    world.cluster.remove(ObjectRef(PERSISTENT_VOLUME_CLAIM, NAMESPACE, "data"))
    document = json.loads(command("preflight", "--compare", str(kept), "-o", "json").out)
    assert [entry["state"] for entry in document["claims"]] == ["replaced"]
    assert document["capture"] == "nightly/20260301T120000Z"


def test_in_place_without_a_record_warns(world: World, command: CommandLine) -> None:
    world.cluster.seed(web(NEWER))
    document = json.loads(command("preflight", "--restore", "in-place", "--from", "nightly", "shop", "-o", "json").out)
    (application,) = document["applications"]
    assert [(reason["code"], reason["blocking"]) for reason in application["reasons"]] == [
        ("state-not-recorded", False)
    ]


def test_failover_says_what_becomes_of_images(world: World, command: CommandLine) -> None:
    world.lose(*OBJECTS)
    ran = command("preflight", "--restore", "failover", "--from", "nightly", "-o", "json")
    assert ran.code == 0
    codes = {reason["code"] for entry in json.loads(ran.out)["applications"] for reason in entry["reasons"]}
    assert codes == {"vcenter-not-compared"}


def test_a_failover_is_told_by_the_vcenter_that_vms_of_the_target_name(world: World, command: CommandLine) -> None:
    at = {"annotations": {"vmoperator.vmware.com/manager-id": "vc-a", VERSION: OLDER}}
    world.cluster.seed(vm("old", labels={"app": "old"}, meta=at), service("old", {"app": "old"}))
    for key in list(world.store.list("captures/")):
        world.store.delete(key)
    world.restart()
    world.back_up(service("old", {"app": "old"}))
    world.lose(vm("old"))
    assert restore(command, "failover")[2][0] == "restorable"
    world.cluster.seed(vm("here", meta=at))
    ran = command("preflight", "--restore", "failover", "--from", "nightly")
    assert (ran.code, ran.rows[2][0]) == (3, "not-restorable")
    assert "was captured in this very vCenter (vc-a)" in ran.out
    world.cluster.calls.fail("list", Forbidden("denied"), on="VirtualMachine ")
    assert command("preflight", "--restore", "failover", "--from", "nightly").code == 1


def test_the_vadp_job_stands_where_the_capture_does(world: World, command: CommandLine) -> None:
    content = world.document(SEAL)
    content["vadp"] |= {"job": "gold", "restore_point": "rp-7"}
    body = canonical(schema.Seal.model_validate(content))
    world.store.delete(SEAL)
    world.store.put(SEAL, body, sha256=digest(body))
    ran = command("preflight", "--restore", "new", "--from", "nightly")
    assert "from nightly/20260301T120000Z (VADP job gold, restore point rp-7); target:" in ran.lines[0]


def test_a_capture_of_an_earlier_release_is_judged_by_its_objects(world: World, command: CommandLine) -> None:
    world.lose(*OBJECTS)
    content = world.document(SEAL)
    del content["applications"]
    body = canonical(schema.Seal.model_validate(content))
    world.store.delete(SEAL)
    world.store.put(SEAL, body, sha256=digest(body))
    assert restore(command, "new")[2][:4] == ["restorable", "shop/shop", "shop", "1"]


def test_a_seal_that_names_vms_of_which_nothing_is_known_is_damaged(world: World, command: CommandLine) -> None:
    content = world.document(SEAL)
    content["applications"][0] |= {"kind": "Widget", "vms": ["web-1", "ghost"]}
    body = canonical(schema.Seal.model_validate(content))
    world.store.delete(SEAL)
    world.store.put(SEAL, body, sha256=digest(body))
    ran = command("preflight", "--restore", "new", "--from", "nightly")
    assert (ran.code, ran.out) == (1, "")
    assert "the capture has no facts about shop/ghost, a VM of application shop" in ran.err


def test_a_capture_without_a_seal_is_never_restored(world: World, command: CommandLine) -> None:
    world.store.delete(SEAL)
    ran = command("preflight", "--restore", "new", "--from", "nightly")
    assert (ran.code, ran.out) == (3, "")
    assert "has no seal" in ran.err


def test_storage_that_no_quota_names_is_not_assigned(world: World, command: CommandLine) -> None:
    world.cluster.seed(
        vm(
            "gold-1",
            labels={"app": "gold"},
            meta={"annotations": {VERSION: OLDER}},
            spec={"storageClass": "gold"},
        ),
        service("gold", {"app": "gold"}),
    )
    world.store.delete(SEAL)
    for key in list(world.store.list("captures/")):
        world.store.delete(key)
    world.restart()
    world.back_up(service("gold", {"app": "gold"}))
    world.lose(vm("gold-1"))
    assert restore(command, "new")[2][0] == "restorable"
    hard = {"silver.storageclass.storage.k8s.io/requests.storage": "10Gi", "requests.cpu": "4"}
    world.cluster.seed(obj("ResourceQuota", "shop", api="v1", spec={"hard": hard}))
    row = restore(command, "new")[2]
    assert (row[0], row[4]) == (
        "with-warnings",
        "StorageClass gold is not assigned to namespace shop, as far as its quotas say",
    )
    world.cluster.calls.fail("list", Forbidden("denied"), on="ResourceQuota")
    assert restore(command, "new")[2][0] == "restorable"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--restore", "new"], 2, "--from is missing"),
        (["--from", "nightly"], 2, "--restore is missing"),
        (["--restore", "sideways", "--from", "nightly"], 2, "Invalid value for '--restore'"),
        (["--restore", "new", "--from", "weekly"], 1, "no bucket has a capture named weekly"),
        (["--restore", "new", "--from", "nightly", "shpo"], 2, "the capture has no application shpo"),
        (["--restore", "new", "--from", "nightly", "-n", "shpo"], 2, "the capture has no namespace shpo"),
        (["--restore", "new", "--from", "nightly", "--record", "x"], 2, "--record keeps what a restore in place"),
        (["--restore", "in-place", "--from", "nightly", "--into", "dr"], 2, "made where the VMs are"),
        (
            ["--restore", "new", "--from", "nightly", "--into", "dr", "--namespace-mapping", "shop:dr"],
            2,
            "--into and --namespace-mapping say the same",
        ),
        (["--restore", "in-place", "--from", "nightly", "--record", "/"], 2, "Invalid value for '--record'"),
        (["--compare", "/nowhere/before.json"], 2, "/nowhere/before.json cannot be read"),
        (["--compare", "before.json", "-A"], 2, "--compare stands alone"),
    ],
)
def test_misuse(world: World, command: CommandLine, arguments: list[str], code: int, sentence: str) -> None:
    del world
    ran = command("preflight", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert sentence in ran.err


def test_a_file_that_is_there_is_never_overwritten(world: World, command: CommandLine, tmp_path: Path) -> None:
    world.cluster.seed(web(NEWER))
    kept = tmp_path / "before.json"
    kept.write_text("mine")
    ran = command("preflight", "--restore", "in-place", "--from", "nightly", "--record", str(kept))
    assert ran.code == 2
    assert "name a file that does not exist yet" in ran.err
    assert kept.read_text() == "mine"
    assert "holds no recorded state" in command("preflight", "--compare", str(kept)).err


@pytest.mark.parametrize("reference", [("--from", "nightly"), ("--from", "latest"), ("--from", "latest", "front")])
def test_a_capture_with_a_damaged_document_is_not_called_restorable(
    world: World, command: CommandLine, reference: tuple[str, ...]
) -> None:
    world.lose(*OBJECTS)
    (key,) = [key for key in world.store.list("captures/") if key.endswith("virtualmachineservices/shop/front.json")]
    world.store.tamper(key, b"{}")
    ran = command("preflight", "--restore", "new", *reference)
    assert (ran.code, ran.out) == (1, "")
    assert "front.json" in ran.err
