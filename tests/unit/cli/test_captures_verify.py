from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.captures.scenes import GOLD, NIGHTLY, taken_twice
from velero_vmservice.documents import digest
from velero_vmservice.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from tests.unit.world import World
    from velero_vmservice.kube.manifest import Manifest

FRONT = f"vadp/{GOLD}/objects/virtualmachineservices/shop/front.json"


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = taken_twice()
    command.connects_to(world.start)
    return world


def replace(world: World, key: str, body: bytes) -> None:
    """Store a document as a writer of the bucket can."""
    world.store.replace(key, body, sha256=digest(body))


@pytest.mark.usefixtures("world")
def test_every_capture_is_read_again(command: CommandLine) -> None:
    ran = command("captures", "verify", "--all")
    assert (ran.code, ran.err) == (0, "")
    assert ran.rows == [
        ["CAPTURE", "STATE", "DOCUMENTS", "TRIED", "FOUND"],
        [GOLD, "whole", "4", "-", "-"],
        [NIGHTLY, "whole", "3", "-", "-"],
        ["2 of 2 captures are whole"],
    ]


def test_a_changed_document_is_damage(world: World, command: CommandLine) -> None:
    replace(world, FRONT, world.store.get(FRONT).replace(b'"port":80', b'"port":81'))
    ran = command("captures", "verify", "gold")
    assert (ran.code, ran.rows[1]) == (
        5,
        [GOLD, "damaged", "4", "-", f"{FRONT} is not what was captured (its SHA-256 differs)"],
    )


def test_a_document_that_is_gone_is_damage(world: World, command: CommandLine) -> None:
    world.store.delete(FRONT)
    ran = command("captures", "verify", "gold")
    assert (ran.code, ran.rows[1][-1]) == (5, f"{FRONT} was captured and is gone")


def test_a_document_that_the_seal_does_not_list_is_named(world: World, command: CommandLine) -> None:
    other = f"vadp/{GOLD}/objects/virtualmachineservices/shop/other.json"
    replace(world, other, b"{}")
    ran = command("captures", "verify", "gold")
    assert (ran.code, ran.rows[1][-1]) == (0, f"{other} is not in the seal: a restore does not read it")


def test_a_capture_without_a_seal_is_blocked_only_where_it_is_named(world: World, command: CommandLine) -> None:
    world.store.delete(f"captures/{NIGHTLY}/capture.json")
    assert command("captures", "verify", "nightly").code == 3
    ran = command("captures", "verify", "--all")
    assert (ran.code, ran.rows[2][1]) == (0, "unsealed")


def test_a_store_that_is_away_is_no_damage(world: World, command: CommandLine) -> None:
    world.store.calls.fail("get", Unavailable("the bucket is away"))
    ran = command("captures", "verify", "gold")
    assert (ran.code, ran.rows[1][1]) == (1, "unread")


def test_deep_tries_every_object_and_writes_nothing(world: World, command: CommandLine) -> None:
    ran = command("captures", "verify", "gold", "--deep")
    assert (ran.code, ran.rows[1]) == (0, [GOLD, "whole", "4", "2/2", "-"])
    assert [made for made in world.cluster.calls.made if made[0] in ("dry-run patch", "dry-run create")] == [
        ("dry-run patch", "VirtualMachineGroup shop/tier"),
        ("dry-run patch", "VirtualMachineService shop/front"),
    ]
    assert world.writes() == []


def test_what_a_webhook_refuses_is_found(world: World, command: CommandLine) -> None:
    def refuse(manifest: Manifest) -> None:
        if manifest.kind_name == "VirtualMachineGroup":
            raise Rejected("groups are refused")

    world.cluster.admit = refuse
    ran = command("captures", "verify", "gold", "--deep", "-o", "json")
    assert ran.code == 5
    (capture,) = json.loads(ran.out)["captures"]
    assert capture["state"] == "refused"
    assert {entry["name"]: entry["refused"] for entry in capture["tried"]} == {
        "tier": "groups are refused",
        "front": "",
    }


def test_deep_tries_in_the_namespace_that_objects_are_mapped_to(world: World, command: CommandLine) -> None:
    del world
    ran = command("captures", "verify", "gold", "--deep", "--namespace-mapping", "shop:shop-test")
    assert (ran.code, ran.rows[1][1]) == (5, "refused")
    assert "shop-test" in ran.rows[1][-1]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ((), 2, "name captures, or ask for --all"),
        (("gold", "--all"), 2, "name captures, or ask for --all"),
        (("gold", "--namespace-mapping", "shop:test"), 2, "hint: give --deep as well"),
        (("silver",), 1, "no bucket has a capture named silver"),
    ],
    ids=["nothing", "both", "mapping", "unknown"],
)
def test_misuse_is_refused(command: CommandLine, arguments: tuple[str, ...], code: int, error: str) -> None:
    ran = command("captures", "verify", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert error in ran.err


def test_help_shows_examples(command: CommandLine) -> None:
    assert "  velero-vmservice captures verify --all -o json\n" in command("captures", "verify", "-h").out
