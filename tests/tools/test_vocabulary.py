from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.tools.vocabulary import ALLOWED, ROOT, avoided, bare, names

if TYPE_CHECKING:
    from pathlib import Path

NAMES = """
def told(found, *, path: str, **asked: str) -> None:
    path = [one for one in found]
    self.said = path
    with open(path) as _words, open(path) as content:
        pass
    match path:
        case [got, *those]:
            pass

def read(value: str) -> str:
    asked = value.found
    return "one, found and said"

class Case:
    found: str

def test_nobody_asks() -> None:
    pass
"""


def test_a_word_is_found_in_every_docstring_but_of_generated_code(tmp_path: Path) -> None:
    product = tmp_path / "plugin" / "product"
    for room in ("restore", "pb"):
        (product / room).mkdir(parents=True)
        (product / room / "module.py").write_text(
            '"""Whoever asks."""\nmachine = "machine"\n\ndef read() -> None:\n    """Return the machine."""\n'
        )
    assert list(avoided(product, root=tmp_path)) == [
        "plugin/product/restore/module.py:1: 'Whoever' in a docstring, see docs/glossary.md",
        "plugin/product/restore/module.py:5: 'machine' in a docstring, see docs/glossary.md",
    ]


def test_a_name_that_does_not_say_what_it_holds_is_refused_wherever_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(NAMES)
    lines = [line.removeprefix("module.py:") for line in bare(tmp_path, root=tmp_path)]
    assert {line.partition("' ")[0] for line in lines} == {
        "2: 'told",
        "2: 'found",
        "2: 'asked",
        "3: 'one",
        "4: 'said",
        "5: '_words",
        "8: 'got",
        "8: 'those",
        "12: 'asked",
        "16: 'found",
        "18: 'test_nobody_asks",
    }


def test_each_name_that_is_allowed_is_still_there() -> None:
    for path, name in ALLOWED:
        assert name in {given for _, given in names(ast.parse((ROOT / path).read_text("utf-8")))}, path
