from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.errors import Unavailable
from velero_vmservice.kube.manifest import BACKUP, BACKUP_STORAGE_LOCATION, RESTORE
from velero_vmservice.settings.reading import BucketSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    """A Supervisor without Velero, and a bucket in the settings."""
    world = World()
    world.settings = world.settings.model_copy(update={"bucket": BucketSettings(name="captures")})
    world.locations.stores = {"": world.store}
    world.cluster.seed(
        obj("Namespace", NAMESPACE, api="v1", namespace=""),
        service("front", {"app": "shop"}),
        vm("web-1", labels={"app": "shop"}, group="tier"),
        group("tier", ["web-1"]),
        vm("lonely"),
    )
    command.connects_to(world.start)
    return world


def test_a_capture_prints_a_line_an_object_and_the_vms_of_the_job(world: World, command: CommandLine) -> None:
    ran = command("capture", "-n", "shop", "--vadp-job", "nightly")
    assert (ran.code, ran.err) == (0, "")
    (seal,) = [key for key in world.store.list("") if key.endswith("/capture.json")]
    name, started = seal.split("/")[1:3]
    assert ran.lines == [
        "captured: VirtualMachineGroup shop/tier (1 VM)",
        "captured: VirtualMachineService shop/front (1 VM)",
        f"sealed: {name}/{started} (2 objects): memory://plugins/vmservice/{seal}",
        "VM           IN JOB  APPLICATION",
        "shop/lonely  -       -",
        "shop/web-1   -       VirtualMachineGroup tier, VirtualMachineService front",
        "1 of 2 VMs have no application, and belong in the VADP job all the same",
    ]


def test_json_is_one_document_with_every_vm(world: World, command: CommandLine) -> None:
    del world
    document = json.loads(
        command("capture", "-A", "--vadp-job", "gold", "--restore-point", "7", "--tag", "site=a", "-o", "json").out
    )
    assert document["vadp"] == {"job": "gold", "restore_point": "7"}
    assert document["tags"] == {"site": "a"}
    assert [vm["name"] for vm in document["vms"]] == ["lonely", "web-1"]
    assert document["job_list"] is None
    assert document["capture"] == f"{document['name']}/{document['started']}"


def test_names_alone_are_what_a_job_takes(world: World, command: CommandLine) -> None:
    del world
    assert command("capture", "-n", "shop", "-o", "name").lines == ["shop/lonely", "shop/web-1"]
    rows = command("capture", "-n", "shop", "--no-headers").rows
    assert [row[0] for row in rows] == ["shop/lonely", "shop/web-1"]


def test_a_job_that_lacks_a_vm_fails_with_its_name_after_the_capture(world: World, command: CommandLine) -> None:
    ran = command("capture", "-n", "shop", "--job-vms", "-", typed="web-1\nvcenter\n")
    assert ran.code == 3
    assert ran.lines[-1] == "the job does not save 1 of 2 VMs: shop/lonely"
    assert ran.err == "note: the job also lists what this capture has no VM of: vcenter\n"
    assert any(key.endswith("/capture.json") for key in world.store.list(""))


def test_a_job_that_saves_every_vm_is_done(world: World, command: CommandLine, tmp_path: Path) -> None:
    del world
    (tmp_path / "vms").write_text("web-1\nlonely\n")
    ran = command("capture", "-n", "shop", "--job-vms", str(tmp_path / "vms"), "-o", "json")
    assert (ran.code, json.loads(ran.out)["job_list"]) == (0, {"missing": [], "ambiguous": [], "others": []})


def test_what_is_left_out_of_a_selection_is_said(world: World, command: CommandLine) -> None:
    world.cluster.seed(service("front", {"app": "shop"}, meta={"labels": {"app": "shop"}}))
    ran = command("capture", "-n", "shop", "-l", "app=shop")
    assert ran.err == "note: VirtualMachineGroup shop/tier is not captured, though it has VMs: web-1\n"
    assert ran.lines[0] == "captured: VirtualMachineService shop/front (1 VM)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no namespace is named, and the kubeconfig's context has none"),
        (("-n", "shop", "-A"), "name namespaces with -n, or ask for --all-namespaces"),
        (("-n", "shop", "-l", "app=?"), '"app=?" is not a label selector'),
        (("-n", "shop", "--tag", "gold"), '"gold" is not of the form a=b'),
        (("-n", "shop", "--job-vms", "nowhere.txt"), "nowhere.txt"),
    ],
)
def test_misuse_captures_nothing(world: World, command: CommandLine, arguments: tuple[str, ...], message: str) -> None:
    ran = command("capture", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert list(world.store.list("")) == []


def test_a_wrong_namespace_is_no_answer(world: World, command: CommandLine) -> None:
    del world
    ran = command("capture", "-n", "shopp")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "velero-vmservice: namespace shopp does not exist",
        "hint: check the spelling and the kubeconfig's context",
    ]


def test_a_bucket_that_is_away_is_no_answer(world: World, command: CommandLine) -> None:
    world.store.calls.fail("put", Unavailable("the bucket is away", hint="look at the server"))
    ran = command("capture", "-n", "shop")
    assert (ran.code, ran.err) == (1, "velero-vmservice: the bucket is away\nhint: look at the server\n")


def test_no_object_of_velero_is_needed(world: World, command: CommandLine) -> None:
    for kind in (BACKUP, RESTORE, BACKUP_STORAGE_LOCATION):
        world.cluster.serve(kind)
    assert command("capture", "-n", "shop").code == 0


def test_a_capture_says_which_application_could_not_be_restored(world: World, command: CommandLine) -> None:
    world.cluster.seed(vm("node", labels={"app": "shop", "capv.vmware.com/cluster.role": "worker"}))
    ran = command("capture", "-n", "shop")
    assert ran.code == 0
    assert ran.lines[-1].startswith("not restorable: shop/tier: VirtualMachine node is a guest cluster's node")
    document = json.loads(command("capture", "-n", "shop", "-o", "json").out)
    assert [(each["name"], each["verdict"]) for each in document["applications"]] == [("tier", "not-restorable")]


@pytest.mark.parametrize("arguments", [("-n", "shop"), ("-A",), ("-n", "shop", "-l", "app=other")])
def test_an_empty_capture_stores_nothing_unless_it_is_allowed(
    world: World, command: CommandLine, arguments: tuple[str, ...]
) -> None:
    if "-l" not in arguments:
        world.lose(service("front"), vm("web-1"), group("tier", []), vm("lonely"))
    ran = command("capture", *arguments)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("velero-vmservice: nothing is captured: there is no VM, group or service in ")
    assert "--allow-empty" in ran.err
    assert list(world.store.list("")) == []
    allowed = command("capture", *arguments, "--allow-empty")
    assert (allowed.code, allowed.lines[0][:8]) == (0, "sealed: ")


def test_objects_that_are_left_out_make_no_capture(world: World, command: CommandLine) -> None:
    world.lose(vm("web-1"), group("tier", []), vm("lonely"))
    world.cluster.seed(service("front", {"app": "shop"}, meta={"deletionTimestamp": "2026-03-01T12:00:00Z"}))
    assert command("capture", "-n", "shop").code == 3
    assert list(world.store.list("")) == []


def test_a_capture_that_holds_less_than_the_last_one_says_what_it_lacks(world: World, command: CommandLine) -> None:
    last = json.loads(command("capture", "-n", "shop", "--vadp-job", "nightly", "-o", "json").out)
    assert last["lacks"] == []
    world.clock.advance(60.0)
    assert command("capture", "-n", "shop", "--vadp-job", "nightly").err == ""
    world.lose(service("front"), vm("lonely"))
    world.clock.advance(60.0)
    ran = command("capture", "-n", "shop", "--vadp-job", "nightly", "-o", "json")
    assert ran.code == 0
    lacks = json.loads(ran.out)["lacks"]
    assert [(lack["kind"], lack["name"], lack["recovering"]) for lack in lacks] == [
        ("VirtualMachine", "lonely", False),
        ("VirtualMachineService", "front", False),
    ]
    assert "it lacks VirtualMachineService shop/front, which" in ran.err
    assert "it lacks VirtualMachine shop/lonely, which" in ran.err
    world.clock.advance(60.0)
    assert command("capture", "-n", "shop", "--vadp-job", "nightly").err == "", "it is said once"
    assert command("capture", "-n", "shop", "--vadp-job", "weekly").err == "", "another job has no last one"


def test_a_capture_that_cannot_be_compared_is_sealed_all_the_same(world: World, command: CommandLine) -> None:
    command("capture", "-n", "shop", "--vadp-job", "nightly")
    (seal,) = [key for key in world.store.list("") if key.endswith("/capture.json")]
    world.store.tamper(seal, b"{}")
    world.clock.advance(60.0)
    ran = command("capture", "-n", "shop", "--vadp-job", "nightly", "-o", "json")
    assert (ran.code, json.loads(ran.out)["lacks"]) == (0, None)
    assert "note: the capture is not compared with the last one of its name: " in ran.err


def test_groups_and_services_are_listed_once(world: World, command: CommandLine) -> None:
    before = len(world.cluster.calls.made)
    command("capture", "-n", "shop")
    lists = [subject for method, subject in world.cluster.calls.made[before:] if method in ("list", "read_all")]
    captured = [subject for subject in lists if subject.startswith(("VirtualMachineGroup", "VirtualMachineService"))]
    assert sorted(captured) == ["VirtualMachineGroup shop", "VirtualMachineService shop"]


def test_an_empty_capture_is_never_the_newest_unsaid(world: World, command: CommandLine) -> None:
    whole = json.loads(command("capture", "-n", "shop", "--vadp-job", "nightly", "-o", "json").out)["capture"]
    world.lose(service("front"), vm("web-1"), group("tier", []), vm("lonely"))
    world.clock.advance(60.0)
    empty = json.loads(command("capture", "-n", "shop", "--vadp-job", "nightly", "--allow-empty", "-o", "json").out)
    for arguments in (("captures", "show", "nightly"), ("plan", "--from", "latest"), ("plan", "--from", "nightly")):
        ran = command(*arguments)
        assert f"note: capture {empty['capture']} " in ran.err
        assert "holds no group, service or VM" in ran.err
        assert "holds fewer objects" not in ran.err
    assert f"the latest capture is {whole}" in command("plan", "--from", "latest").err
    differing = command("captures", "diff", empty["capture"])
    assert (differing.code, differing.lines[-1]) == (
        3,
        "there is nothing to compare: neither side has a group, a service or a VM",
    )


def test_a_list_that_is_none_is_a_usage_error_of_a_few_words(
    world: World, command: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "vms").write_text("x" * 100_000)
    ran = command("capture", "-n", "shop", "--job-vms", str(tmp_path / "vms"))
    assert (ran.code, ran.out) == (2, "")
    assert "line 1 has 100000 characters" in ran.err
    assert len(ran.err) < 1000
    assert list(world.store.list("")) == []


def test_what_a_job_lists_besides_is_counted_where_it_is_much(world: World, command: CommandLine) -> None:
    del world
    ran = command("capture", "-n", "shop", "--job-vms", "-", typed="\n".join(f"other-{n}" for n in range(5000)))
    assert "the job also lists what this capture has no VM of: other-0" in ran.err
    assert len(ran.err) < 1000
