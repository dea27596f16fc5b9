"""What can go wrong, worded for the person on call.

Every error names what failed, on which object, the likely cause and what to do next. Adapters translate
their libraries' exceptions into this tree, so that a decision rests on meaning and never on a status number.

A defect of our own is an incident: its object gets a description with an id, and the others go on. The traceback stands
once in the plugin's own log, under the id.
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
"""An object that a defect keeps from going on fails after this long: the same code will not do better in hours."""
_THEN: Final = "; then repeat the restore"


class InReason(StrEnum):
    """How much of a remedy the reason beside it states, so that a reader of both reads nothing twice."""

    NOTHING = ""
    ACTION = "action"
    """What to do, and not that the restore is to be repeated then."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person should do about what keeps an object from coming back."""

    sentence: str = ""
    """'' where nothing is known."""
    in_reason: InReason = InReason.NOTHING

    def after(self, reason: str, *, joint: str = " | to do: ") -> str:
        """Return a reason, and what of the remedy it does not say."""
        if not self.sentence or self.in_reason is InReason.ALL:
            return reason
        return f"{reason}{_THEN}" if self.in_reason is InReason.ACTION else f"{reason}{joint}{self.sentence}"


NO_REMEDY: Final = Remedy()


class VmServiceError(Exception):
    """An error with a stable code and a remedy; what it quotes of another system is cleaned here.

    Args:
        message: what failed, on which object, with the cause.
        hint: what the reader can do next, in the imperative.
        goes_on: whether the hint says itself which restore to make then.
    """

    code: ClassVar[str] = "internal"
    transient: ClassVar[bool] = False
    """Whether the same call may succeed later by itself."""
    mendable: ClassVar[bool] = False
    """Whether the same call may succeed later once a person mends what lies outside: rights, settings."""

    @property
    def passing(self) -> bool:
        """Whether the call is worth making again while a restore waits anyway."""
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
        """What to do about an object that this has kept from coming back; the text of the error says the hint."""
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
    """A storage location that is not S3, or none: nothing of this plugin can ever have been stored there."""


class ReadOnlyStorage(InvalidSettings):
    """A storage location that an administrator has set never to be written; it stays so until that is undone."""


class NotFound(VmServiceError):
    """The object does not exist."""

    code = "not-found"


class MissingBackup(NotFound):
    """A Backup whose object is gone and whose capture is not found: whether it has one is not known."""


class NotRestorable(VmServiceError):
    """A backup that holds nothing which could be replayed, or none of it as asked for."""

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
    """The object changed under us; observe again."""

    code = "conflict"
    transient = True


class Rejected(VmServiceError):
    """The API server or an admission webhook refused the object as it is."""

    code = "rejected"


class DryRunUnsupported(Rejected):
    """A dry run was refused because an admission webhook cannot be asked without consequences."""


class Defect(VmServiceError):
    """Something that the code was not written for: its own log has the details under an id, a reader has the id."""

    code = "internal"


class Unavailable(VmServiceError):
    """The other side is away, slow or overloaded; the same call may succeed later."""

    code = "unavailable"
    transient = True


class AnswerTooLong(Unavailable):
    """An answer has more bytes than any sound one; asked for less, the other side may do better."""


class TimedOut(Unavailable):
    """The other side was asked and did not end its answer in time; asked for less, it may do better."""


class NotSent(Unavailable):
    """The request did not reach the other side for certain; where a call must not be made twice, that matters."""


def _codes(kind: type[VmServiceError] = VmServiceError) -> set[str]:
    return {kind.code}.union(*(_codes(below) for below in kind.__subclasses__()))


CODES: Final = tuple(sorted(_codes()))
"""The codes of all errors, as the runbook lists them."""


def advised(hint: str) -> str:
    """Return a hint as the sentence that a report tells what to do with; '' for none."""
    return f"{_capitalised(hint)}{_THEN}." if hint else ""


def _capitalised(hint: str) -> str:
    return f"{hint[0].upper()}{hint[1:]}".rstrip(".")


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
    INTERNAL_ERRORS.inc()
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
