"""Our own plugin beside a Velero server, as its pod would run it: the sidecar's process on the plugins volume."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from tests.e2e.processes import Process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.e2e.velero import Container, VeleroServer

LAUNCHER = "velero-plugin-for-vmservice"
INTERPRETER: Final = ContextVar("interpreter", default=sys.executable)
"""The Python that runs the sidecar, and with it whose product is served: `python -m tests.bench --against`."""


def serve_command(plugins: Path) -> list[str | Path]:
    """Return the command of a sidecar on a plugins volume."""
    return [INTERPRETER.get(), "-m", "velero_vmservice.cli", "serve", "--plugins-dir", plugins]


class Sidecar(Process):
    """`velero-vmservice serve` for one Velero server; it installs its launcher itself."""

    def __init__(
        self,
        server: VeleroServer,
        *,
        command: Sequence[str | Path] = (),
        container: Container = lambda argv, _environment: argv,
        **environment: str,
    ) -> None:
        variables = {
            "KUBECONFIG": str(server.plugin_kubeconfig),
            "VMSERVICE_VELERO_NAMESPACE": server.namespace,
            "AWS_SHARED_CREDENTIALS_FILE": str(server.credentials),
            "VMSERVICE_LOG_LEVEL": "debug",
            "VMSERVICE_METRICS__ADDRESS": "127.0.0.1:0",  # several run on this computer
            **environment,
        }
        argv = [*command, "serve", "--plugins-dir", server.plugins] if command else serve_command(server.plugins)
        super().__init__(
            container(argv, variables),
            log=server.directory / "sidecar.log",
            environment=variables,
        )
        self._control = server.plugins / "control.sock"

    def start(self) -> None:
        """Start and wait until it serves."""
        super().start()
        self.wait_ready(self._control.is_socket)
