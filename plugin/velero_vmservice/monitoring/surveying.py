"""Looks at applications and their captures at intervals, on a thread of its own, and shows Prometheus the result."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from velero_vmservice.captures.survey import Part
from velero_vmservice.errors import reported
from velero_vmservice.metrics.now import APPLICATIONS, DRILLS, Application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from velero_vmservice.captures.survey import View
    from velero_vmservice.drill.store import DrillLook

FIRST_SECONDS: Final = 10.0
"""Leaves time for Velero's own start."""
PAUSE_SECONDS: Final = 600.0
"""The metrics change over hours and days."""


@contextlib.contextmanager
def surveying(
    look: Callable[[], View], *, first: float = FIRST_SECONDS, pause: float = PAUSE_SECONDS
) -> Iterator[None]:
    """Look at intervals until the block is left."""
    over = threading.Event()

    def work() -> None:
        wait = first
        while not over.wait(wait):
            wait = pause
            try:
                show(look())
            except Exception as error:  # noqa: BLE001 - logged; the next look may succeed
                reported(error, "the survey of applications")

    thread = threading.Thread(target=work, name="survey", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def show(view: View) -> None:
    """Show Prometheus a view; applications that could not be read stay as they were."""
    unread = {part.value: part in view.unread for part in Part}
    APPLICATIONS.update(None if Part.APPLICATIONS in view.unread else _shown(view), unread)


def show_drills(look: DrillLook) -> None:
    """Let Prometheus see the drills; those that could not be read stay as they were."""
    if look.count is not None:
        DRILLS.update(look.count, {verdict: started.timestamp() for verdict, started in look.newest.items()})


def _shown(view: View) -> Iterator[Application]:
    for each in view.protections:
        name = each.application.name
        yield Application(
            namespace=name.namespace,
            kind=name.kind.name,
            name=name.name,
            protected=True if each.last else (False if view.captures_known else None),
            restorable=view.restorable.get(name),
            last_capture=each.last.started.timestamp() if each.last else None,
            capture_due=each.due.timestamp() if each.due else None,
        )
