"""Every table comes in the same forms: for people on a terminal and in a pipe, and for programs."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from rich.console import Console

from tests.unit.builders import backup, obj, service, vm
from tests.unit.doctor.deployments import deployment
from tests.unit.world import World
from velero_vmservice.cli.views.table import Column, Form, Output, Row, Sentences, Table
from velero_vmservice.kube.manifest import DEPLOYMENT

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

MONTH = 31 * 24 * 3600.0
LONG = "the platform team has this port on its list of those that it does not allow"
TABLES = {
    "plan": (("plan", "nightly"), ["ACTION", "OBJECT", "VMS", "WHY"], ["DIFFERENCES", "DROPPED"]),
    "match": (
        ("match", "--time", "2026-04-01T00:00:00Z"),
        ["FIT", "CAPTURE", "VADP JOB", "RESTORE POINT", "VMS", "EVIDENCE"],
        ["MADE BY"],
    ),
    "prune": (
        ("prune",),
        ["WHAT", "NAME", "STARTED", "AGE", "SIZE", "DOCUMENTS", "WHERE"],
        ["WRITTEN", "ENDPOINT", "REASON"],
    ),
    "coverage": (
        ("coverage",),
        ["OBJECT", "STATE", "CAPTURE", "AGE", "JOB", "WHY"],
        ["BY", "RESTORE POINT", "APPLICATION"],
    ),
    "drill": (
        ("drill", "run"),
        ["VERDICT", "APPLICATION", "INTO", "VMS", "TRIED", "WHY"],
        ["OBJECTS"],
    ),
    "report list": (("report", "list"), ["STARTED", "RESTORE", "WHERE"], ["ENDPOINT"]),
    "captures list": (
        ("captures", "list"),
        ["CAPTURE", "AGE", "MADE BY", "SEALED", "OBJECTS", "VMS", "VADP JOB", "RESTORE POINT", "NAMESPACES"],
        ["TAGS", "CLUSTER", "LOCATION", "SIZE", "WHERE"],
    ),
    "captures prune": (
        ("captures", "prune"),
        ["CAPTURE", "AGE", "VADP JOB", "RESTORE POINT", "SIZE", "REASON"],
        ["WHERE"],
    ),
    "captures diff": (
        ("captures", "diff", "nightly"),
        ["CHANGE", "OBJECT", "DIFFERENCES"],
        ["PATHS"],
    ),
    "captures verify": (
        ("captures", "verify", "--all"),
        ["CAPTURE", "STATE", "DOCUMENTS", "TRIED", "FOUND"],
        ["WHERE"],
    ),
    "captures show": (
        ("captures", "show", "nightly"),
        ["APPLICATION", "VERDICT", "OBJECT", "VERSION", "FINDINGS"],
        ["NEEDS"],
    ),
    "doctor": (("doctor", "--cluster-only"), ["STATE", "CHECK", "ESTABLISHED"], ["HINT"]),
    "registration status": (
        ("registration", "status", "nightly"),
        ["VM", "STATE", "PROGRESS", "SINCE", "SOURCE", "REASON"],
        ["CODE", "CERTAIN", "WAITING HELPS"],
    ),
}


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    """A backup with a VM, a restore that has ended, and one of which no more than its documents is left."""
    world = World()
    world.cluster.serve(DEPLOYMENT, "v1")
    location = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
    world.cluster.seed(location, deployment(), backup())
    world.back_up(vm("web-1", labels={"app": "web"}), service("front", {"app": "web"}))
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    world.store.replace("restores/again/20250101T000000Z/report.json", b"", sha256=digest)
    world.cluster.seed(vm("web-2"))
    world.store.replace("vadp/gold/20250101T000000Z/namespaces/shop.json", b"", sha256=digest)
    world.clock.advance(MONTH)
    command.connects_to(world.start)
    return world


def on_a_terminal(command: CommandLine, *, width: int, **environment: str) -> None:
    terminal = partial(
        Console, force_terminal=True, width=width, legacy_windows=False, _environ={"TERM": "xterm", **environment}
    )
    command.patch.setattr("velero_vmservice.cli.views.terminal.Console", terminal)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("table", TABLES)
class TestOfEachCommand:
    """What each command that prints a table does with its options."""

    def test_a_pipe_has_the_headers_of_a_terminal_in_capitals(self, command: CommandLine, table: str) -> None:
        arguments, headers, _ = TABLES[table]
        rows = command(*arguments).rows
        assert headers in rows
        on_a_terminal(command, width=400)
        assert headers in [
            re.split(" {2,}", line.strip()) for line in click.unstyle(command(*arguments).out).splitlines()
        ]

    def test_wide_has_all_the_columns_and_more(self, command: CommandLine, table: str) -> None:
        arguments, headers, more = TABLES[table]
        (wide,) = [row for row in command(*arguments, "-o", "wide").rows if row[0] == headers[0]]
        assert [header for header in wide if header not in more] == headers
        assert sorted(set(wide) - set(headers)) == sorted(more)

    def test_without_headers_there_are_rows_alone(self, command: CommandLine, table: str) -> None:
        arguments, headers, _ = TABLES[table]
        rows = command(*arguments, "--no-headers").rows
        assert rows
        assert {len(row) for row in rows} == {len(headers)}
        assert headers not in rows

    def test_there_is_one_name_for_each_row(self, command: CommandLine, table: str) -> None:
        arguments, _, _ = TABLES[table]
        names = command(*arguments, "-o", "name").lines
        assert len(set(names)) == len(names) == len(command(*arguments, "--no-headers").lines)

    def test_yaml_is_the_document_that_json_is(self, command: CommandLine, table: str) -> None:
        arguments, _, _ = TABLES[table]
        written, read = command(*arguments, "-o", "json").out, command(*arguments, "-o", "yaml").out
        assert without_time(yaml.safe_load(read)) == without_time(json.loads(written))

    def test_a_form_that_there_is_not_is_wrong_usage(self, command: CommandLine, table: str) -> None:
        arguments, _, _ = TABLES[table]
        ran = command(*arguments, "-o", "xml")
        assert (ran.code, ran.out) == (2, "")
        assert "'table', 'wide', 'json', 'yaml', 'name'" in ran.err


def without_time(document: Any) -> Any:
    return {key: value for key, value in document.items() if key != "at"} if isinstance(document, dict) else document


@pytest.mark.usefixtures("world")
def test_names_can_be_given_to_the_next_command(command: CommandLine) -> None:
    assert command("report", "list", "-o", "name").lines == ["again/20250101T000000Z"]
    assert command("registration", "status", "nightly", "-o", "name").lines == ["shop/web-1"]
    assert "VirtualMachineService/shop/front" in command("plan", "nightly", "-o", "name").lines


@pytest.mark.usefixtures("world")
def test_a_list_takes_the_name_that_its_table_once_had(command: CommandLine) -> None:
    assert command("report", "list", "-o", "text").out == command("report", "list").out


def test_a_long_sentence_that_rows_share_is_whole_where_nothing_is_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [Row(name, (name, Sentences(LONG, ""))) for name in ("front", "side")]
    table = Table(columns=(Column("NAME"), Column("WHY")), rows=rows, document=[], above=("a",), below=("b",))
    table.show(Output())
    assert capsys.readouterr().out.splitlines() == [
        "a",
        "NAME   WHY",
        "front  (1)",
        "side   (1)",
        f"(1) {LONG}",
        "b",
    ]
    table.show(Output(headers=False))
    assert capsys.readouterr().out.splitlines() == [f"front  {LONG}", f"side   {LONG}"]


def test_a_table_without_rows_has_no_headers(capsys: pytest.CaptureFixture[str]) -> None:
    Table(columns=(Column("NAME"),), rows=(), document=[], below=("nothing is to be deleted",)).show(Output())
    assert capsys.readouterr().out == "nothing is to be deleted\n"


def test_columns_are_aligned_by_what_a_terminal_shows(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("", ("日本", "x")), Row("", ("a\nb", "")), Row("", ("", "z"))]
    Table(columns=(Column("N"), Column("V")), rows=rows, document=[]).show(Output())
    assert capsys.readouterr().out.splitlines() == ["N     V", "日本  x", "a b   -", "-     z"]


CAPTURE = "nightly-gold/20261130T040000Z"
COLUMNS = (Column("OBJECT"), Column("CAPTURE"), Column("JOB"), Column("WHY"))
ROWS = [
    Row("a", ("VirtualMachineService shop/front", CAPTURE, "Nightly Gold", "")),
    Row("b", ("VirtualMachine shop/web-1", "", "", "no recent capture holds it, and it belongs to no group")),
]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            60,
            [
                "VirtualMachineService shop/front",
                f"  CAPTURE {CAPTURE}  JOB Nightly Gold",
                "VirtualMachine shop/web-1",
                "  WHY no recent capture holds it, and it belongs to no group",
            ],
        ),
        (
            90,
            [
                f"OBJECT                 CAPTURE{' ' * 24}JOB           WHY",
                f"VirtualMachineService  {CAPTURE}  Nightly Gold  -",
                "shop/front",
                f"VirtualMachine         -{' ' * 30}-             no recent capture",
                f"shop/web-1{' ' * 58}holds it, and it",
                f"{' ' * 68}belongs to no group",
            ],
        ),
    ],
)
def test_a_narrow_terminal_breaks_the_widest_column_and_a_narrower_one_names_each_cell(
    command: CommandLine, capsys: pytest.CaptureFixture[str], width: int, lines: list[str]
) -> None:
    on_a_terminal(command, width=width)
    Table(columns=COLUMNS, rows=ROWS, document=[]).show(Output())
    printed = click.unstyle(capsys.readouterr().out).splitlines()
    assert [line.rstrip() for line in printed] == lines


@pytest.mark.parametrize("text", ["off", "2026-01-01", "a: b", "# x", "\u202e", "é", "\x1b[2J", "a\nb", "x" * 300])
def test_yaml_keeps_a_text_as_it_is_and_shows_nothing_unseen(capsys: pytest.CaptureFixture[str], text: str) -> None:
    Table(columns=(), rows=(), document={"text": text, "form": Form.WIDE}).show(Output(Form.YAML))
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed) == {"text": text, "form": "wide"}
    assert "\u202e" not in printed
    assert "\x1b" not in printed
    assert len(printed.splitlines()) == 2 + 2 * (text == "a\nb")


@pytest.mark.usefixtures("world")
def test_colours_are_left_out_where_they_are_not_wanted(command: CommandLine) -> None:
    on_a_terminal(command, width=120)
    assert "\x1b[32mok" in command("doctor", "--cluster-only").out
    on_a_terminal(command, width=120, NO_COLOR="1")
    assert "\x1b[32m" not in command("doctor", "--cluster-only").out
