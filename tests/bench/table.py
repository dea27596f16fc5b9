"""One row per figure, and the Markdown table they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ("measured", "ours", "peer", "ratio", "target", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure of ours beside the same figure of a named peer, and what it must not exceed, if anything.

    The target is one of the ratio, or of our own figure where there is no peer. `part` is (a) to (h).
    """

    part: str
    measured: str
    ours: float
    unit: str = ""
    peer: str = ""
    theirs: float = 0.0
    target: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.theirs if self.peer else None

    @property
    def met(self) -> bool:
        judged = self.ours if self.ratio is None else self.ratio
        return self.target is None or judged <= self.target

    @property
    def cells(self) -> Sequence[str]:
        return (
            f"({self.part}) {self.measured}",
            self._amount(self.ours),
            f"{self.peer} {self._amount(self.theirs)}" if self.peer else "",
            "" if self.ratio is None else f"{self.ratio:.2f}",
            "" if self.target is None else f"≤ {self.target:g}",
            "" if self.target is None else ("yes" if self.met else "**no**"),
        )

    def _amount(self, value: float) -> str:
        precision = 0 if value == int(value) else 2 if value < 10 else 1
        return f"{value:.{precision}f} {self.unit}".rstrip()


def markdown(rows: Sequence[Row]) -> str:
    """Write the table."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *(row.cells for row in rows)]
    return "\n".join(map(markdown_row, lines))


def markdown_row(cells: Sequence[str]) -> str:
    """Write one row."""
    return f"| {' | '.join(cells)} |"
