"""The floors of docs/architecture.md: the layers that import-linter checks, each room in its own words."""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
PACKAGE = "velero_vmservice"
_MOST_ROOMS = 4
"""A floor of more is drawn as one box: it holds single modules that know nothing of each other."""


def layers() -> list[list[str]]:
    """Return the rooms of each floor, the top one first, as the first contract of layers names them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    contract = next(each for each in contracts if each["type"] == "layers")
    names = (re.split(r"\s*[|:]\s*", layer) for layer in contract["layers"])
    return [[name.strip("() ").removeprefix(f"{PACKAGE}.") for name in floor] for floor in names]


def purpose(room: str) -> str:
    """Return the first paragraph of a package's or module's docstring."""
    path = ROOT / "plugin" / PACKAGE / room
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def drawn() -> Iterator[str]:
    """Yield the picture, then what each room is for."""
    floors = [floor for floor in layers() if floor != ["pb"]]
    boxes = [[floor] if len(floor) > _MOST_ROOMS else [[room] for room in floor] for floor in floors]
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'  {_id(box)}["{", ".join(box)}"]' for floor in boxes for box in floor]
    for above, below in itertools.pairwise(boxes):
        lines += [f"  {_id(upper)} --> {_id(lower)}" for upper in above for lower in below]
    yield "\n".join((*lines, "```", ""))
    yield "\n".join((*(f"- `{room}`: {purpose(room)}" for floor in floors for room in floor if room != "pb"), ""))


def _id(box: Sequence[str]) -> str:
    return box[0] if len(box) == 1 else f"{box[0]}_and_more"
