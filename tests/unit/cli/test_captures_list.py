from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.captures.scenes import taken_twice
from velero_vmservice.errors import Unavailable

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from tests.unit.world import World


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = taken_twice()
    command.connects_to(world.start)
    return world


@pytest.mark.usefixtures("world")
def test_captures_of_velero_and_of_the_command_are_one_list(command: CommandLine) -> None:
    ran = command("captures", "list")
    assert (ran.code, ran.err) == (0, "")
    assert ran.rows == [
        ["CAPTURE", "AGE", "MADE BY", "SEALED", "OBJECTS", "VMS", "VADP JOB", "RESTORE POINT", "NAMESPACES"],
        ["gold/20260302T120000Z", "2h", "command", "yes", "2", "2", "gold", "4711", "shop"],
        ["nightly/20260301T120000Z", "26h", "velero", "yes", "1", "1", "-", "-", "shop"],
    ]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("-n", "shop"), ["gold", "nightly"]),
        (("-n", "mail"), []),
        (("--application", "tier"), ["gold"]),
        (("--application", "shop/front"), ["gold", "nightly"]),
        (("--application", "mail/front"), []),
        (("--application", "lonely"), ["gold"]),
        (("--vadp-job", "gold"), ["gold"]),
        (("--tag", "site=north"), ["gold"]),
        (("--tag", "site=south"), []),
        (("--older-than", "24h"), ["nightly"]),
        (("--newer-than", "24h"), ["gold"]),
        (("--location", "default"), ["gold", "nightly"]),
    ],
    ids=" ".join,
)
def test_a_filter_leaves_what_it_asks_for(command: CommandLine, options: tuple[str, ...], names: list[str]) -> None:
    ran = command("captures", "list", "-o", "name", *options)
    assert ran.code == 0
    assert [line.split("/")[0] for line in ran.lines] == names


@pytest.mark.usefixtures("world")
def test_json_says_where_a_capture_lies_and_what_it_was_made_for(command: CommandLine) -> None:
    newest = json.loads(command("captures", "list", "-o", "json").out)["captures"][0]
    assert newest["vadp"] == {"job": "gold", "restore_point": "4711"}
    assert (newest["tags"], newest["made_by"], newest["sealed"]) == ({"site": "north"}, "command", "yes")
    assert newest["where"] == "memory://plugins/vmservice/vadp/gold/20260302T120000Z/*"


def test_a_capture_without_a_seal_is_listed_and_not_sealed(world: World, command: CommandLine) -> None:
    world.store.delete("captures/nightly/20260301T120000Z/capture.json")
    assert command("captures", "list").rows[2] == [
        "nightly/20260301T120000Z", "26h", "velero", "no", "1", "-", "-", "-", "shop",
    ]  # fmt: skip


def test_a_damaged_seal_is_a_remark(world: World, command: CommandLine) -> None:
    world.store.tamper("captures/nightly/20260301T120000Z/capture.json", b"{}")
    ran = command("captures", "list")
    assert ran.rows[2][3] == "unusable"
    assert "note: the seal of Backup nightly of 20260301T120000Z cannot be used" in ran.err


def test_a_bucket_that_cannot_be_listed_is_a_remark_and_no_answer(world: World, command: CommandLine) -> None:
    world.store.calls.fail("list", Unavailable("the bucket is away"))
    ran = command("captures", "list")
    assert (ran.code, ran.lines) == (1, ["there are no captures"])
    assert ran.err == "note: not listed: the bucket is away\n"


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--older-than", "soon"), '"soon" is not a duration such as 90s, 10m or 12h'),
        (("--tag", "north"), '"north" is not of the form a=b'),
        (
            ("--older-than", "48h", "--newer-than", "24h"),
            "no capture is older than --older-than and newer than --newer-than",
        ),
    ],
    ids=["duration", "tag", "contradiction"],
)
def test_misuse_is_refused(command: CommandLine, arguments: tuple[str, ...], error: str) -> None:
    ran = command("captures", "list", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err
