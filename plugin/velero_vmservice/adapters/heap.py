"""Freed memory goes back to the system: a long list leaves the heap full of holes, and the C library keeps them.

A sidecar waits for days beside Velero, and its memory limit is what it held at its largest. Where the C library is not
glibc, nothing is done.
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8
"""glibc's mallopt(3): how many heaps its threads share out; the default is eight for each processor."""
_ARENAS: Final = 2


def keep_few_arenas() -> None:
    """Let all threads share two heaps; call it before there are threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return to the system what is free."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
