"""Our sidecar on a plugins directory of its own, with an emulated Supervisor and no Velero: for what needs neither."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.processes import Process
from tests.e2e.sidecar import LAUNCHER, serve_command
from tests.emulator.kubernetes.kmock_api import EmulatedApi, emulated_api

if TYPE_CHECKING:
    from collections.abc import Iterator

VELERO_NAMESPACE = "velero"
CHECKED = '"@message":"cluster checked"'


@dataclass(frozen=True, kw_only=True)
class HotSidecar:
    """A sidecar that has started and rests."""

    directory: Path
    process: Process
    api: EmulatedApi

    @property
    def plugins(self) -> Path:
        return self.directory / "plugins"

    @property
    def launcher(self) -> Path:
        return self.plugins / LAUNCHER


@contextmanager
def hot_sidecar() -> Iterator[HotSidecar]:
    """Run `velero-vmservice serve` for the length of a block, as it is shipped: the log level is the default."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, emulated_api() as api:
        directory = Path(name)
        plugins = directory / "plugins"
        plugins.mkdir()
        process = serve(plugins, kubeconfig=api.kubeconfig(directory / "kubeconfig"), namespace=VELERO_NAMESPACE)
        try:
            start(process)
            yield HotSidecar(directory=directory, process=process, api=api)
        finally:
            process.stop()


def serve(plugins: Path, *, kubeconfig: Path, namespace: str) -> Process:
    """Prepare a sidecar, not started yet."""
    return Process(
        serve_command(plugins),
        log=plugins.parent / "sidecar.log",
        environment={
            "KUBECONFIG": str(kubeconfig),
            "VMSERVICE_VELERO_NAMESPACE": namespace,
            "AWS_SHARED_CREDENTIALS_FILE": str(plugins.parent / "credentials"),  # where a Velero server has them
        },
    )


def start(sidecar: Process) -> None:
    """Start a sidecar and wait until it has looked at the cluster, which is the last thing it does unasked."""
    sidecar.start()
    sidecar.wait_ready(lambda: sidecar.log.exists() and CHECKED in sidecar.log.read_text())
