"""Text that several rows share is shown once: a row refers to it, and it is whole below the table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONG: Final = 40
"""Characters from which a text is worth a reference: `as expected` is not."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The texts of rows, and what they share."""

    rows: tuple[str, ...]
    below: tuple[str, ...]
    """One line for each reference."""


def said_once(rows: Iterable[Sequence[str]]) -> Shared:
    """Join the sentences of each row; a long one that several rows have becomes a reference such as `(1)`."""
    sentences = [tuple(dict.fromkeys(filter(None, row))) for row in rows]
    counts = Counter(sentence for row in sentences for sentence in row)
    shared = [sentence for sentence, count in counts.items() if count > 1 and len(sentence) >= LONG]
    marks = {sentence: f"({number})" for number, sentence in enumerate(shared, start=1)}
    return Shared(
        rows=tuple("; ".join(marks.get(sentence, sentence) for sentence in row) for row in sentences),
        below=tuple(f"{mark} {sentence}" for sentence, mark in marks.items()),
    )
