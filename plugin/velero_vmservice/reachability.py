"""Whether other systems have answered lately, which decides whether the plugin is ready."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LATELY_SECONDS: Final = 900.0
"""An older failure no longer counts, because there was no request since."""


class Reachability:
    """The last answer of each place; safe to use from many threads."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._lock = threading.Lock()
        self._failed: dict[str, tuple[float, str]] = {}

    def answered(self, place: str) -> None:
        """Note that a place has answered."""
        if place in self._failed:
            with self._lock:
                self._failed.pop(place, None)

    def failed(self, place: str, code: str) -> None:
        """Note that a place has failed, with the error's code."""
        with self._lock:
            self._failed[place] = (self._timer(), code)

    def failures(self) -> Mapping[str, str]:
        """Return the places whose last answer was a recent failure, with its code."""
        oldest = self._timer() - LATELY_SECONDS
        with self._lock:
            return {place: code for place, (at, code) in sorted(self._failed.items()) if at >= oldest}


STORES: Final = Reachability()
"""The places of captures and results, by the name of their BackupStorageLocation or setting."""
