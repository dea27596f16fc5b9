from __future__ import annotations

from typing import TYPE_CHECKING

from tests.tools.vocabulary import avoided

if TYPE_CHECKING:
    from pathlib import Path


def test_a_word_is_found_in_every_docstring_but_of_generated_code(tmp_path: Path) -> None:
    product = tmp_path / "plugin" / "product"
    for room in ("restore", "pb"):
        (product / room).mkdir(parents=True)
        (product / room / "module.py").write_text(
            '"""Whoever asks."""\nmachine = "machine"\n\ndef read() -> None:\n    """Return the machine."""\n'
        )
    assert list(avoided(product)) == [
        "plugin/product/restore/module.py:1: 'Whoever' in a docstring, see docs/glossary.md",
        "plugin/product/restore/module.py:5: 'machine' in a docstring, see docs/glossary.md",
    ]
