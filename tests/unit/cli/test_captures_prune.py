from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fakes.store import MemoryStore
from tests.unit.builders import NAMESPACE, obj, restore, service, vm
from tests.unit.captures.scenes import GOLD, HOUR, NIGHTLY, taken_twice
from velero_vmservice.documents import digest
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.vadp.capturing import CaptureRequest

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from tests.unit.world import World

OLD = ("captures", "prune", "--older-than", "30d", "--keep-last", "1")


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    """A capture of the command is a hundred days old, and another one replaced it three days ago."""
    world = taken_twice()
    world.clock.advance(100 * 24 * HOUR)
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold"))
    world.clock.advance(3 * 24 * HOUR)
    command.connects_to(world.start)
    return world


def captures(world: World) -> set[str]:
    return {"/".join(key.split("/")[:3]) for key in world.store.list("")}


def test_a_dry_run_lists_what_a_newer_capture_replaces(world: World, command: CommandLine) -> None:
    before = list(world.store.list(""))
    ran = command(*OLD)
    assert (ran.code, ran.err) == (0, "")
    assert [row[0] for row in ran.rows] == [
        "CAPTURE",
        GOLD,
        "kept: 1 capture: it is younger than asked for",
        "kept: 1 capture of Velero's backups: Velero's retention and `prune` remove them",
        "1 capture would be deleted; repeat the command with --delete",
    ]
    assert list(world.store.list("")) == before


def test_delete_removes_the_capture_and_its_seal_last(world: World, command: CommandLine) -> None:
    ran = command(*OLD, "--delete")
    assert (ran.code, ran.lines[-1]) == (0, "deleted: 1 of 1 capture")
    assert f"vadp/{GOLD}" not in captures(world)
    assert f"captures/{NIGHTLY}" in captures(world)
    deleted = [subject for method, subject in world.store.calls.made if method == "delete"]
    assert deleted[-1] == f"vadp/{GOLD}/capture.json"
    assert command(*OLD, "--delete").lines[-1] == "no capture is to be deleted"


def test_the_last_good_capture_of_an_application_stays(world: World, command: CommandLine) -> None:
    world.cluster.seed(service("other"))
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="silver"))
    world.clock.advance(100 * 24 * HOUR)
    run = command("captures", "prune", "--older-than", "1h", "--keep-last", "0", "-o", "json", "--delete")
    document = json.loads(run.out)
    assert {entry["name"]: entry["verdict"] for entry in document["captures"] if not entry["removable"]} == {
        "silver": "last-good"
    }
    assert document["deleted"] is True


def test_a_capture_without_the_vms_replaces_none_that_has_them(world: World, command: CommandLine) -> None:
    world.cluster.seed(service("solo", {"app": "solo"}), vm("solo-1", labels={"app": "solo"}))
    whole = world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold")).ref
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE, NAMESPACE, "solo-1"))
    for _ in range(2):
        world.clock.advance(100 * 24 * HOUR)
        newest = world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold")).ref
    world.clock.advance(100 * 24 * HOUR)
    run = command("captures", "prune", "--older-than", "1h", "--keep-last", "0", "-o", "json")
    kept = [entry["started"] for entry in json.loads(run.out)["captures"] if entry["verdict"] == "last-good"]
    assert kept == [newest.started, whole.started]


def test_only_captures_that_are_meant_are_removed(world: World, command: CommandLine) -> None:
    del world
    for option in (("--vadp-job", "silver"), ("-n", "mail")):
        assert command(*OLD, *option).lines[-1] == "no capture is to be deleted"
    assert command(*OLD, "--vadp-job", "gold", "-n", "shop", "-o", "name").lines == [GOLD]


def test_a_leftover_without_a_seal_goes_after_a_day(world: World, command: CommandLine) -> None:
    world.store.delete(f"vadp/{GOLD}/capture.json")
    ran = command("captures", "prune", "--older-than", "200d", "-o", "name")
    assert ran.lines == [GOLD]


def test_a_capture_that_is_being_restored_stays(world: World, command: CommandLine) -> None:
    result = "restores/gold/20260613T120000Z/virtualmachinegroups/shop/tier.json"
    world.store.replace(result, b"", sha256=digest(b""))
    assert "kept: 2 captures: a restore of it has not ended" in command(*OLD).lines
    world.store.replace("restores/gold/20260613T120000Z/report.json", b"", sha256=digest(b""))
    assert command(*OLD, "-o", "name").lines == [GOLD]
    world.cluster.seed(restore("again", of="gold"))
    assert command(*OLD, "-o", "name").lines == []


def test_a_seal_that_cannot_be_used_keeps_the_capture(world: World, command: CommandLine) -> None:
    world.store.tamper(f"vadp/{GOLD}/capture.json", b"{}")
    assert any("its seal cannot be used" in line for line in command(*OLD).lines)


def test_a_document_that_cannot_be_deleted_is_named_and_the_seal_stays(world: World, command: CommandLine) -> None:
    world.store.calls.fail("delete", Forbidden("not allowed"))
    ran = command(*OLD, "--delete")
    assert (ran.code, ran.lines[-1]) == (5, "deleted: 0 of 1 capture")
    assert f"vadp/{GOLD}/capture.json" in set(world.store.list(""))


def test_a_bucket_that_is_away_is_no_answer(world: World, command: CommandLine) -> None:
    world.store.calls.fail("list", Unavailable("the bucket is away"))
    ran = command(*OLD)
    assert (ran.code, ran.err) == (1, "note: not listed: the bucket is away\n")


def test_velero_s_own_pruning_leaves_them_alone(world: World, command: CommandLine) -> None:
    assert command("prune", "--older-than", "30d", "--delete").code == 0
    assert f"vadp/{GOLD}" in captures(world)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--older-than", "soon"), '"soon" is not a duration such as 90s, 10m or 12h'),
        (("--keep-last", "-1"), "-1 is not in the range x>=0"),
        (("gold",), "unexpected extra argument (gold)"),
    ],
    ids=["duration", "number", "argument"],
)
def test_misuse_is_refused(command: CommandLine, arguments: tuple[str, ...], error: str) -> None:
    ran = command("captures", "prune", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err


def test_help_says_what_is_left_to_velero(command: CommandLine) -> None:
    ran = command("captures", "prune", "-h")
    assert "left to Velero's retention" in " ".join(ran.out.split())
    assert "  velero-vmservice captures prune --older-than 90d --keep-last 7 --delete\n" in ran.out


def test_a_capture_whose_documents_are_gone_replaces_none(world: World, command: CommandLine) -> None:
    newest = max(capture for capture in captures(world) if capture.startswith("vadp/gold/"))
    objects = list(world.store.list(f"{newest}/objects/"))
    for key in objects:
        world.store.delete(key)
    ran = command(*OLD, "--delete")
    assert objects
    assert f"vadp/{GOLD}" in captures(world)
    assert "kept: 1 capture: it is among the last of its VADP job and namespaces" in ran.lines
    world.clock.advance(100 * 24 * HOUR)
    kept = "kept: 1 capture: documents that its seal names are not there (`captures verify` names them)"
    assert kept in command(*OLD, "--delete").lines
    assert newest in captures(world)


def test_a_capture_in_another_bucket_replaces_none(world: World, command: CommandLine) -> None:
    other = MemoryStore()
    other.endpoint = "https://s3.other.example.com"
    other.now = world.clock.now
    for key in list(world.store.list("vadp/")):
        if f"vadp/{GOLD}/" not in key:
            body = world.store.get(key)
            other.put(key, body, sha256=digest(body))
            world.store.delete(key)
    world.cluster.seed(obj("BackupStorageLocation", "dr", api="velero.io/v1", namespace="velero"))
    world.locations.stores |= {"dr": other}
    ran = command(*OLD, "--keep-last", "0", "--delete")
    assert "no capture is to be deleted" in ran.lines
    assert f"vadp/{GOLD}" in captures(world)
