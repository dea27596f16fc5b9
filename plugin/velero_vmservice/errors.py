"""What can go wrong, worded for the person on call.

Every error names what failed, on which object, the likely cause and what to do next. Adapters translate
their libraries' exceptions into this tree, so that a decision rests on meaning and never on a status number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from velero_vmservice.text import spelled_out

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


def advised(hint: str) -> str:
    """Return a hint as the sentence that a report tells what to do with; '' for none."""
    return f"{_capitalised(hint)}{_THEN}." if hint else ""


def _capitalised(hint: str) -> str:
    return f"{hint[0].upper()}{hint[1:]}".rstrip(".")
