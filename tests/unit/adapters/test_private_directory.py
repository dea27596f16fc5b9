"""Private directories: gone with their process, and at the latest when the next daemon starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from velero_vmservice.adapters.private_directory import private_directory, remove_left_behind

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDS_ONE = """
import sys
from pathlib import Path
from velero_vmservice.adapters.private_directory import private_directory
directory = private_directory()
(Path(directory.name) / "password").write_text("secret")
print(directory.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="scratch", autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, of this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture(name="holder")
def _holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with a private directory."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDS_ONE], text=True, env=os.environ, **pipes) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_what_a_killed_process_left_is_removed_when_the_next_one_serves(
    holder: tuple[subprocess.Popen[str], Path], monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    process, directory = holder
    process.kill()
    process.wait()
    assert (directory / "password").read_text() == "secret"

    monkeypatch.setenv("VMSERVICE_LOG_LEVEL", "no level")
    command = [sys.executable, "-m", "velero_vmservice.cli", "serve", "--plugins-dir", scratch]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0

    assert not directory.exists()


def test_what_a_process_still_uses_is_kept(holder: tuple[subprocess.Popen[str], Path], scratch: Path) -> None:
    own = private_directory()
    foreign = scratch / "velero-vmservice-link"
    foreign.symlink_to(scratch)

    remove_left_behind()

    assert (holder[1] / "password").read_text() == "secret"
    assert Path(own.name).is_dir()
    assert foreign.is_symlink()
    own.cleanup()


def test_a_directory_that_was_taken_for_left_behind_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = tempfile.mkdtemp, []

    def then_removed(*arguments: str | None) -> str:
        made.append(make(*arguments))
        if len(made) == 1:
            remove_left_behind()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", then_removed)

    directory = private_directory()

    assert made == [made[0], directory.name]
    assert not Path(made[0]).exists()
    assert Path(directory.name).is_dir()
    directory.cleanup()
