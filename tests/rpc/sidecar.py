"""A sidecar of its own process, with the small actions: for tests that kill it, or count what it holds."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.rpc.small_actions import table
from velero_vmservice import logs
from velero_vmservice.rpc.control import PluginServer


def main(directory: str) -> None:
    logs.configure("debug")
    with PluginServer(Path(directory), table()) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        server.serve()


if __name__ == "__main__":
    main(sys.argv[1])
