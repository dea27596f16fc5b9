"""Exit codes are a promise to scripts: one table, the same in the code, in the documentation and in `--help`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from velero_vmservice.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

PAGE = Path(__file__).parents[3] / "docs" / "command-line.md"


def test_the_codes_are_those_that_were_promised() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "NO_ANSWER": 1,
        "USAGE": 2,
        "BLOCKED": 3,
        "NOT_READY": 4,
        "FAILED": 5,
        "INTERRUPTED": 130,
        "UNREAD": 141,
    }


def test_the_documentation_has_one_row_for_each_code() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [int(row) for row in rows] == [int(code) for code in ExitCode]


def test_help_names_every_code(command: CommandLine) -> None:
    ran = command("--help")
    assert ran.code == 0
    _, _, codes = ran.out.partition("Exit codes:")
    assert [int(number) for number in re.findall(r"\b(\d+)\s+[a-z]", codes)] == [int(code) for code in ExitCode]


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("plan",), ("plan", "a", "b"), ("plan", "--nonsense"), ("registration", "status", "-o", "x")],
)
def test_a_command_that_cannot_be_read_is_two_lines(command: CommandLine, arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert (ran.code, ran.out) == (2, "")
    first, second = ran.err.splitlines()
    assert first.startswith("velero-vmservice: ")
    assert re.fullmatch(r"hint: velero-vmservice( [a-z]+)* --help", second)


@pytest.mark.parametrize("group", [(), ("registration",), ("report",)])
def test_a_group_without_a_command_shows_its_help_as_it_is(command: CommandLine, group: tuple[str, ...]) -> None:
    ran, help_ = command(*group), command(*group, "--help")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == help_.out


def test_a_defect_is_two_lines_without_a_traceback(command: CommandLine) -> None:
    def start() -> None:
        raise LookupError("secret")

    command.connects_to(start)  # type: ignore[arg-type]
    ran = command("plan", "nightly")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "velero-vmservice: internal error (LookupError)",
        "hint: repeat it as velero-vmservice -v …, and report what it prints",
    ]


@pytest.mark.parametrize(
    ("flags", "level"), [((), "critical"), (("-v",), "info"), (("-vv",), "debug"), (("-vvv",), "debug")]
)
def test_the_log_is_printed_only_where_it_was_asked_for(
    command: CommandLine, flags: tuple[str, ...], level: str
) -> None:
    levels = list[str]()
    command.patch.setattr("velero_vmservice.logs.configure", levels.append)
    command(*flags, "registration", "explain", "dhcp")
    assert levels == [level]
