"""`velero-vmservice` as an administrator runs it, on a world in memory; every run is a process of its own."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from tests.unit.builders import NAMESPACE
from velero_vmservice import app, cli
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.settings import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.world import World
    from velero_vmservice.app import App


HELP: Final = list(cli.commands.context_settings["help_option_names"])
"""For every context that a test makes itself: a command keeps the help options that it is first asked for."""


@dataclass(frozen=True)
class Ran:
    """What came of one run."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def rows(self) -> list[list[str]]:
        """The cells of each line of a table: two spaces stand between them at the least."""
        return [re.split(" {2,}", line) for line in self.lines]


class CommandLine:
    """Runs commands; whatever they connect to is what `starts` makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.patch = monkeypatch
        self._capsys = capsys
        for name in os.environ:
            if name.startswith("VMSERVICE_"):
                monkeypatch.delenv(name)
        monkeypatch.setattr(reading, "DEFAULT_FILE", directory / "nothing.yaml")
        self.patch.setattr("velero_vmservice.logs.configure", lambda _: None)  # logging belongs to the test

    def connects_to(self, starts: Callable[[], App]) -> None:
        """Let every later run be a new process made by `starts`."""
        self.patch.setattr(app, "connect", lambda *_, **__: starts())
        self.patch.setattr(kubernetes, "connect", lambda **_: starts().cluster)
        self.patch.setenv("VELERO_NAMESPACE", "velero")

    def waits(self, world: World, *steps: Callable[[], object], interrupted: bool = False) -> None:
        """Let these happen, one in each wait of a command, and VM Operator work; then nothing more, or Ctrl-C."""
        left: Iterator[Callable[[], object]] = iter(steps)

        def wait(seconds: float) -> None:
            world.clock.advance(seconds)
            step = next(left, None)
            if step is None and interrupted:
                raise KeyboardInterrupt
            if step is not None:
                step()
            world.vm_operator(NAMESPACE, "dr")

        self.patch.setattr(time, "sleep", wait)

    def __call__(self, *arguments: str, typed: str = "") -> Ran:
        """Run a command; `typed` is all that its input holds."""
        self.patch.setattr(sys, "argv", ["velero-vmservice", *arguments])
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self._capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)
