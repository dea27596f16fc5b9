"""How a command ends, as a number. Scripts decide on it, so it stays as documented."""

from __future__ import annotations

from enum import IntEnum

from velero_vmservice.errors import NotRestorable, VmServiceError


class ExitCode(IntEnum):
    """The table of docs/command-line.md."""

    DONE = 0
    NO_ANSWER = 1
    """A setting, a right, an object or the other side is missing, so there is no answer."""
    USAGE = 2
    BLOCKED = 3
    """Waiting does not help: not restorable, in conflict, or blocked until a person acts."""
    NOT_READY = 4
    """Waiting may help: not everything is there yet, or the --timeout has passed."""
    FAILED = 5
    INTERRUPTED = 130
    """As shells count a process that Ctrl-C ended (128 + SIGINT)."""
    UNREAD = 141
    """As shells count a process that writes to a closed pipe (128 + SIGPIPE); of a command that only watches."""


class WrongUsage(VmServiceError):
    """An argument that contradicts another one, or names what the backup does not have."""

    code = "usage"


def of_error(error: VmServiceError) -> ExitCode:
    """Return the exit code of an error."""
    match error:
        case WrongUsage():
            return ExitCode.USAGE
        case NotRestorable():
            return ExitCode.BLOCKED
        case _:
            return ExitCode.NO_ANSWER


def worst(*codes: ExitCode) -> ExitCode:
    """Return the most urgent of the exit codes of a command that did several things."""
    return max(codes, default=ExitCode.DONE)
