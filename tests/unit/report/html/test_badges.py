from __future__ import annotations

from velero_vmservice.report.html import badges
from velero_vmservice.report.stage import Outcome, Stage


def test_every_stage_and_every_outcome_has_a_look() -> None:
    assert badges.STAGES.keys() == set(Stage)
    assert badges.OUTCOMES.keys() == set(Outcome)
