"""What was away in a round: asked for again in the next one, and not once for each operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from velero_vmservice.supervisor.readiness import STABLE_SECONDS

ROUND_SECONDS: Final = STABLE_SECONDS
"""An observation, and a failure to observe, serves every operation polled within this time."""


@dataclass(slots=True)
class Absence:
    """A store that was away: not asked again in this round, so that it costs one timeout and not one per object."""

    until: float = float("-inf")
    reason: str = ""

    def lasts(self, now: float) -> bool:
        return now < self.until

    def begin(self, reason: str, now: float) -> None:
        self.until, self.reason = now + ROUND_SECONDS, reason
