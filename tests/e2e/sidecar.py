"""Our own plugin beside a Velero server, as its pod would run it: the sidecar's process on the plugins volume."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.e2e.processes import Process

if TYPE_CHECKING:
    from tests.e2e.velero import VeleroServer

LAUNCHER = "velero-plugin-for-vmservice"


class Sidecar(Process):
    """`velero-vmservice serve` for one Velero server; it installs its launcher itself."""

    def __init__(self, server: VeleroServer, **environment: str) -> None:
        super().__init__(
            [sys.executable, "-m", "velero_vmservice.cli", "serve", "--plugins-dir", server.plugins],
            log=server.directory / "sidecar.log",
            environment={
                "KUBECONFIG": str(server.kubeconfig),
                "VMSERVICE_VELERO_NAMESPACE": server.namespace,
                "AWS_SHARED_CREDENTIALS_FILE": str(server.credentials),
                "VMSERVICE_LOG_LEVEL": "debug",
                **environment,
            },
        )
        self._control = server.plugins / "control.sock"

    def start(self) -> None:
        """Start and wait until it serves."""
        super().start()
        self.wait_ready(self._control.is_socket)
