"""What was read from outside, or why it could not be, kept for a while."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from cachetools import TTLCache

from velero_vmservice.errors import VmServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from velero_vmservice.clock import Clock

ValueT = TypeVar("ValueT")

REMEMBERED: Final = 512
REMEMBERED_SECONDS: Final = 600.0
FAILURE_SECONDS: Final = 15.0
"""A store that is away is asked again after this long, not once per item."""


class Remembered(Generic[ValueT]):
    """Values by key, for what does not change once it is there; safe to use from many threads."""

    def __init__(self, clock: Clock, *, lasting: Callable[[ValueT], bool] = lambda _: True) -> None:
        self._lasting = lasting
        self._values: TTLCache[str, ValueT] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._passing: TTLCache[str, ValueT] = TTLCache(REMEMBERED, FAILURE_SECONDS, timer=clock.monotonic)
        self._failed: TTLCache[str, VmServiceError] = TTLCache(REMEMBERED, FAILURE_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def get(self, key: str, read: Callable[[], ValueT]) -> ValueT:
        """Return the value, reading it where it is not known; raises again what `read` raised a moment ago.

        A value that is not `lasting` holds no longer than a failure. The lock is not held while reading: a slow store
        of one restore holds up no other.
        """
        with self._lock:
            for known in (self._values, self._passing):
                if key in known:
                    return known[key]
            if error := self._failed.get(key):
                raise error.with_traceback(None)
        try:
            value = read()
        except VmServiceError as error:
            with self._lock:
                self._failed[key] = error
            raise
        with self._lock:
            (self._values if self._lasting(value) else self._passing)[key] = value
        return value
