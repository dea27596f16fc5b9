from __future__ import annotations

from velero_vmservice.core.decision import Stage
from velero_vmservice.core.report import Outcome
from velero_vmservice.report import states


def test_every_stage_and_every_outcome_has_a_look() -> None:
    assert states.STAGES.keys() == set(Stage)
    assert states.OUTCOMES.keys() == set(Outcome)
