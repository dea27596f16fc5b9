"""Look for words in docstrings that are not the field's own: `python -m tests.tools.vocabulary`, part of `make check`.

A virtual machine is a VM, and a sentence has a noun as its subject.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PRODUCT: Final = Path(__file__).parents[2] / "plugin" / "velero_vmservice"
AVOIDED: Final = re.compile(r"\b(machines?|nobody|somebody|everybody|anybody|whoever)\b", re.IGNORECASE)
GENERATED: Final = "pb"


def docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each docstring of a module, of what it defines and of its fields, with its line."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def avoided(product: Path) -> Iterator[str]:
    """Yield a line for each word that is to be avoided."""
    for path in sorted(product.rglob("*.py")):
        if path.relative_to(product).parts[0] == GENERATED:
            continue
        for line, text in docstrings(ast.parse(path.read_text("utf-8"))):
            for match in AVOIDED.finditer(text):
                where = f"{path.relative_to(product.parents[1])}:{line}"
                yield f"{where}: {match[0]!r} in a docstring, see docs/glossary.md"


if __name__ == "__main__":
    lines = list(avoided(PRODUCT))
    sys.exit("\n".join(lines) if lines else 0)
