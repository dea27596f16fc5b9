from __future__ import annotations

import pytest

from tests import sample_report
from tests.sample_report import ENDED, GROUP, RUN, at, result
from velero_vmservice.report.html.timeline import SCALE, Row, duration, timeline
from velero_vmservice.report.summary import compose


def _row(*entries: tuple[str, str], ended: str = at("20:30:00")) -> Row:
    one = result(GROUP, "web", "verified", "", timeline=entries, ended=ended)
    return timeline(compose(RUN, (one,), policy={}, ended=ENDED)).objects[0]


def test_the_longest_wait_comes_first_and_says_what_for() -> None:
    found = timeline(sample_report.sample())
    first, machine = found.objects[0], found.machines[0]
    assert (first.kind, first.name, first.longest, first.words) == (
        GROUP,
        "shop-db",
        "3 h 21 min",
        "shop-db-2: not registered yet",
    )
    assert (machine.name, machine.look.word) == ("shop-db-2", "not registered")


def test_a_wait_of_an_hour_in_a_restore_of_four_is_a_quarter_of_the_bar() -> None:
    row = _row((at("20:00:00"), "waiting: for web-1"), (at("21:00:00"), "verified: as expected"))
    wait, end = row.stretches
    assert (wait.x, wait.width, wait.tone, end.x) == (0, SCALE // 4, "warn", SCALE // 4)


def test_what_still_waits_waits_until_the_object_ended() -> None:
    assert _row((at("20:00:00"), "waiting: for web-1"), ended=at("20:30:00")).longest == "30 min"


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
    assert all(one.x >= 0 and one.width > 0 and one.x + one.width <= SCALE for one in row.stretches)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (12060, "3 h 21 min")]
)
def test_durations_read_as_a_person_would_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
