from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests import sample_report
from tests.sample_report import ENDED, GROUP, RUN, power_on, result
from velero_vmservice.cli.report import render_terminal
from velero_vmservice.core.compose import compose

if TYPE_CHECKING:
    from velero_vmservice.core.report import Report


def _printed(report: Report, *, terminal: bool = False, width: int = 100) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, legacy_windows=False, _environ={"TERM": "xterm"})
    render_terminal(report, console)
    return file.getvalue()


def test_the_next_step_comes_first_then_warnings_objects_and_odd_machines() -> None:
    text = _printed(sample_report.sample())
    titles = ("Restore shop-after-incident", "Next step", "Warnings (8)", "Objects (9)", "Machines that are not as")
    positions = [text.index(title) for title in titles]
    assert positions == sorted(positions)


def test_a_command_is_one_line_however_narrow_the_terminal() -> None:
    assert f"   {power_on('shop', 'shop')}" in _printed(sample_report.sample(), width=40).splitlines()


def test_every_object_is_one_line_where_the_output_is_piped_the_worst_first() -> None:
    report = sample_report.sample()
    lines = _printed(report).splitlines()
    rows = [line for line in lines if line.startswith(("failed ", "cancelled ", "retained ", "verified "))]
    assert {line.split(maxsplit=1)[1].split(":")[0] for line in rows} == {one.label for one in report.objects}
    assert [line.split()[0] for line in rows] == ["failed", "cancelled", "retained", *["verified"] * 6]
    assert "\x1b" not in "".join(lines)


def test_a_machine_that_deviates_says_in_what_and_one_that_does_not_is_left_out() -> None:
    _, _, odd = _printed(sample_report.sample()).partition("Machines that are not as expected")
    assert "label tier is wbe, expected web" in odd
    assert "restore point is older than the capture" in odd
    assert "shop-db-2: not registered yet" in odd
    assert "billing-1" not in odd


def test_a_terminal_shows_a_table_in_colour() -> None:
    text = _printed(sample_report.sample(), terminal=True)
    assert "\x1b[31mfailed" in text
    assert "in words" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_hostile_words_neither_move_the_cursor_nor_are_markup(*, terminal: bool) -> None:
    words = "[red]x[/red]\x1b[2J\u202e\r"
    text = _printed(
        compose(RUN, (result(GROUP, "web", "failed", words),), policy={}, ended=ENDED), terminal=terminal, width=300
    )
    assert r"[red]x[/red]\u001b[2J\u202e\u000d" in text
    assert "\x1b[2J" not in text
