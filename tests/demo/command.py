"""The product's command line, run as a person runs it beside the sidecar."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.demo.place import Place
    from tests.demo.screen import Screen

_COMMAND: Final = "  "
"""How the product indents a command that is to be copied, which must stay on one line."""


def run(screen: Screen, place: Place, *arguments: str) -> int:
    """Run `velero-vmservice WORDS` and print its lines as they come, folded but for commands; return its exit code."""
    screen.say_as_it_is(f"$ velero-vmservice {' '.join(arguments)}", style="bold")
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    shown = {"COLUMNS": str(screen.columns), "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-m", "velero_vmservice.cli", *arguments],
        env=inherited | place.environment | shown,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    ) as process:
        for line in process.stdout or ():
            printed = line.rstrip("\n")
            if printed.startswith(_COMMAND):
                screen.say_as_it_is(printed)
            else:
                screen.say(printed)
    return process.returncode
