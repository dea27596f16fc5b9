"""The daemon of the tests' small runtime: serves the small actions as `velero-vmservice serve --claim` does."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from tests.rpc.small_actions import table
from velero_vmservice import logs
from velero_vmservice.rpc.control import PluginServer


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--plugins-dir", type=Path)
    parser.add_argument("--no-install", action="store_true")
    parser.add_argument("--claim", type=int)
    options = parser.parse_args(arguments)
    logs.configure("debug")
    with PluginServer(options.plugins_dir, table(), claim=options.claim) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        logs.structlog.get_logger().info("serving", directory=str(options.plugins_dir))
        server.serve()
