"""The figures of docs/benchmarks.md: `make bench` writes the rows of the parts that it has measured, and no other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.bench.table import COLUMNS, markdown_row
from tests.tools.markdown import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tests.bench.table import Row

PAGE: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- make bench: begin. What follows is written by a run, and not by hand. -->"
END: Final = "<!-- make bench: end -->"
_ROW: Final = re.compile(r"^\| \((?P<part>[a-z])\) .*$", re.MULTILINE)
_RUN: Final = ("part", "run")


def written(text: str, rows: Sequence[Row], *, parts: Collection[str], run: str) -> str:
    """Return the page with the rows of a run in the place of older ones of the same parts.

    Args:
        text: the page as it is.
        rows: what was measured.
        parts: the parts that were measured, as letters.
        run: when, at which commit, on what and how that was.
    """
    before, section, after = re.split(f"{re.escape(BEGIN)}|{re.escape(END)}", text)
    runs, figures = section.split(markdown_row(COLUMNS), maxsplit=1)
    kept_runs = [row for row in _ROW.finditer(runs) if row["part"] not in parts]
    kept = [row for row in _ROW.finditer(figures) if row["part"] not in parts]
    by_part = [(row["part"], row[0]) for row in kept] + [(row.part, markdown_row(row.cells)) for row in rows]
    labelled_rows = [(row["part"], row[0]) for row in kept_runs] + [
        (part, markdown_row((f"({part})", run))) for part in parts
    ]
    return f"{before}{BEGIN}\n\n{_table(_RUN, labelled_rows)}\n\n{_table(COLUMNS, by_part)}\n\n{END}{after}"


def _table(heading: Sequence[str], by_part: Iterable[tuple[str, str]]) -> str:
    rows = [row for _, row in sorted(by_part, key=lambda entry: entry[0])]
    return "\n".join((markdown_row(heading), markdown_row(["---"] * len(heading)), *rows))
