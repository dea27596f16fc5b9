"""Which source is asked in a round, and which has to wait: one that hangs costs a round and not the restore."""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import VmServiceError
from velero_vmservice.registration.merge import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from velero_vmservice.clock import Clock
    from velero_vmservice.registration.model import Registration

log = structlog.get_logger()

SLOW_SECONDS: Final = 1.0
"""A failure that comes faster costs nothing and is tried again at once."""
AWAY_SECONDS: Final = 30.0
"""A source that failed slowly is not asked again for this long, by any restore."""
NO_TIME: Final = "the others took too long; it is asked in the next round"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Away:
    """A source that is not asked for a while."""

    until: float
    reason: str
    error: VmServiceError | None = None
    """None if it broke down; a copy, for what was raised holds on to all that its round has seen."""


class Turns:
    """Keeps the rounds of several threads short; a source that is passed over has its turn in the next round."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._away: dict[str, _Away] = {}
        self._passed_over: set[tuple[str, str]] = set()

    def ask(
        self, name: str, namespace: str, question: Callable[[], Mapping[str, Registration]], *, until: float
    ) -> Answer:
        """Ask a source about a namespace if it is its turn; `until` is when the round's time is over."""
        if reason := self._kept_from(name, namespace, until=until):
            return Answer(source=name, problem=reason)
        began = self._clock.monotonic()
        try:
            return Answer(source=name, found=question())
        except VmServiceError as error:
            if self._clock.monotonic() - began >= SLOW_SECONDS:
                self._leave_alone(name, str(error), copy(error))
            return Answer(source=name, problem=str(error))
        except Exception as error:  # what a source makes of a strange answer must not hold up a restore
            log.exception("registration source broke down", source=name, namespace=namespace)
            reason = f"it broke down ({type(error).__name__}): see the log and report it"
            self._leave_alone(name, reason)  # as after a timeout: one traceback in a while is enough
            return Answer(source=name, problem=reason)

    def away(self, name: str) -> VmServiceError | None:
        """Return the error for which a source is not asked; None if it is asked, or was only passed over."""
        with self._lock:
            away = self._away.get(name)
        return copy(away.error) if away is not None and self._clock.monotonic() < away.until else None

    def _kept_from(self, name: str, namespace: str, *, until: float) -> str:
        """Return why a source is not asked about a namespace now, or ''."""
        now = self._clock.monotonic()
        with self._lock:
            away = self._away.get(name)
            if away is not None and now < away.until:
                return away.reason
            if now <= until or (name, namespace) in self._passed_over:
                self._passed_over.discard((name, namespace))
                return ""
            self._passed_over.add((name, namespace))
            return NO_TIME

    def _leave_alone(self, name: str, reason: str, error: VmServiceError | None = None) -> None:
        with self._lock:
            self._away[name] = _Away(until=self._clock.monotonic() + AWAY_SECONDS, reason=reason, error=error)
