"""Questions that a shell asks while a person types: answered quickly or not at all, and never with an error."""

from __future__ import annotations

import contextlib
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from velero_vmservice import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SECONDS: Final = 2.0
"""How long a person waits for a list of names."""


def in_time(ask: Callable[[], Iterable[str]]) -> Sequence[str]:
    """Return what a question comes to, sorted; nothing where it fails, or where there is no answer in time.

    It is asked in a thread that the end of the process does not wait for. What a shell completes is what is printed, so
    that no log may be.
    """
    logs.configure("critical")
    answers: SimpleQueue[Sequence[str]] = SimpleQueue()

    def answer() -> None:
        answered: Sequence[str] = ()
        with contextlib.suppress(Exception):
            answered = sorted(set(ask()))
        answers.put(answered)

    threading.Thread(target=answer, daemon=True).start()
    try:
        return answers.get(timeout=SECONDS)
    except Empty:
        return ()
