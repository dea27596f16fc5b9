"""What can go wrong, worded for the person on call.

Every error names what failed, on which object, the likely cause and what to do next. Adapters translate
their libraries' exceptions into this tree, so that a decision rests on meaning and never on a status number.
"""

from __future__ import annotations

from typing import ClassVar, Final

from velero_vmservice.text import spelled_out

_THEN: Final = "; then repeat the restore"
_WHICH_RESTORE: Final = ("repeat the restore", "restore from")
"""A hint with one of these says already what to restore."""


class VmServiceError(Exception):
    """An error with a stable code and a remedy; what it quotes of another system is cleaned here.

    Args:
        message: what failed, on which object, with the cause.
        hint: what the reader can do next; a full sentence.
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

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = spelled_out(message)
        self.hint = spelled_out(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


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
    if not hint:
        return ""
    sentence = f"{hint[0].upper()}{hint[1:]}".rstrip(".")
    return f"{sentence}." if any(phrase in hint for phrase in _WHICH_RESTORE) else f"{sentence}{_THEN}."


def with_remedy(text: str, remedy: str, *, joint: str = " | to do: ") -> str:
    """Return what went wrong and what to do about it, where the words do not say that themselves."""
    action = remedy.removesuffix(".").removesuffix(_THEN)
    if not action or action.lower() not in text.lower():
        return f"{text}{joint}{remedy}" if action else text
    return f"{text}{_THEN}" if remedy == f"{action}{_THEN}." else text
