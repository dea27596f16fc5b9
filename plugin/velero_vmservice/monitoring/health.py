"""Whether the plugin serves, and whether it is ready; each answer has its reasons.

The two questions differ on purpose. A process that does not serve is helped by a restart. One that is not ready, as a
bucket is away for instance, may be in the middle of a restore, which a restart would only delay: so nothing but this
process itself counts for the first question.
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
"""The thread that answers launchers does nothing that takes longer, and a probe waits a little longer than that."""


class Health:
    """Asks for the state of this process; nothing is written, and no other system is asked."""

    def __init__(self, directory: Path, *, settings_problem: Callable[[], str], stores: Reachability) -> None:
        """Put together; `settings_problem` gives the code of what keeps the settings of the cluster from being used."""
        self._directory = directory
        self._settings_problem = settings_problem
        self._stores = stores

    def not_serving(self) -> Iterator[str]:
        """Yield why launchers are not answered."""
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
        """Yield why a backup or restore that began now would come to nothing."""
        yield from self.not_serving()
        if not os.access(self._directory / LAUNCHER, os.X_OK):
            yield f"the launcher {LAUNCHER} is not installed in the plugins directory"
        if code := self._settings_problem():
            yield f"the settings in the cluster are not used [{code}]"
        for place, code in self._stores.failures().items():
            yield f"{place} cannot be used [{code}]"
