from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.captures.scenes import GOLD, NIGHTLY, taken_twice

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from tests.unit.world import World

NIGHTLY_DOCUMENTS = f"captures/{NIGHTLY}/"


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = taken_twice()
    command.connects_to(world.start)
    return world


@pytest.mark.usefixtures("world")
def test_a_capture_is_shown_application_by_application(command: CommandLine) -> None:
    ran = command("captures", "show", "gold")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[:7] == [
        f"capture: {GOLD} (made by command)",
        f"where: memory://plugins/vmservice/vadp/{GOLD}/*",
        "sealed: 2026-03-02T12:00:00+00:00",
        "namespaces: shop",
        "cluster: -",
        "VADP job: gold, restore point: 4711",
        "tags: site=north",
    ]
    assert [row[:4] for row in ran.rows[7:]] == [
        ["APPLICATION", "VERDICT", "OBJECT", "VERSION"],
        ["shop/tier", "restorable", "VirtualMachineGroup shop/tier", "-"],
        ["shop/tier", "restorable", "VirtualMachineService shop/front", "-"],
        ["shop/tier", "restorable", "VirtualMachine shop/web-1", "200"],
        ["-", "-", "VirtualMachine shop/lonely", "-"],
    ]


@pytest.mark.usefixtures("world")
def test_what_velero_did_not_capture_is_said(command: CommandLine) -> None:
    ran = command("captures", "show", NIGHTLY)
    assert ran.code == 0
    (row,) = [row for row in ran.rows if row[2:3] == ["VirtualMachine shop/web-1"]]
    assert row == [
        "shop/front", "with-warnings", "VirtualMachine shop/web-1", "100",
        "names the group tier, which does not exist",
    ]  # fmt: skip


@pytest.mark.usefixtures("world")
def test_json_has_all_that_the_capture_says(command: CommandLine) -> None:
    document = json.loads(command("captures", "show", "gold", "-o", "json").out)
    assert document["vms"] == {"shop/lonely": "", "shop/web-1": "200"}
    assert document["without_application"] == ["shop/lonely"]
    assert [application["name"] for application in document["applications"]] == ["tier", "lonely"]
    assert [entry["vms"] for entry in document["objects"]] == [["web-1"], ["web-1"]]


def test_a_capture_without_a_seal_is_shown_as_it_lies_there(world: World, command: CommandLine) -> None:
    world.store.delete(f"{NIGHTLY_DOCUMENTS}capture.json")
    ran = command("captures", "show", "nightly")
    assert ran.code == 3
    assert "sealed: no" in ran.lines
    assert ["shop/front", "-", "VirtualMachineService shop/front", "-", "-"] in ran.rows


def test_a_damaged_document_is_a_remark_and_the_others_are_shown(world: World, command: CommandLine) -> None:
    key = f"{NIGHTLY_DOCUMENTS}namespaces/shop.json"
    world.store.tamper(key, b"{}")
    ran = command("captures", "show", "nightly")
    assert ran.code == 3
    assert ran.err.startswith(f"note: not read: {key}: ")
    assert any("VirtualMachineService shop/front" in line for line in ran.lines)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ((), 2, "Missing argument 'CAPTURE'"),
        (("silver",), 1, "no bucket has a capture named silver"),
        (("gold/20200101T000000Z",), 1, f"hint: captures of that name: {GOLD}"),
    ],
    ids=["no name", "unknown", "unknown time"],
)
def test_misuse_is_refused(command: CommandLine, arguments: tuple[str, ...], code: int, error: str) -> None:
    ran = command("captures", "show", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert error in ran.err
