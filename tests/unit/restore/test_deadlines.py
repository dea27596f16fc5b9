from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.builders import run
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.policy import RestorePolicy, passed_deadline

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""As the builders' restore says."""
POLICY = RestorePolicy.model_validate({"registered_within": "1h", "verified_within": "10m", "powered_within": "5m"})


@pytest.mark.parametrize(
    ("stage", "since", "limit", "excerpt"),
    [
        (Stage.WAITING, 0, 60, "the policy's registered-within=1h is over"),
        (Stage.WAITING, 59, 60, "the policy's registered-within=1h is over"),
        (Stage.REPLAYED, 0, 10, "the policy's verified-within=10m is over"),
        (Stage.REPLAYED, 90, 100, "the policy's verified-within=10m is over"),
        (Stage.POWERING, 90, 95, "the policy's powered-within=5m is over"),
    ],
    ids=["registration", "registration counts from the restore's start", "verification", "since then", "power"],
)
def test_a_stage_has_its_own_deadline(stage: Stage, since: int, limit: int, excerpt: str) -> None:
    """Minutes after the restore's start: when the stage began, and when its time is over."""
    began, at = STARTED + timedelta(minutes=since), STARTED + timedelta(minutes=limit)
    assert passed_deadline(stage, began, run(), POLICY, now=at) == ""
    assert passed_deadline(stage, began, run(), POLICY, now=at + timedelta(seconds=1)) == excerpt


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage.final])
def test_an_object_that_has_ended_is_never_late(stage: Stage) -> None:
    assert passed_deadline(stage, STARTED, run(), POLICY, now=STARTED + timedelta(days=9)) == ""


@pytest.mark.parametrize("stage", list(Stage))
def test_without_a_deadline_only_velero_ends_it(stage: Stage) -> None:
    never = RestorePolicy.model_validate(dict.fromkeys(("registered_within", "verified_within", "powered_within")))
    assert passed_deadline(stage, STARTED, run(), never, now=STARTED + timedelta(days=9)) == ""


def test_a_restore_that_velero_has_not_dated_counts_from_the_stage() -> None:
    assert passed_deadline(Stage.WAITING, STARTED, run(started=""), POLICY, now=STARTED + timedelta(minutes=59)) == ""
    assert passed_deadline(Stage.WAITING, STARTED, run(started=""), POLICY, now=STARTED + timedelta(minutes=61))
