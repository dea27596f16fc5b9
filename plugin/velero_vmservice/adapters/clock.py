"""The system's clock, behind the port that lets tests own time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Time as the operating system tells it."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back, unaffected by changes of the system's time."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let the thread rest."""
        time.sleep(seconds)
