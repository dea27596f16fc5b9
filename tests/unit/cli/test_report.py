from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests import sample_report
from tests.fakes.store import MemoryStore
from tests.sample_report import ENDED, GROUP, RUN, power_on, result
from tests.unit.builders import obj, restore, service
from tests.unit.world import World
from velero_vmservice import documents
from velero_vmservice.cli.views.report import render_terminal
from velero_vmservice.errors import Forbidden
from velero_vmservice.kube.manifest import BACKUP, RESTORE, ObjectRef
from velero_vmservice.report.summary import compose

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from tests.unit.cli.command_line import CommandLine
    from velero_vmservice.report.model import Report


def _printed(report: Report, *, terminal: bool = False, width: int = 100) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, legacy_windows=False, _environ={"TERM": "xterm"})
    render_terminal(report, console)
    return file.getvalue()


def test_the_next_step_comes_first_then_warnings_objects_and_odd_vms() -> None:
    text = _printed(sample_report.sample())
    titles = ("Restore shop-after-incident", "Next step", "Warnings (4)", "Objects (9)", "VMs that are not as")
    positions = [text.index(title) for title in titles]
    assert positions == sorted(positions)


def test_the_cluster_and_the_versions_are_named_as_far_as_they_are_known() -> None:
    report = sample_report.sample()
    unknown = report.model_copy(update={"cluster": "", "cluster_id": "", "velero": ""})
    assert not [line for line in _printed(unknown).splitlines() if line.startswith(("cluster:", "Velero:"))]
    known = unknown.model_copy(update={"cluster": "https://supervisor.example:6443", "velero": "velero/velero:v1.17.0"})
    lines = _printed(known).splitlines()
    assert {"cluster: https://supervisor.example:6443", "Velero: velero/velero:v1.17.0"} <= set(lines)
    assert f"plugin: {report.plugin}" in lines


def test_a_command_is_one_line_however_narrow_the_terminal() -> None:
    assert f"   {power_on('billing', 'billing')}" in _printed(sample_report.sample(), width=40).splitlines()


def test_every_object_is_one_line_where_the_output_is_piped_the_worst_first() -> None:
    report = sample_report.sample()
    lines = _printed(report).splitlines()
    states = ("failed ", "cancelled ", "incomplete ", "retained ", "verified ")
    rows = [line for line in lines if line.startswith(states)]
    assert {line.split(maxsplit=1)[1].split(":")[0] for line in rows} == {item.label for item in report.objects}
    assert [line.split()[0] for line in rows] == [
        *("failed", "cancelled", "incomplete", "incomplete", "retained"),
        *["verified"] * 4,
    ]
    assert "\x1b" not in "".join(lines)


def test_a_vm_that_deviates_says_in_what_and_one_that_does_not_is_left_out() -> None:
    _, _, odd = _printed(sample_report.sample()).partition("VMs that are not as expected")
    assert "label tier is wbe, expected web" in odd
    assert "older than the capture (2026-11-21T19:00:05+00:00, captured 2026-11-22T19:00:05+00:00)" in odd
    assert "shop-db-2: not registered yet" in odd
    assert "billing-1" not in odd


def test_a_terminal_shows_a_table_in_colour() -> None:
    text = _printed(sample_report.sample(), terminal=True)
    assert "\x1b[31mfailed" in text
    assert "in words" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_hostile_text_neither_moves_the_cursor_nor_is_markup(*, terminal: bool) -> None:
    sentence = "[red]x[/red]\x1b[2J\u202e\r"
    text = _printed(
        compose(RUN, (result(GROUP, "web", "failed", sentence),), policy={}, ended=ENDED), terminal=terminal, width=300
    )
    assert r"[red]x[/red]\u001b[2J\u202e\u000d" in text
    assert "\x1b[2J" not in text


WEB = {"app": "none"}
LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
OWN = "restores/again/20260301T120000Z/report.json"
PLANTED = "restores/again/20300101T000000Z/report.json"


@pytest.fixture(name="place")
def _place(command: CommandLine, log: LogCapture) -> World:
    """A backup of a service and a Restore of it, of which Velero has not said the end yet."""
    assert not log.entries
    world = World()
    world.cluster.seed(LOCATION, restore())
    world.back_up(service("front", WEB))
    command.connects_to(world.start)

    def wait(seconds: float) -> None:
        world.clock.advance(seconds)
        world.vm_operator()

    command.patch.setattr("time.sleep", wait)
    return world


def end(world: World) -> None:
    """Let Velero's restore end, and its report be stored."""
    world.finish(world.replay_all([world.live("VirtualMachineService", "front").content | {"status": {}}]))


def plant(world: World, key: str, *, outcome: str = "empty") -> None:
    body = documents.canonical(compose(RUN, (), policy={}, ended=ENDED).model_copy(update={"outcome": outcome}))
    world.store.put(key, body, sha256=documents.digest(body))


def test_the_report_of_the_runs_own_start_time_is_shown_whatever_lies_beside_it(
    place: World, command: CommandLine
) -> None:
    end(place)
    plant(place, PLANTED)
    shown = command("report", "again", "-o", "json")
    assert (shown.code, shown.out.strip()) == (0, place.store.get(OWN).decode())
    assert "velero-vmservice report again --started 20300101T000000Z" in shown.err


def test_a_report_of_another_run_is_not_taken_for_that_of_the_restore(place: World, command: CommandLine) -> None:
    plant(place, PLANTED)
    shown = command("report", "again")
    assert (shown.code, shown.out) == (1, "")
    assert "no report of the run of again that started at 2026-03-01T12:00:00Z is stored" in shown.err
    assert "velero-vmservice report again --started 20300101T000000Z" in shown.err


@pytest.mark.parametrize("started", ["20260301T120000Z", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00"])
def test_the_report_of_a_restore_that_velero_has_no_more_is_found(
    place: World, command: CommandLine, started: str
) -> None:
    end(place)
    place.cluster.remove(ObjectRef(RESTORE, "velero", "again"))
    place.cluster.remove(ObjectRef(BACKUP, "velero", "nightly"))
    assert command("report", "again", "-o", "json").out.strip() == place.store.get(OWN).decode()
    plant(place, PLANTED)
    unsure = command("report", "again")
    assert (unsure.code, unsure.out) == (2, "")
    assert "--started 20260301T120000Z; velero-vmservice report again --started 20300101T000000Z" in unsure.err
    chosen = command("report", "again", "--started", started, "-o", "html")
    assert chosen.out.startswith("<!doctype html>")


def test_a_restore_on_the_command_line_prints_the_command_that_shows_its_report(
    place: World, command: CommandLine
) -> None:
    ran = command("restore", "nightly")
    assert (ran.code, place.exists("VirtualMachineService", "front")) == (0, True)
    (line,) = [item for item in ran.lines if item.startswith("report: ")]
    shows = line.partition("(")[2].rstrip(")").split()
    assert shows[:3] == ["velero-vmservice", "report", "nightly"]
    shown = command(*shows[1:])
    assert shown.code == 0
    assert shown.lines[0].startswith("Restore nightly of backup nightly: ")
    assert command("report", "nightly").code == 0  # there is no other, and no Restore of that name


def test_the_reports_are_listed(place: World, command: CommandLine) -> None:
    end(place)
    plant(place, "restores/before/20250101T000000Z/report.json")
    plant(place, "restores/before/no-time/report.json")
    listed = command("report", "list")
    assert listed.rows[:3] == [
        ["STARTED", "RESTORE", "WHERE"],
        ["2026-03-01T12:00:00Z", "again", f"memory://plugins/vmservice/{OWN}"],
        [
            "2025-01-01T00:00:00Z",
            "before",
            "memory://plugins/vmservice/restores/before/20250101T000000Z/report.json",
        ],
    ]
    assert [item["restore"] for item in json.loads(command("report", "list", "before", "-o", "json").out)] == ["before"]
    assert command("report", "list", "never").code == 1


def test_a_location_that_could_not_be_searched_is_reported(place: World, command: CommandLine) -> None:
    end(place)
    broken = Forbidden("access denied", hint="allow s3:ListBucket")
    place.locations.stores["other"] = MemoryStore()
    place.locations.stores["other"].calls.fail("list", broken)
    place.cluster.seed(obj("BackupStorageLocation", "other", api="velero.io/v1", namespace="velero"))
    listed = command("report", "list")
    assert (listed.code, len(listed.lines)) == (0, 3)
    assert "not searched: access denied" in listed.err
    missing = command("report", "never")
    assert (missing.code, "access denied" in missing.err, "no report" in missing.err) == (1, True, False)


def test_two_locations_that_are_one_bucket_show_a_report_once(place: World, command: CommandLine) -> None:
    end(place)
    place.locations.stores["same"] = place.store
    place.cluster.seed(obj("BackupStorageLocation", "same", api="velero.io/v1", namespace="velero"))
    assert len(command("report", "list").lines) == 3


def test_a_restore_that_has_the_name_of_a_command_is_shown_by_the_long_form(place: World, command: CommandLine) -> None:
    plant(place, "restores/list/20250101T000000Z/report.json")
    assert command("report", "show", "list").code == 0
    assert command("report", "-o", "json", "list").code == 0


def test_a_time_that_is_none_is_wrong_usage(place: World, command: CommandLine) -> None:
    assert place.exists("VirtualMachineService", "front")
    assert command("report", "again", "--started", "yesterday").code == 2


@pytest.mark.parametrize("resumed", [True, False])
def test_a_restore_whose_report_the_bucket_refuses_ends_and_says_how_to_go_on(
    place: World,
    command: CommandLine,
    resumed: bool,  # noqa: FBT001 - a table
) -> None:
    place.store.calls.fail("put", Forbidden("access denied", hint="allow s3:PutObject"))
    arguments = ("--resume", "again") if resumed else ("nightly",)
    ran = command("restore", *arguments)
    again = f"velero-vmservice restore {' '.join(arguments)}"
    sentence = "its result and the report are not stored: access denied: allow s3:PutObject; when that is put right"
    assert ran.lines[-1] == f"{sentence}: {again}"
    assert not any(line.startswith("report: ") for line in ran.lines)
    place.store.calls.heal()
    assert command("restore", *arguments).lines[-1].startswith("report: ")
