"""The machines come back, each in its own time: a VADP vendor restores one after the other, RegisterVM does the rest.

What happens here is what an administrator and vCenter do during a restore; Velero and the plugin have no part in it
and are not told.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.supervisor.register_steps import State, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.supervisor.register_vm import Registration
    from tests.supervisor.supervisor import Supervisor
    from tests.supervisor.vadp import RestorePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """How one machine comes back; all in seconds."""

    name: str
    after: float
    """From the beginning until the VADP vendor has restored it."""
    pace: float
    """Between two steps of RegisterVM."""
    paused: float = 0.0
    """How much longer RegisterVM keeps it paused before it is done."""
    volumes: float | None = None
    """From the end of RegisterVM until its disks are claims; None: they are before it ends."""


RETURNS: Final = (
    Return(name="shop-web-1", after=0.5, pace=0.3),
    Return(name="shop-db-1", after=1.0, pace=0.5, volumes=5.0),
    Return(name="shop-web-2", after=2.0, pace=0.4, paused=4.5),
)
"""Fast; waits for its disk; late, and paused for long: the second look, 5 to 9 s after the first, sees both reasons."""


class Returning:
    """Brings machines back in the background; a context manager, which stops what is not done yet."""

    def __init__(self, supervisor: Supervisor, point: RestorePoint, returns: Sequence[Return] = RETURNS) -> None:
        self._supervisor = supervisor
        self._point = point
        self._returns = returns
        self._words = {one.name: "" for one in returns}
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(len(returns))
        self._futures: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._futures = [self._pool.submit(self._bring, one) for one in self._returns]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def words(self, name: str) -> str:
        """Say what vCenter shows for a machine; '' before its restore. Raises what went wrong in the background."""
        for future in self._futures:
            if future.done():
                future.result()
        return self._words[name]

    def _bring(self, one: Return) -> None:
        if self._stop.wait(one.after):
            return
        lazy = one.volumes is not None
        task = self._supervisor.restore(self._point, one.name, lazy_claims=lazy)
        self._tell(one, task)
        for step in Step:
            if lazy and step is Step.BOUND:
                continue
            if self._stop.wait(one.pace + (one.paused if step is Step.COMPLETE else 0.0)):
                return
            task.advance()
            self._tell(one, task)
        if one.volumes is not None and not self._stop.wait(one.volumes):
            task.bind_claims()

    def _tell(self, one: Return, task: Registration) -> None:
        if task.state is State.FAILED:
            raise RuntimeError(f"RegisterVM of {one.name} failed: {task.error}")
        done = task.state is State.SUCCEEDED
        self._words[one.name] = "registered" if done else "RegisterVM is at work"
