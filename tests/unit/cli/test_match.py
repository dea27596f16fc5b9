"""`velero-vmservice match`, on a Supervisor without Velero."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.captures.scene import FRONT, OTHER, TIER, WithoutVelero
from velero_vmservice.captures.matching.reading import BATCH
from velero_vmservice.errors import Unavailable

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine


@pytest.fixture(name="world")
def _world(command: CommandLine) -> WithoutVelero:
    world = WithoutVelero()
    for version in ("1700000000000", "1800000000000", "1900000000000"):
        world.take(version, restore_point=version[:2])
    command.connects_to(world.start)
    return world


def test_captures_are_ranked_with_the_evidence_of_each_vm(command: CommandLine, world: WithoutVelero) -> None:
    world.register("1800000000000")
    ran = command("match", "-n", "shop")
    assert (ran.code, ran.err) == (0, "")
    assert [(row[0], row[3], row[4]) for row in ran.rows[1:4]] == [
        ("exact", "18", "2/2"),
        ("older", "17", "2/2"),
        ("newer", "19", "2/2"),
    ]
    assert [row[5] for row in ran.rows[1:4]] == [
        "2 as captured",
        "2 recorded since",
        "2 from an older restore point",
    ]
    (evidence,) = [line for line in ran.lines if "shop/web-1" in line]
    at = "backup version 1800000000000 (2027-01-15T08:00:00+00:00)"
    assert evidence.endswith(f"shop/web-1 has {at}, the capture {at}; UUIDs equal")
    assert ran.lines[-1].startswith("restore the best: velero-vmservice restore --from nightly/2026")


def test_the_best_capture_is_the_first_name(command: CommandLine, world: WithoutVelero) -> None:
    world.register("1850000000000")
    names = command("match", "-n", "shop", "-o", "name").lines
    document = json.loads(command("match", "-n", "shop", "-o", "json").out)
    assert names[0] == document["best"] == document["captures"][0]["capture"]
    assert [capture["fit"] for capture in document["captures"]] == ["older", "older", "newer"]
    assert document["captures"][0]["vadp"] == {"job": "nightly", "restore_point": "18"}
    assert document["captures"][2]["vms"][0] == {
        "namespace": "shop",
        "name": "web-1",
        "fit": "newer",
        "presence": "registered",
        "captured_version": "1900000000000",
        "live_version": "1850000000000",
        "uuids": "equal",
    }


def test_without_a_fitting_capture_it_says_so_and_exits_with_3(command: CommandLine, world: WithoutVelero) -> None:
    world.register("1600000000000")
    ran = command("match", "-n", "shop")
    assert ran.code == 3
    assert [row[3] for row in ran.rows[1:4]] == ["17", "18", "19"], "of newer captures the least new is first"
    assert ran.lines[-1].startswith("no capture is known to fit")


@pytest.mark.parametrize(
    ("arguments", "restore_points"),
    [
        (("--restore-point", "18"), ["18", "17", "19"]),
        (("--restore-point", "18", "--vadp-job", "nightly"), ["18", "17", "19"]),
        (("--time", "2026-03-01T12:02:30Z"), ["18", "17", "19"]),
        (("--time", "20260301T120100Z"), ["17", "18", "19"]),
    ],
)
@pytest.mark.usefixtures("world")
def test_a_restore_point_or_a_time_ranks_too(
    command: CommandLine, arguments: tuple[str, ...], restore_points: list[str]
) -> None:
    ran = command("match", *arguments)
    assert ran.code == 0
    assert [row[3] for row in ran.rows[1:4]] == restore_points


@pytest.mark.usefixtures("world")
def test_the_vms_of_one_application_are_compared(command: CommandLine) -> None:
    document = json.loads(command("match", "--application", "front", "-o", "json").out)
    assert [vm["name"] for vm in document["captures"][0]["vms"]] == ["web-1", "web-2"]
    ran = command("match", "--application", "unknown")
    assert (ran.code, ran.err.splitlines()[0]) == (
        1,
        "velero-vmservice: no bucket has a sealed capture with application unknown",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--time", "yesterday"), 2, '"yesterday" is no time like 2026-11-24T11:42:40Z'),
        (("--time", "20260301T120100Z", "--restore-point", "1"), 2, "name a --restore-point or a --time, not both"),
        (("--vadp-job", "nightly"), 2, "--vadp-job says whose --restore-point is meant"),
        (("-n", "elsewhere"), 1, "no bucket has a sealed capture of namespace elsewhere"),
        (("--restore-point", "99"), 3, ""),
    ],
)
@pytest.mark.usefixtures("world")
def test_a_refusal_takes_two_lines(command: CommandLine, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    ran = command("match", *arguments)
    assert ran.code == code
    assert sentence in ran.err
    assert len(ran.err.splitlines()) <= 2


def test_a_capture_that_cannot_be_read_is_said(command: CommandLine, world: WithoutVelero) -> None:
    key = next(key for key in world.store.list("vadp/") if key.endswith("namespaces/shop.json"))
    world.store.tamper(key, b"{}")
    ran = command("match", "-n", "shop")
    assert "is left out: " in ran.err
    assert len([row for row in ran.rows if row[0] == "exact"]) == 1


def test_a_bucket_that_is_away_is_no_answer(command: CommandLine, world: WithoutVelero) -> None:
    world.store.calls.fail("list", Unavailable("the bucket is away"))
    assert command("match").code == 1


def test_the_help_shows_examples(command: CommandLine) -> None:
    ran = command("match", "--help")
    assert ran.code == 0
    assert "velero-vmservice match --restore-point 4711 --vadp-job nightly" in " ".join(ran.out.split())


def test_captures_are_read_until_one_fits_and_enough_before_it_are_known(
    command: CommandLine, world: WithoutVelero
) -> None:
    for number in range(60):
        world.take(str(1_900_000_000_001 + number))
    world.register("1950000000000", uid="registered anew")
    world.take_as_is()
    read_before = world.store.calls.counts["get"]
    ran = command("match", "-n", "shop")
    assert ran.code == 0
    assert world.store.calls.counts["get"] - read_before == 2 * 2 * BATCH, "two batches, of each a seal and facts"
    assert f"not compared: {64 - 2 * BATCH} older captures" in ran.lines
    assert json.loads(command("match", "-n", "shop", "-o", "json").out)["not_compared"] == 64 - 2 * BATCH


def test_the_search_goes_on_to_the_time_before_the_vms_were_registered(
    command: CommandLine, world: WithoutVelero
) -> None:
    world.lose(TIER, FRONT, OTHER)
    world.register("1900000000000", uid="registered anew")
    for _ in range(3 * BATCH):
        world.take_as_is()
    document = json.loads(command("match", "-n", "shop", "-o", "json").out)
    assert (document["captures"][0]["vadp"]["restore_point"], document["not_compared"]) == ("19", 0)


def test_captures_that_are_not_compared_are_said(
    command: CommandLine, world: WithoutVelero, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("velero_vmservice.captures.matching.choosing.MOST_COMPARED", 2)
    world.register("1900000000000")
    for arguments in (("match", "-n", "shop"), ("restore", "--from", "latest", "--dry-run")):
        ran = command(*arguments)
        assert "of 1 older captures is not known: they were not compared" in ran.err


def test_the_search_goes_on_while_every_capture_is_newer_than_its_vms(
    command: CommandLine, world: WithoutVelero
) -> None:
    for number in range(45):
        world.take(str(1_900_000_000_001 + number))
    world.register("1750000000000")
    document = json.loads(command("match", "-n", "shop", "-o", "json").out)
    assert [(capture["fit"], capture["vadp"]["restore_point"]) for capture in document["captures"][:1]] == [
        ("older", "17")
    ]
    assert (len(document["captures"]), document["not_compared"]) == (48, 0)
