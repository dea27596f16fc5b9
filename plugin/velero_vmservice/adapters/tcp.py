"""A TCP connection that shows whether a port is open."""

from __future__ import annotations

import socket
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_LOOKUPS: Final = 4
"""Lookups at once: the C library has no time limit for them, and each holds a thread until it returns."""

_Lookup = list[str] | Exception


class SocketProbe:
    """Connects from this process; a port behind a firewall counts as silent."""

    def __init__(self, resolve: Callable[[str], list[str]] | None = None) -> None:
        self._resolve = resolve or _addresses
        self._lookups = threading.BoundedSemaphore(_MOST_LOOKUPS)

    def connect(self, host: str, port: int, *, seconds: float) -> str:
        """Connect and hang up; see the port. The lookup of the name and all its addresses share the time."""
        until = time.monotonic() + seconds
        try:
            addresses = self._look_up(host, seconds)
        except TimeoutError:
            return f"is not resolved within {seconds:g} s: look at the DNS of this pod"
        except OSError as error:
            return f"cannot be resolved ({error.strerror or error})"
        except (ValueError, OverflowError) as error:
            return f"is not an address to connect to ({error})"
        return _first_that_answers(addresses, port, seconds=seconds, until=until)

    def _look_up(self, host: str, seconds: float) -> list[str]:
        """Resolve in a thread that is abandoned if it takes too long; a daemon thread does not delay the exit."""
        if not self._lookups.acquire(blocking=False):
            raise TimeoutError  # earlier lookups still hang, so another one would too
        answers: SimpleQueue[_Lookup] = SimpleQueue()

        def look() -> None:
            try:
                answers.put(self._resolve(host))
            except Exception as error:  # noqa: BLE001 - raised again by `result`
                answers.put(error)
            finally:
                self._lookups.release()

        threading.Thread(target=look, name="lookup", daemon=True).start()
        try:
            answer = answers.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _first_that_answers(addresses: Sequence[str], port: int, *, seconds: float, until: float) -> str:
    failure = "has no address"
    for address in addresses:
        left = until - time.monotonic()
        if left <= 0:
            return f"does not answer within {seconds:g} s"
        try:
            with socket.create_connection((address, port), timeout=left):
                return ""
        except TimeoutError:
            failure = f"does not answer within {seconds:g} s"
        except OSError as error:
            failure = f"refuses the connection ({error.strerror or error})"
        except (ValueError, OverflowError) as error:
            failure = f"is not an address to connect to ({error})"
    return failure


def _addresses(host: str) -> list[str]:
    entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in entries))
