"""One list of checks: each has a state, says what was established, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from velero_vmservice.errors import Unavailable, as_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class CheckState(StrEnum):
    """What a check has come to."""

    OK = "ok"
    WARNING = "warning"
    """The plugin works, and something of it does not, or may not."""
    FAILED = "failed"
    """Backups or restores do not work as they are meant to."""
    UNKNOWN = "unknown"
    """The check could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: CheckState
    established: str
    """What was found, or why it could not be looked at."""
    hint: str = ""
    """What to do."""


def ok(name: str, established: str) -> Check:
    """Return a check that found all as it should be."""
    return Check(name=name, state=CheckState.OK, established=established)


def warning(name: str, established: str, hint: str) -> Check:
    """Return a check that found what may be wrong."""
    return Check(name=name, state=CheckState.WARNING, established=established, hint=hint)


def failed(name: str, established: str, hint: str) -> Check:
    """Return a check that found what is wrong."""
    return Check(name=name, state=CheckState.FAILED, established=established, hint=hint)


def unknown(name: str, why: str, hint: str = "") -> Check:
    """Return a check that could not be made."""
    return Check(name=name, state=CheckState.UNKNOWN, established=why, hint=hint)


class Examiner:
    """Makes checks one after the other; one that raises is unknown and hides none of the others.

    Once the API server has not answered, what needs it is not asked of it again: each question would wait.
    """

    def __init__(self) -> None:
        self._api_server_away = ""

    def make(self, name: str, look: Callable[[], Check | Iterable[Check]], *, cluster: bool = True) -> Sequence[Check]:
        """Return what `look` comes to; with `cluster` it asks the API server first of all."""
        if cluster and self._api_server_away:
            return (unknown(name, f"not asked: {self._api_server_away}"),)
        try:
            result = look()
            return (result,) if isinstance(result, Check) else tuple(result)
        except Exception as raised:  # noqa: BLE001 - said as the check's outcome
            error = as_ours(raised, name)
            if cluster and isinstance(error, Unavailable):
                self._api_server_away = error.message
            return (unknown(name, error.message, error.hint),)
