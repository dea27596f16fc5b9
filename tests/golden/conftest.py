"""Golden files: what the product stores, writes and offers, as it was when they were last renewed.

They are YAML, which takes fewer lines than JSON and reads as well; `test_story` sees to the bytes.

`pytest tests/golden --renew` writes `documents` anew. Read the difference before it is committed: documents that are
stored already have to be read for good, and settings, commands and ids stand in the files of their users.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import structlog
import yaml
from structlog.testing import LogCapture

from tests.golden.story import Story
from tests.unit.cli.command_line import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCUMENTS = Path(__file__).parent / "documents"


class Golden(Protocol):
    """Compares a folder of golden files with what there is to be."""

    def __call__(self, folder: str, contents: Mapping[str, Any]) -> None:
        """Fail with the differences, a file too many or too few among them; with `--renew`, write the files.

        `contents` are what JSON can hold, by the name of their file; no other test has files in the folder.
        """


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the one way to write golden files."""
    parser.addoption("--renew", action="store_true", help="write the golden files anew instead of comparing them")


@pytest.fixture(name="golden")
def _golden(request: pytest.FixtureRequest) -> Golden:
    renew = bool(request.config.getoption("--renew", default=False))

    def compare(folder: str, contents: Mapping[str, Any]) -> None:
        files = {f"{name}.yaml": _text(content) for name, content in contents.items()}
        root = DOCUMENTS / folder
        golden = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        if renew:
            for name in golden.keys() - files.keys():
                golden[name].unlink()
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return
        differences = [
            line
            for name in sorted(golden.keys() | files.keys())
            for line in difflib.unified_diff(
                golden[name].read_text(encoding="utf-8").splitlines() if name in golden else [],
                files.get(name, "").splitlines(),
                f"golden/{folder}/{name}",
                f"now/{folder}/{name}",
                lineterm="",
            )
        ]
        if differences:
            hint = "if it is meant: pytest tests/golden --renew, and say in the commit who has to follow"
            pytest.fail("\n".join([*differences, hint]), pytrace=False)

    return compare


def _text(content: Any) -> str:
    plain = json.loads(json.dumps(content, default=str))  # lists for tuples, text for paths
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=160)


@pytest.fixture(name="story")
def _story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Story:
    return Story(CommandLine(monkeypatch, tmp_path, capsys))


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """Print no log."""
    structlog.configure(processors=[LogCapture()], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
