from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests import sample_report
from tests.sample_report import ENDED, GROUP, RUN, at, machine, result
from velero_vmservice.report.html.timeline import SCALE, Row, duration, timeline
from velero_vmservice.report.model import EarlierEnd
from velero_vmservice.report.summary import compose

if TYPE_CHECKING:
    from velero_vmservice.report.model import VmResult


def _row(*entries: tuple[str, str], stage: str = "verified", ended: str = "", **fields: Any) -> Row:
    ended = ended or entries[-1][0]
    group = result(GROUP, "web", stage, "", timeline=entries, ended=ended, **fields)
    return timeline(compose(RUN, (group,), policy={}, ended=ENDED)).objects[0]


def _vm_row(vm: VmResult) -> Row:
    group = result(GROUP, "web", "verified", "", machines=(vm,))
    return timeline(compose(RUN, (group,), policy={}, ended=ENDED)).machines[0]


def _tones(row: Row) -> list[str]:
    return [stretch.tone for stretch in row.stretches]


def test_the_longest_wait_comes_first_and_says_what_for() -> None:
    rows = timeline(sample_report.sample())
    first, vm = rows.objects[0], rows.machines[0]
    assert (first.kind, first.name, first.longest, first.waited_for) == (
        GROUP,
        "shop-db",
        "3 h 21 min",
        "waiting: shop-db-2: not registered yet",
    )
    assert (vm.name, vm.look.word) == ("shop-db-2", "not registered")


def test_a_wait_of_an_hour_in_a_restore_of_four_is_a_quarter_of_the_bar() -> None:
    row = _row((at("20:00:00"), "waiting: for web-1"), (at("21:00:00"), "verified: as expected"))
    wait, end = row.stretches
    assert (wait.x, wait.width, wait.tone, end.x, end.tone) == (0, SCALE // 4, "warn", SCALE // 4, "good")


def test_the_last_wait_lasts_until_the_object_ended() -> None:
    row = _row((at("20:00:00"), "waiting: for web-1"), stage="waiting", ended=at("20:30:00"))
    assert (row.longest, _tones(row)) == ("30 min", ["warn"])


def test_an_entry_is_an_end_by_its_time_and_the_stage_and_never_by_its_words() -> None:
    entries = ((at("20:00:00"), "verified: says a name"), (at("20:10:00"), "waiting: is over"))
    row = _row(*entries, stage="failed")
    assert (_tones(row), row.longest) == (["warn", "bad"], "10 min")


def test_the_end_of_an_earlier_run_ends_a_wait_and_the_time_until_the_next_run_is_none() -> None:
    earlier = EarlierEnd(stage="cancelled", reason="out of time", ended=at("20:10:00"))
    row = _row(
        (at("20:00:00"), "waiting: web-1"),
        (at("20:10:00"), "cancelled: out of time"),
        (at("22:00:00"), "replayed: created"),
        (at("22:01:00"), "verified: as expected"),
        earlier_ends=(earlier,),
    )
    assert (_tones(row), row.longest, row.waited) == (["warn", "bad", "warn", "good"], "10 min", 11 * 60)


def test_the_last_entry_at_the_moment_of_the_end_is_the_end() -> None:
    row = _row((at("20:00:00"), "replayed: created"), (at("20:00:00"), "verified: as expected"))
    assert _tones(row) == ["warn", "good"]


def test_a_vm_that_was_ready_for_a_while_has_not_waited_then() -> None:
    entries = (
        (at("20:00:00"), "not registered yet"),
        (at("20:05:00"), "ready"),
        (at("21:00:00"), "is being deleted"),
        (at("21:01:00"), "ready"),
    )
    row = _vm_row(machine("web-1", timeline=entries, ready_at=(at("20:05:00"), at("21:01:00"))))
    assert (_tones(row), row.longest, row.waited) == (["warn", "good", "warn", "good"], "5 min", 6 * 60)


def test_the_last_change_of_a_ready_vm_is_that_in_a_report_without_the_times() -> None:
    entries = ((at("20:00:00"), "not registered yet"), (at("20:05:00"), "is ready, in other words"))
    assert _tones(_vm_row(machine("web-1", timeline=entries))) == ["warn", "good"]


def test_a_vm_that_lacks_something_waits_to_the_end_of_the_restore() -> None:
    vm = machine("web-1", registered=False, waiting_for="not registered yet", timeline=((at("20:00:00"), "ready"),))
    assert _tones(_vm_row(vm)) == ["warn"]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((("", "waiting: for web-1"),), id="no time"),
        pytest.param((("yesterday", "waiting: for web-1"),), id="no ISO time"),
        pytest.param(((at("23:00:00"), "waiting: b"), (at("20:00:00"), "waiting: a")), id="clocks that went back"),
        pytest.param((("1999-01-01T00:00:00+00:00", "verified: long ago"),), id="before the restore"),
        pytest.param((("2999-01-01T00:00:00+00:00", "verified: one day"),), id="after it"),
        pytest.param(((at("20:00:00"), "words without a stage"),), id="no stage"),
    ],
)
def test_odd_entries_stay_inside_the_bar(entries: tuple[tuple[str, str], ...]) -> None:
    row = _row(*entries)
    assert row.entries == entries
    assert all(stretch.x >= 0 < stretch.width <= SCALE - stretch.x for stretch in row.stretches)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (12060, "3 h 21 min")]
)
def test_durations_are_written_in_plain_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
