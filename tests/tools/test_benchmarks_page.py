"""docs/benchmarks.md is written by `make bench`: the rows of the parts that were measured, and no other."""

from __future__ import annotations

from tests.bench.page import BEGIN, END, PAGE, written
from tests.bench.table import Row

_TEXT = f"""# Before
{BEGIN}

| part | run |
| --- | --- |
| (a) | one run |
| (c) | another |

| measured | ours | peer | ratio | target | met |
| --- | --- | --- | --- | --- | --- |
| (a) launch | 1 ms |  |  |  |  |
| (c) capture | 9 ms |  |  |  |  |
| (c) withhold | 1 ms |  |  |  |  |

{END}

After
"""


def test_a_run_replaces_the_rows_of_its_parts_and_says_which_run_it_was() -> None:
    rows = [Row(part="c", measured="capture", ours=5, unit="ms"), Row(part="g", measured="backup", ours=7, unit="s")]
    page = written(_TEXT, rows, parts=frozenset("cg"), run="today")
    table = [line for line in page.splitlines() if line.startswith("| (")]
    assert table == [
        "| (a) | one run |",
        "| (c) | today |",
        "| (g) | today |",
        "| (a) launch | 1 ms |  |  |  |  |",
        "| (c) capture | 5 ms |  |  |  |  |",
        "| (g) backup | 7 s |  |  |  |  |",
    ]
    assert (page.startswith("# Before\n"), page.endswith("\n\nAfter\n")) == (True, True)


def test_the_page_is_as_a_run_leaves_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert written(text, [], parts=(), run="") == text
