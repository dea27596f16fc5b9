"""Drills in the buckets: stored once, found again, and what metrics tell of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.fakes.store import MemoryStore
from tests.unit.builders import obj
from tests.unit.world import World
from velero_vmservice.documents import digest
from velero_vmservice.drill.model import DrilledCapture, DrillReport, DrillVerdict
from velero_vmservice.errors import NotFound, Unavailable
from velero_vmservice.metrics import REGISTRY
from velero_vmservice.metrics.now import DRILLS
from velero_vmservice.monitoring.surveying import show_drills

LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")


def report(day: int, verdict: DrillVerdict = DrillVerdict.READY, name: str = "gold") -> DrillReport:
    started = f"2026-02-{day:02}T04:00:00+00:00"
    capture = DrilledCapture(name=name, started="20260201T000000Z", maker="command")
    return DrillReport(drill=name, started=started, ended=started, verdict=verdict, capture=capture)


@pytest.fixture(name="world")
def _world() -> World:
    world = World()
    world.cluster.seed(LOCATION)
    return world


def keep(world: World, *reports: DrillReport) -> None:
    for each in reports:
        world.app.drills.keep(each, world.store)


def at(day: int) -> datetime:
    return datetime(2026, 2, day, 4, tzinfo=UTC)


def test_drills_are_listed_newest_first_and_found_by_name_and_time(world: World) -> None:
    keep(world, report(1), report(3), report(2, name="silver"))
    drills = world.app.drills
    assert [str(each) for each in drills.list().drills] == [
        "gold/20260203T040000Z",
        "silver/20260202T040000Z",
        "gold/20260201T040000Z",
    ]
    assert drills.find("gold").started == "20260203T040000Z"
    assert drills.find("gold/20260201T040000Z").read() == report(1)
    with pytest.raises(NotFound):
        drills.find("gold/20260204T040000Z")


def test_metrics_have_the_newest_drill_of_each_verdict(world: World) -> None:
    keep(world, report(1), report(2, DrillVerdict.NOT_READY), report(3))
    look = world.app.drills.look()
    assert (look.count, look.newest) == (3, {DrillVerdict.READY: at(3), DrillVerdict.NOT_READY: at(2)})
    show_drills(look)
    named = {"verdict": "ready"}
    assert REGISTRY.get_sample_value("vmservice_last_drill_timestamp_seconds", named) == at(3).timestamp()
    DRILLS.update(None, {})


def test_a_report_is_read_once(world: World) -> None:
    keep(world, report(1), report(2))
    world.app.drills.look()
    world.store.calls.made.clear()
    world.app.drills.look()
    assert world.store.calls.counts["get"] == 0


def test_a_report_that_is_damaged_hides_no_other(world: World) -> None:
    keep(world, report(1))
    world.store.put("drills/gold/20260202T040000Z/report.json", b"{", sha256=digest(b"{"))
    look = world.app.drills.look()
    assert (look.count, look.newest) == (2, {DrillVerdict.READY: at(1)})


def test_where_a_bucket_is_away_what_was_known_stays(world: World) -> None:
    keep(world, report(1))
    show_drills(world.app.drills.look())
    world.store.calls.fail("list", Unavailable("the bucket is away"))
    show_drills(world.app.drills.look())
    assert REGISTRY.get_sample_value("vmservice_drills") == 1
    DRILLS.update(None, {})


def test_without_a_drill_there_is_a_count_and_no_time(world: World) -> None:
    show_drills(world.app.drills.look())
    assert REGISTRY.get_sample_value("vmservice_drills") == 0
    DRILLS.update(None, {})


def test_a_location_of_the_same_bucket_shows_a_drill_once(world: World) -> None:
    world.cluster.seed(obj("BackupStorageLocation", "second", api="velero.io/v1", namespace="velero"))
    world.locations.stores["second"] = world.store
    world.locations.stores["third"] = MemoryStore()
    keep(world, report(1))
    assert len(world.app.drills.list().drills) == 1
