"""The repository's documents as Markdown sees them: their links, anchors and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Document:
    """One Markdown file, parsed."""

    path: Path
    tokens: Sequence[Token]

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    def anchors(self) -> set[str]:
        """What a link can jump to: the headings, and what HTML in the text names."""
        headings = {str(token.attrs["id"]) for token in self.tokens if token.type == "heading_open"}
        html = "".join(token.content for token in self.tokens if token.type == "html_block")
        return headings | set(re.findall(r'id="([^"]+)"', html))

    def links(self) -> Iterator[str]:
        """Yield the targets of links and images."""
        for token in self._inline():
            for name in ("href", "src"):
                if name in token.attrs:
                    yield str(token.attrs[name])

    def repository_paths(self) -> Iterator[str]:
        """Yield what the text quotes as a path of the repository."""
        for token in self._inline():
            if token.type == "code_inline" and re.fullmatch(
                r"(?:plugin|tests|protos|charts|docs|\.github|\.ci)/[\w./-]+", token.content
            ):
                yield token.content

    def rows(self, *heading: str) -> Iterator[tuple[str, ...]]:
        """Yield the rows of each table that has this heading; of every table where none is named."""
        for table in self._tables():
            if not heading or table[0] == heading:
                yield from table[1:]

    def _tables(self) -> Iterator[list[tuple[str, ...]]]:
        table: list[list[str]] = []
        for at, token in enumerate(self.tokens):
            if token.type == "table_open":
                table = []
            elif token.type == "tr_open":
                table.append([])
            elif token.type in {"th_open", "td_open"}:
                table[-1].append(self.tokens[at + 1].content)
            elif token.type == "table_close":
                yield [tuple(row) for row in table]

    def _inline(self) -> Iterator[Token]:
        for token in self.tokens:
            yield from token.children or ()


def read(path: Path) -> Document:
    """Parse a document; headings get the anchors that GitHub gives them."""
    parser = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)
    return Document(path, parser.parse(path.read_text(encoding="utf-8")))


def documents() -> list[Document]:
    """Read every document of the repository."""
    paths = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md"))
    return [read(path) for path in sorted(paths)]
