from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.cli.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="command")
def _command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, tmp_path, capsys)
