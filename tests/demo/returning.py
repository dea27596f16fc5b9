"""The VMs come back, each in its own time: a VADP vendor restores one after the other, RegisterVM does the rest.

What happens here is what an administrator and vCenter do during a restore; Velero and the plugin have no part in it
and are not told. A VM stands still until the plugin has said why it waits for it: a slow computer shows the same.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.emulator.wcp.register_steps import State, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.emulator.supervisor import Supervisor
    from tests.emulator.vadp import RestorePoint
    from tests.emulator.wcp.register_vm import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """How one VM comes back. What it waits for are words of the plugin; `None` or "" is not to wait."""

    name: str
    pace: float
    """Seconds between two steps of RegisterVM."""
    missed: str = ""
    """Before the VADP vendor restores it."""
    paused: str = ""
    """Before RegisterVM ends, which keeps it paused."""
    unbound: str | None = None
    """After the end of RegisterVM and before its disks are bound; None: they are bound before it ends."""


RETURNS: Final = (
    Return(name="shop-web-1", pace=0.3),
    Return(name="shop-db-1", pace=0.5, unbound="shop-db-1: registering (register volumes)"),
    Return(
        name="shop-web-2",
        pace=0.4,
        missed="shop-web-2: not registered yet",
        paused="shop-web-2: paused by RegisterVM",
    ),
)
"""Fast; waits for its disk; late, and paused for long."""


class Returning:
    """Brings VMs back in the background; a context manager, which stops what is not done yet."""

    def __init__(self, supervisor: Supervisor, point: RestorePoint, returns: Sequence[Return] = RETURNS) -> None:
        self._supervisor = supervisor
        self._point = point
        self._returns = returns
        self._progress = {arrival.name: "" for arrival in returns}
        self._stop = threading.Event()
        self._heard = ""
        self._news = threading.Condition()
        self._pool = ThreadPoolExecutor(len(returns))
        self._futures: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._futures = [self._pool.submit(self._bring, arrival) for arrival in self._returns]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with self._news:
            self._news.notify_all()
        self._pool.shutdown()

    def hear(self, description: str) -> None:
        """Take note of what the plugin says of a restore; it may be what a VM stands still for."""
        with self._news:
            self._heard += f"{description}\n"
            self._news.notify_all()

    def progress(self, name: str) -> str:
        """Say what vCenter shows for a VM; '' before its restore. Raises what went wrong in the background."""
        for future in self._futures:
            if future.done():
                future.result()
        return self._progress[name]

    def _bring(self, back: Return) -> None:
        if not self._told_of(back.missed):
            return
        lazy = back.unbound is not None
        task = self._supervisor.restore(self._point, back.name, lazy_claims=lazy)
        self._tell(back, task)
        for step in Step:
            if lazy and step is Step.BOUND:
                continue
            if self._stop.wait(back.pace) or (step is Step.COMPLETE and not self._told_of(back.paused)):
                return
            task.advance()
            self._tell(back, task)
        if back.unbound is not None and self._told_of(back.unbound):
            task.bind_claims()

    def _told_of(self, reason: str) -> bool:
        """Wait until the plugin has given a reason; False if the demo ends before."""
        with self._news:
            self._news.wait_for(lambda: reason in self._heard or self._stop.is_set())
        return not self._stop.is_set()

    def _tell(self, back: Return, task: Registration) -> None:
        if task.state is State.FAILED:
            raise RuntimeError(f"RegisterVM of {back.name} failed: {task.error}")
        done = task.state is State.SUCCEEDED
        self._progress[back.name] = "registered" if done else "RegisterVM is at work"
