"""One list of checks, each with a state, the established facts, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from velero_vmservice.errors import Unavailable, as_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class CheckState(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """The plugin works, but a part of it does not, or may not."""
    FAILED = "failed"
    """Backups or restores do not work."""
    UNKNOWN = "unknown"
    """The check could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check."""

    name: str
    state: CheckState
    established: str
    """The established facts, or why the check could not be made."""
    hint: str = ""
    """What to do."""


def ok(name: str, established: str) -> Check:
    """Return a passed check."""
    return Check(name=name, state=CheckState.OK, established=established)


def warning(name: str, established: str, hint: str) -> Check:
    """Return a check with a possible fault."""
    return Check(name=name, state=CheckState.WARNING, established=established, hint=hint)


def failed(name: str, established: str, hint: str) -> Check:
    """Return a check with a fault."""
    return Check(name=name, state=CheckState.FAILED, established=established, hint=hint)


def unknown(name: str, why: str, hint: str = "") -> Check:
    """Return a check that could not be made."""
    return Check(name=name, state=CheckState.UNKNOWN, established=why, hint=hint)


class Examiner:
    """Makes checks one after the other; a check that raises is unknown, and the others are still made.

    After a request without an answer of the API server, checks that need it are skipped, because each would wait.
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
