"""Returns freed memory to the system; the C library would keep the holes that a long list leaves in the heap.

A sidecar runs for days beside Velero, and its memory limit has to cover its peak. With a C library other than glibc,
nothing is done.
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8
"""glibc's mallopt(3): the number of heaps for its threads; the default is eight for each processor."""
_ARENAS: Final = 2


def keep_few_arenas() -> None:
    """Let all threads share two heaps; call this before the first thread starts."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return free memory to the system."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
