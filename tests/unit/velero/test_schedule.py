"""When a Schedule runs next, in each spelling that Velero takes."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime

import pytest

from tests.unit.builders import m, obj
from velero_vmservice.velero.schedule import Schedule, local_zone, next_run

SUNDAY_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 2 * * *", datetime(2026, 3, 2, 2, tzinfo=UTC)),
        ("0 12 * * *", datetime(2026, 3, 2, 12, tzinfo=UTC)),
        ("*/15 * * * *", datetime(2026, 3, 1, 12, 15, tzinfo=UTC)),
        ("30 1 ? * 1-5", datetime(2026, 3, 2, 1, 30, tzinfo=UTC)),
        ("0 0 1 * *", datetime(2026, 4, 1, tzinfo=UTC)),
        ("0 0 13 * FRI", datetime(2026, 3, 6, tzinfo=UTC)),
        ("@daily", datetime(2026, 3, 2, tzinfo=UTC)),
        ("@weekly", datetime(2026, 3, 8, tzinfo=UTC)),
        ("@every 6h", datetime(2026, 3, 1, 18, tzinfo=UTC)),
        ("CRON_TZ=Asia/Tokyo 0 2 * * *", datetime(2026, 3, 1, 17, tzinfo=UTC)),
        ("TZ=Nowhere/Atall 0 2 * * *", datetime(2026, 3, 2, 2, tzinfo=UTC)),
    ],
)
def test_next_run(cron: str, expected: datetime) -> None:
    assert next_run(cron, SUNDAY_NOON) == expected


@pytest.mark.parametrize(
    "cron", ["", "daily", "0 2 * *", "61 * * * *", "@every", "@every soon", "0 0 30 2 *", "CRON_TZ=UTC"]
)
def test_a_schedule_that_names_no_time_has_no_next_run(cron: str) -> None:
    assert next_run(cron, SUNDAY_NOON) is None


@pytest.mark.parametrize(
    ("variable", "cron", "expected"),
    [
        ("Asia/Tokyo", "0 2 * * *", datetime(2026, 3, 1, 17, tzinfo=UTC)),
        (":Asia/Tokyo", "@daily", datetime(2026, 3, 1, 15, tzinfo=UTC)),
        ("Asia/Tokyo", "TZ=Europe/Berlin 0 2 * * *", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("", "0 2 * * *", datetime(2026, 3, 2, 2, tzinfo=UTC)),
        ("Nowhere/Atall", "0 2 * * *", datetime(2026, 3, 2, 2, tzinfo=UTC)),
    ],
)
def test_an_expression_without_a_zone_counts_in_the_local_zone(variable: str, cron: str, expected: datetime) -> None:
    assert next_run(cron, SUNDAY_NOON, zone=local_zone(variable)) == expected


def test_a_zone_is_known_where_the_system_has_no_zone_data() -> None:
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert next_run("CRON_TZ=Asia/Tokyo 0 2 * * *", SUNDAY_NOON) == datetime(2026, 3, 1, 17, tzinfo=UTC)
    finally:
        zoneinfo.reset_tzpath()


def schedule(**spec: object) -> Schedule:
    content = obj("Schedule", "nightly", api="velero.io/v1", namespace="velero", spec={"schedule": "0 2 * * *", **spec})
    return Schedule.read(m(content))


def test_a_paused_schedule_does_not_run() -> None:
    assert schedule().next_after(SUNDAY_NOON) == datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert schedule(paused=True).next_after(SUNDAY_NOON) is None
