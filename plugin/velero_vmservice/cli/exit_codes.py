"""How a command ends, as a number: scripts decide on it, so that it stays as it is documented."""

from __future__ import annotations

from enum import IntEnum

from velero_vmservice.errors import NotRestorable, VmServiceError


class ExitCode(IntEnum):
    """The table of docs/command-line.md."""

    DONE = 0
    NO_ANSWER = 1
    """A setting, a right, an object or the other side is missing, so that the question has no answer."""
    USAGE = 2
    BLOCKED = 3
    """Waiting helps nothing: not restorable, in conflict, or held by what a person has to move."""
    NOT_READY = 4
    """Waiting may help: not all is there yet, or the time given with --timeout has passed."""
    FAILED = 5
    INTERRUPTED = 130
    """As shells count a process that Ctrl-C ended (128 + SIGINT)."""


class WrongUsage(VmServiceError):
    """An argument that contradicts another one, or names what the backup does not have."""

    code = "usage"


def of_error(error: VmServiceError) -> ExitCode:
    """Return how a command ends that an error ended."""
    match error:
        case WrongUsage():
            return ExitCode.USAGE
        case NotRestorable():
            return ExitCode.BLOCKED
        case _:
            return ExitCode.NO_ANSWER


def worst(*codes: ExitCode) -> ExitCode:
    """Return the code of a command that did several things: the one that needs a person most."""
    return max(codes, default=ExitCode.DONE)
