"""Look for words that are not the field's own, `python -m tests.tools.vocabulary`, part of `make check`.

In the product's docstrings a virtual machine is a VM, and a sentence has a noun as its subject. In the product and in
the tests a name says what it holds: `found`, `told` and their like say how a value came about.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = ROOT / "plugin" / "velero_vmservice"
TESTS: Final = ROOT / "tests"
PEOPLE: Final = ("nobody", "somebody", "everybody", "anybody", "whoever")
AVOIDED: Final = re.compile(rf"\b(machines?|{'|'.join(PEOPLE)})\b", re.IGNORECASE)
BARE: Final = frozenset({"one", "found", "words", "told", "said", "got", "those", "asked"})
ALLOWED: Final = {
    ("plugin/velero_vmservice/archive/topology.py", "found"): "a stored field: whether the member was there",
    ("plugin/velero_vmservice/report/model.py", "found"): "a stored field, beside `expected`",
    ("plugin/velero_vmservice/report/model.py", "words"): "a stored field, and documents are written by attribute",
    ("plugin/velero_vmservice/cli/registration/commands.py", "asked"): "an argument's name on the command line",
}
"""Names that stay, and why."""
GENERATED: Final = "pb"


def modules(folder: Path, *, root: Path = ROOT) -> Iterator[tuple[str, ast.Module]]:
    """Yield each module below a folder that is not generated, with its path from the root."""
    for path in sorted(folder.rglob("*.py")):
        if path.relative_to(folder).parts[0] != GENERATED:
            yield path.relative_to(root).as_posix(), ast.parse(path.read_text("utf-8"))


def docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each docstring of a module, of what it defines and of its fields, with its line."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def names(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each name that a module gives to a variable, parameter, attribute, function or class, with its line."""
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case _:
                pass


def avoided(folder: Path, *, root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each word of a docstring that is to be avoided."""
    for path, module in modules(folder, root=root):
        for line, text in docstrings(module):
            for match in AVOIDED.finditer(text):
                yield f"{path}:{line}: {match[0]!r} in a docstring, see docs/glossary.md"


def bare(folder: Path, *, root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each name that does not say what it holds."""
    for path, module in modules(folder, root=root):
        for line, name in names(module):
            if name.strip("_").lower() in BARE and (path, name) not in ALLOWED:
                yield f"{path}:{line}: {name!r} does not say what it holds"
            elif not set(PEOPLE).isdisjoint(name.split("_")):
                yield f"{path}:{line}: {name!r} has no noun as its subject"


if __name__ == "__main__":
    lines = [*avoided(PRODUCT), *bare(PRODUCT), *bare(TESTS)]
    sys.exit("\n".join(lines) if lines else 0)
