"""Moments between and within Velero's calls of the plugin, held still so that a test can end a process just then."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.processes import freeze_process, thaw_process
from tests.e2e.sidecar import LAUNCHER
from tests.rpc.runtimes import keepers
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.velero import VeleroServer

_DEADLINE = 120
_POLL = "restoreitemaction/v2.(*RestoreItemActionGRPCClient).Progress("


@contextmanager
def between_calls(server: VeleroServer) -> Iterator[None]:
    """Hold a Velero server still while it has no plugin process of ours, and so waits for no answer.

    What ends the plugin within a call makes Velero fail that operation for good.
    """
    pid = server.pid

    def held() -> bool:
        freeze_process(pid)
        if not _sessions(server):
            return True
        thaw_process(pid)
        return False

    wait_until(held, _DEADLINE, "Velero has no plugin process of ours")
    try:
        yield
    finally:
        thaw_process(pid)


def freeze_within_poll(server: VeleroServer, plugin: int) -> None:
    """Freeze the process that answers a Velero server, while a poll of a restore waits for its answer."""

    def held() -> bool:
        if not _sessions(server):
            return False
        freeze_process(plugin)
        # An answer that was already under way has arrived before the second look; what waits then waits for ever.
        if all(_POLL in server.stacks() for _ in range(2)):
            return True
        thaw_process(plugin)
        return False

    wait_until(held, _DEADLINE, "a poll waits for its answer")


def _sessions(server: VeleroServer) -> set[int]:
    return set(server.plugin_processes(LAUNCHER)) - set(keepers(server.plugins))
