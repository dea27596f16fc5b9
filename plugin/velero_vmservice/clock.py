"""The port of the clock, the only source of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for ages and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait for at least this time; never while Velero waits for an answer."""
