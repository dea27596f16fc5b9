from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.store import MemoryStore
from tests.unit.world import World
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.supervisor.startup_checks import check_cluster, check_own_bucket

if TYPE_CHECKING:
    from structlog.testing import LogCapture


def test_a_cluster_that_answers(world: World, log: LogCapture) -> None:
    assert check_cluster(world.app.supervisor)
    assert log.entries[-1]["supervisor"] is True


def test_a_cluster_that_is_away_is_logged_and_raises_nothing(log: LogCapture) -> None:
    world = World(supervisor="detect")
    world.cluster.calls.fail("serves_group", Unavailable("away", hint="start it"))
    assert not check_cluster(world.app.supervisor)
    assert (log.entries[-1]["cause"], log.entries[-1]["hint"]) == ("away", "start it")


def test_a_bucket_that_answers(world: World) -> None:
    world.locations.stores[""] = MemoryStore()
    assert check_own_bucket(world.locations)


@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("denied")], ids=lambda e: e.code)
def test_a_bucket_that_does_not_answer_is_logged_and_raises_nothing(
    world: World, log: LogCapture, error: Exception
) -> None:
    world.locations.stores[""] = MemoryStore()
    world.locations.stores[""].calls.fail("exists", error)
    assert not check_own_bucket(world.locations)
    assert log.entries[-1]["log_level"] == "warning"


def test_a_missing_bucket_is_logged_and_raises_nothing(world: World) -> None:
    assert not check_own_bucket(world.locations)
