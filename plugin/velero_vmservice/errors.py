"""The errors of the plugin, worded for the person on call.

Every error names what failed, on which object, the likely cause and what to do next. Adapters translate
their libraries' exceptions into this tree, so that decisions rest on a meaning and never on a status number.

A defect of the plugin is an incident: its object gets a description with an id, and the other objects continue. The
traceback is in the plugin's own log once, under the id.
"""

from __future__ import annotations

import secrets
import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

import structlog

from velero_vmservice.metrics import INTERNAL_ERRORS
from velero_vmservice.text import spelled_out

log = structlog.get_logger()

PATIENCE_SECONDS: Final = 300.0
"""An object that a defect blocks fails after this time, because the same code will not succeed later."""
_THEN: Final = "; then repeat the restore"


class InReason(StrEnum):
    """The part of a remedy that the reason beside it already has, so that a reader of both reads nothing twice."""

    NOTHING = ""
    ACTION = "action"
    """The action, but not the repetition of the restore."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a user should do to bring an object back."""

    sentence: str = ""
    """'' if there is no advice."""
    in_reason: InReason = InReason.NOTHING

    def after(self, reason: str, *, joint: str = " | to do: ") -> str:
        """Return a reason, with the part of the remedy that it lacks."""
        if not self.sentence or self.in_reason is InReason.ALL:
            return reason
        return f"{reason}{_THEN}" if self.in_reason is InReason.ACTION else f"{reason}{joint}{self.sentence}"


NO_REMEDY: Final = Remedy()


class VmServiceError(Exception):
    """An error with a stable code and a remedy; text of other systems is cleaned here.

    Args:
        message: what failed, on which object, with the cause.
        hint: the reader's next action, in the imperative.
        goes_on: whether the hint itself says which restore to make afterwards.
    """

    code: ClassVar[str] = "internal"
    transient: ClassVar[bool] = False
    """Whether the same call may succeed later by itself."""
    mendable: ClassVar[bool] = False
    """Whether the same call may succeed after a user has changed rights or settings."""

    @property
    def passing(self) -> bool:
        """Whether a waiting restore should make the call again."""
        return self.transient or self.mendable

    def __init__(self, message: str, *, hint: str = "", goes_on: bool = False) -> None:
        self.message = spelled_out(message)
        self.hint = spelled_out(hint)
        self._goes_on = goes_on
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message

    @property
    def remedy(self) -> Remedy:
        """The remedy for an object that this error blocks; the error's text has the hint."""
        if not self.hint:
            return NO_REMEDY
        if self._goes_on:
            return Remedy(f"{_capitalised(self.hint)}.", InReason.ALL)
        return Remedy(advised(self.hint), InReason.ACTION)


class InvalidItem(VmServiceError):
    """An object, document or identifier that will never become valid."""

    code = "invalid-item"


class InvalidSettings(VmServiceError):
    """A setting, storage location or annotation that contradicts itself or names something unknown."""

    code = "invalid-settings"
    mendable = True


class ForeignStorage(InvalidSettings):
    """A storage location that is not S3, or no location: it cannot have documents of this plugin."""


class ReadOnlyStorage(InvalidSettings):
    """A storage location that an administrator has set to ReadOnly."""


class NotFound(VmServiceError):
    """The object does not exist."""

    code = "not-found"


class MissingBackup(NotFound):
    """A Backup whose object is gone and whose capture is not found; it is unknown whether it has one."""


class NotRestorable(VmServiceError):
    """A backup without anything to replay, or not in the requested way."""

    code = "not-restorable"


class AlreadyExists(VmServiceError):
    """Another writer was first; what is stored differs from what was offered."""

    code = "already-exists"


class Corrupt(VmServiceError):
    """Stored bytes do not match their digest: do not retry, do not replay."""

    code = "corrupt"


class Forbidden(VmServiceError):
    """Credentials or RBAC deny the call; an administrator must act."""

    code = "forbidden"
    mendable = True


class Conflict(VmServiceError):
    """The object has changed meanwhile; observe it again."""

    code = "conflict"
    transient = True


class Rejected(VmServiceError):
    """The API server or an admission webhook refused the object as it is."""

    code = "rejected"


class DryRunUnsupported(Rejected):
    """A dry run was refused because an admission webhook has side effects."""


class Defect(VmServiceError):
    """An unexpected exception: the plugin's log has the details under an id, and the user gets the id."""

    code = "internal"


class Unavailable(VmServiceError):
    """The other system is away, slow or overloaded; the same call may succeed later."""

    code = "unavailable"
    transient = True


class AnswerTooLong(Unavailable):
    """An answer has more bytes than any valid one; a smaller request may succeed."""


class TimedOut(Unavailable):
    """An answer did not end in time; a smaller request may succeed."""


class NotSent(Unavailable):
    """The request certainly did not reach the other system, which matters for calls that must not be repeated."""


def _codes(kind: type[VmServiceError] = VmServiceError) -> set[str]:
    return {kind.code}.union(*(_codes(below) for below in kind.__subclasses__()))


CODES: Final = tuple(sorted(_codes()))
"""The codes of all errors, as the runbook lists them."""


def advised(hint: str) -> str:
    """Return a hint as a sentence for a report; '' for none."""
    return f"{_capitalised(hint)}{_THEN}." if hint else ""


def _capitalised(hint: str) -> str:
    return f"{hint[0].upper()}{hint[1:]}".rstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The first occurrence of a defect."""

    began: float
    place: str
    """The place in the code, so that the same defect is logged once."""
    defect: Defect


class Incidents:
    """The open defects of a restore's objects and namespaces."""

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}

    def met(self, key: str, subject: str, error: Exception, *, now: float) -> Defect:
        """Log an unexpected exception, once while it recurs at the same place; return a text about it."""
        place = _place(error)
        known = self._open.get(key)
        if known is None or known.place != place:
            began = known.began if known else now
            known = self._open[key] = Incident(began=began, place=place, defect=reported(error, subject))
        return known.defect

    def last(self, key: str, *, now: float) -> bool:
        """Say whether a defect has lasted longer than the limit."""
        known = self._open.get(key)
        return known is not None and now - known.began >= PATIENCE_SECONDS

    def holds(self, key: str) -> bool:
        """Say whether there is an open defect."""
        return key in self._open

    def over(self, key: str) -> None:
        """Forget the defect, because the object continues."""
        self._open.pop(key, None)


def reported(error: Exception, subject: str) -> Defect:
    """Log an unexpected exception with its traceback; return an error for users."""
    incident = secrets.token_hex(4)
    INTERNAL_ERRORS.inc()
    log.error("internal error", incident=incident, object=subject, exc_info=error, private=True)
    return Defect(
        f"internal error {incident} ({type(error).__name__})",
        hint=f"please report it with what the plugin's log has under {incident}",
    )


def as_ours(error: Exception, subject: str) -> VmServiceError:
    """Return a `VmServiceError` unchanged, and any other exception as a reported defect."""
    return error if isinstance(error, VmServiceError) else reported(error, subject)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} {last}"
