"""HTTP answers with limits of seconds and bytes.

A read timeout starts again with each byte, so it never ends a connection to a very slow server. A parser that reads an
answer as a stream has no limit of length. Both limits apply where bytes arrive, below every client.
"""

from __future__ import annotations

import io
import time
from functools import partial
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPSConnectionPool

from velero_vmservice.adapters.transport.tls import GoConnection
from velero_vmservice.errors import AnswerTooLong

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

_MIB = 1024 * 1024


class AnswerLate(TimeoutError):
    """An answer did not begin or end in time; the request was sent."""


class BoundedResponse(HTTPResponse):
    """An answer that raises `AnswerLate` and `AnswerTooLong` at its limits, headers included.

    A compressed answer is refused, because it could unpack to any length. With `packed` it is passed on, for clients
    that unpack nothing.
    """

    def __init__(
        self, sock: socket.socket, *args: Any, seconds: float, longest: int, packed: bool = False, **known: Any
    ) -> None:
        """Begin to count; `longest` is in bytes."""
        super().__init__(sock, *args, **known)
        self._packed = packed
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_Bounded(raw, sock, seconds=seconds, longest=longest))

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        if self._packed:
            return
        if (packed := self.getheader("Content-Encoding", "identity").lower()) != "identity":
            raise HTTPException(f"the answer is packed ({packed}), which was not asked for")


class _Bounded(io.RawIOBase):
    """The bytes of one answer."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, *, seconds: float, longest: int) -> None:
        super().__init__()
        self._raw = raw
        self._socket = sock
        self._patience = sock.gettimeout()
        self._end = time.monotonic() + seconds
        self._longest = longest
        self._left = longest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        try:
            count = self._read(buffer)
        except OSError:
            self._let_go()  # a reader that fails in the middle of an answer must not keep it
            raise
        self._left -= count or 0
        if self._left < 0:
            self._let_go()
            raise AnswerTooLong(
                f"the answer is longer than {self._longest // _MIB} MiB",
                hint="check the server there, and why its answer is so long",
            )
        return count

    def _read(self, buffer: WriteableBuffer) -> int | None:
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise AnswerLate("the answer did not end in time")
        self._socket.settimeout(remaining)
        try:
            return self._raw.readinto(buffer)
        except TimeoutError as error:
            raise AnswerLate(str(error)) from None

    def close(self) -> None:
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        """Close the answer, and restore the timeout of the connection, which may be used again."""
        if not self._raw.closed:
            self._socket.settimeout(self._patience)
            self._raw.close()


def cause(error: object) -> object:
    """Return the error that a library wrapped as its last argument; the wrapper's own text is that of a tuple."""
    while isinstance(error, Exception) and error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    return error


def connections(*, seconds: float, longest: int) -> Callable[..., HTTPSConnection]:
    """Return what makes a connection of `http.client` whose answers are bounded."""
    return partial(_connection, HTTPSConnection, partial(BoundedResponse, seconds=seconds, longest=longest))


class BoundedAdapter(HTTPAdapter):
    """Bounds the answers of a `requests` session."""

    def __init__(self, *, seconds: float, longest: int) -> None:
        self._answer = partial(BoundedResponse, seconds=seconds, longest=longest)
        super().__init__()

    def init_poolmanager(self, *args: Any, **known: Any) -> None:
        """Make the pool manager, whose pools make bounded connections."""
        super().init_poolmanager(*args, **known)
        made = partial(_connection, GoConnection, self._answer)
        pools = type("BoundedPool", (HTTPSConnectionPool,), {"ConnectionCls": staticmethod(made)})
        self.poolmanager.pool_classes_by_scheme = {"https": pools}


def _connection(kind: Callable[..., Any], answer: Any, *args: Any, **known: Any) -> Any:
    made = kind(*args, **known)
    made.response_class = answer
    return made
