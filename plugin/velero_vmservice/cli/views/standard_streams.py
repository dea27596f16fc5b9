"""Standard output and error of a command that goes on where they cannot be written.

What a command stores or changes never depends on its output: a closed pipe or a full disk would otherwise end it at
whatever line it prints, with a capture unsealed. So the failure is kept, the rest of the output is dropped, and the end
of the command tells. rich and click both turn a closed pipe into an exit of their own, so it is caught below them.
"""

from __future__ import annotations

import contextlib
import errno
import io
import select
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer

_NO_READER: Final = frozenset({errno.EPIPE, errno.ESHUTDOWN, errno.ECONNRESET})


class Stream(io.FileIO):
    """A file descriptor that takes everything, also after it can no longer be written."""

    def __init__(self, descriptor: int) -> None:
        """Write to an open descriptor, which is left open."""
        super().__init__(descriptor, "w", closefd=False)
        self.lost: OSError | None = None
        """Why something was not written."""

    def write(self, content: ReadableBuffer, /) -> int:
        """Write what can be written; the rest counts as written."""
        size = memoryview(content).nbytes
        while self.lost is None:
            try:
                written = super().write(content)
            except OSError as error:
                self.lost = error
            else:
                if written is not None:
                    return written
                select.select((), (self,), ())  # a pipe that does not block is full
        return size


@contextlib.contextmanager
def lossy() -> Iterator[None]:
    """Let standard output and error take everything."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _over(sys.stdout), _over(sys.stderr)
    try:
        yield
    finally:
        _flush(sys.stdout)
        _flush(sys.stderr)
        sys.stdout, sys.stderr = before


def unread() -> bool:
    """Say whether the reader of standard output has gone, so that there is no more use in printing."""
    lost = _lost()
    return lost is not None and lost.errno in _NO_READER


def problem() -> str:
    """Return why standard output is not whole though it has a reader; '' if it is whole."""
    _flush(sys.stdout)
    lost = _lost()
    return "" if lost is None or unread() else lost.strerror or type(lost).__name__


def _lost() -> OSError | None:
    stream = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return stream.lost if isinstance(stream, Stream) else None


def _flush(text: TextIO | None) -> None:
    if text is not None:  # a process may be started without
        text.flush()


def _over(text: TextIO) -> TextIO:
    try:
        stream = Stream(text.fileno())
    except (AttributeError, OSError, ValueError):  # it is closed, or not a file
        return text
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        encoding=text.encoding,
        errors="backslashreplace" if text.errors == "strict" else text.errors,
        line_buffering=bool(text.line_buffering),
    )
