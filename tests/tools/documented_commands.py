"""The commands that the documents tell a reader to type, word by word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.tools.markdown import documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.tools.markdown import Document

_SYNTAX: Final = re.compile(r"[|\[\]…]|\.\.\.")
"""What describes a command and is not typed."""
_PIPE: Final = " | "
"""Begins what another program does with the output; between the choices of an option stands a bar alone."""


def commands(program: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the name of the document and the words after the program's name, for each command of a program."""
    for document in documents():
        for line in _lines(document):
            if line.startswith(f"{program} "):
                yield document.name, _SYNTAX.sub(" ", line.partition(_PIPE)[0]).split()[1:]


def _lines(document: Document) -> Iterator[str]:
    for token in document.tokens:
        if token.type == "fence" and token.info != "mermaid":
            for line in token.content.replace("\\\n", " ").splitlines():
                yield line.strip().removeprefix("$ ").partition(" | ")[0]
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content
