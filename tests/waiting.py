"""The one way a test waits: ask until the answer is yes, and say what was missing when time is up.

Nothing else in the end-to-end tests sleeps, so every wait has a deadline and a name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")

_INTERVAL = 0.1
_LONGEST_INTERVAL = 1.0


class NotYetError(AssertionError):
    """What was waited for did not happen in time."""


def wait_until(condition: Callable[[], Answer], deadline: float, what: str) -> Answer:
    """Ask `condition` until its answer is truthy and return that answer.

    `deadline` is in seconds from now. The condition is asked at least once, and once more after the deadline.
    An exception of the condition ends the wait at once. Raises NotYetError with `what` and the last answer.

    A question that takes long, such as a command, is asked less often: it would keep the processors from what is
    waited for.
    """
    end = time.monotonic() + deadline
    while True:
        begun = time.monotonic()
        late = begun >= end
        answer = condition()
        if answer:
            return answer
        if late:
            raise NotYetError(f"not within {deadline:g} s: {what}; the last answer was {answer!r}")
        time.sleep(min(max(_INTERVAL, time.monotonic() - begun), _LONGEST_INTERVAL))
