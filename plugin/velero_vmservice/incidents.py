"""Defects of our own: the object of a defect gets a description and the others go on.

The traceback stands once in the plugin's own log, under an id; a description, an Event or an error
has the id, never the traceback.
"""

from __future__ import annotations

import secrets
import traceback
from dataclasses import dataclass
from typing import Final

import structlog

from velero_vmservice.errors import Defect, VmServiceError

log = structlog.get_logger()

PATIENCE_SECONDS: Final = 300.0
"""An object that a defect keeps from going on fails after this long: the same code will not do better in hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A defect as it was first met."""

    began: float
    place: str
    """Where in the code, so that the same defect is logged once."""
    defect: Defect


class Incidents:
    """The defects that a restore's objects and namespaces have met and not got over."""

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}

    def met(self, key: str, subject: str, error: Exception, *, now: float) -> Defect:
        """Log an unexpected exception, once for as long as it comes again at the same place; return it in words."""
        place = _place(error)
        known = self._open.get(key)
        if known is None or known.place != place:
            began = known.began if known else now
            known = self._open[key] = Incident(began=began, place=place, defect=reported(error, subject))
        return known.defect

    def last(self, key: str, *, now: float) -> bool:
        """Say whether nothing but defects was met for longer than is waited."""
        known = self._open.get(key)
        return known is not None and now - known.began >= PATIENCE_SECONDS

    def holds(self, key: str) -> bool:
        """Say whether something was met and not got over."""
        return key in self._open

    def over(self, key: str) -> None:
        """Forget what was met: it goes on."""
        self._open.pop(key, None)


def reported(error: Exception, subject: str) -> Defect:
    """Log an unexpected exception with its traceback; return what others may read about it."""
    incident = secrets.token_hex(4)
    log.error("internal error", incident=incident, object=subject, exc_info=error, private=True)
    return Defect(
        f"internal error {incident} ({type(error).__name__})",
        hint=f"please report it with what the plugin's log has under {incident}",
    )


def as_ours(error: Exception, subject: str) -> VmServiceError:
    """Return an error of ours as it is, and any other as a reported defect: for what must not fail, whatever comes."""
    return error if isinstance(error, VmServiceError) else reported(error, subject)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} {last}"
