"""Whether the plugin serves, and whether it is ready, with reasons.

The two questions differ on purpose. A restart helps a process that does not serve. A process that is not ready, for
example because a bucket is away, may be in the middle of a restore, which a restart would only delay. So the first
question depends on this process alone.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from velero_vmservice.rpc import handshake
from velero_vmservice.rpc.server import LAUNCHER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from velero_vmservice.reachability import Reachability

ANSWER_SECONDS: Final = 2.0
"""The thread that answers launchers does nothing that takes longer, and a probe waits a little longer."""


class Health:
    """Reads the state of this process, without writing and without requests to other systems."""

    def __init__(self, directory: Path, *, settings_problem: Callable[[], str], stores: Reachability) -> None:
        """Set up; `settings_problem` returns the code of the error that prevents use of the cluster's settings."""
        self._directory = directory
        self._settings_problem = settings_problem
        self._stores = stores

    def not_serving(self) -> Iterator[str]:
        """Yield reasons why launchers get no answer."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_SECONDS)
                connection.connect(os.fspath(self._directory / handshake.CONTROL))
                connection.sendall(handshake.QUESTION + b"\n")
                answer = connection.recv(len(handshake.SERVING))
        except OSError as error:
            yield f"the control socket does not answer: {error.strerror or error}"
            return
        if answer != handshake.SERVING:
            yield "the control socket is closed: the plugin is stopping"

    def not_ready(self) -> Iterator[str]:
        """Yield reasons why a backup or restore that began now would fail."""
        yield from self.not_serving()
        if not os.access(self._directory / LAUNCHER, os.X_OK):
            yield f"the launcher {LAUNCHER} is not installed in the plugins directory"
        if code := self._settings_problem():
            yield f"the settings in the cluster are not used [{code}]"
        for place, code in self._stores.failures().items():
            yield f"{place} cannot be used [{code}]"
