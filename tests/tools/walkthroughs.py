"""The commands of docs/walkthroughs.md with what they print, so that a test can run them and compare."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.tools.markdown import ROOT, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PAGE: Final = ROOT / "docs" / "walkthroughs.md"
LEFT_OUT: Final = "…"
_PROMPT: Final = "$ "
_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
_VARYING: Final[Mapping[str, str]] = {
    "DAY": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d| \+0000 UTC)",
    "RUN": r"\d{8}T\d{6}Z",
    "CLAIM": r"\brestored-[0-9a-f]{6}\b",
    "ADDRESS": r"\b\d+\.\d+\.\d+\.\d+\b",
    "AGE": r"\b\d+[smh](\d+s)?$",
}
"""What is another one in each run."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command and what the page says that it prints."""

    command: str
    output: str

    def as_in(self, names: Mapping[str, str]) -> Step:
        """Return the step with other names of namespace, backup and restore than the page's."""
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
        return Step(*(pattern.sub(lambda name: names[name[1]], text) for text in (self.command, self.output)))

    def shown_by(self, printed: str) -> bool:
        """Say whether a command printed what the page shows.

        `…` stands for any text of its line, and alone on a line for any lines.
        """
        wanted = "".join(_pattern(line) for line in _plain(self.output))
        return re.fullmatch(wanted, "".join(f"{line}\n" for line in _plain(printed))) is not None


def _pattern(line: str) -> str:
    if line == LEFT_OUT:
        return r"(?:[^\n]*\n)*"
    return r"[^\n]*".join(re.escape(part) for part in line.split(LEFT_OUT)) + r"\n"


def _plain(text: str) -> list[str]:
    """Return the lines of a text without styles, columns one blank apart, and what varies as the name of its kind."""
    lines = []
    for line in _STYLE.sub("", text).splitlines():
        plain = line
        for name, pattern in _VARYING.items():
            plain = re.sub(pattern, name, plain)
        lines.append(" ".join(plain.split()))
    return [line for line in lines if line]


def sections(page: Path = PAGE) -> Mapping[str, Sequence[Sequence[Step]]]:
    """Return the blocks of commands below each heading of a page, in their order."""
    blocks: dict[str, list[list[Step]]] = {}
    heading = ""
    tokens = read(page).tokens
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[at + 1].content
        elif token.type == "fence" and token.content.startswith(_PROMPT):
            blocks.setdefault(heading, []).append([*_steps(token.content)])
    return blocks


def _steps(block: str) -> Iterator[Step]:
    for part in re.split(rf"(?m)^(?={re.escape(_PROMPT)})", block):
        command, _, output = part.removeprefix(_PROMPT).partition("\n")
        if command:
            yield Step(command, output)
