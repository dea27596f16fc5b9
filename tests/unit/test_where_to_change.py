"""docs/architecture.md leads to the code: each place of its table is opened, and has the symbol that is named."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.tools.markdown import ROOT, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = read(ROOT / "docs" / "architecture.md")
ROWS = list(PAGE.rows("to change", "place", "symbol", "changes with it"))
NEEDED = (
    "restricted kind",
    "pod annotation",
    "S3 error",
    "RegisterVM error code",
    "v1alpha7",
    "verification check",
    "policy key",
    "registration source",
    "settings key",
    "command of the command line",
    "field of a captured object",
)


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def names(file: Path) -> Iterator[str]:
    """What a module binds at its top, or a proto file declares."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".proto":
        yield from re.findall(r"^(?:message|enum|service) (\w+)", source, re.MULTILINE)
        return
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize(("change", "place", "symbol", "others"), ROWS, ids=[row[0] for row in ROWS])
def test_a_place_has_the_symbol_that_the_table_names(change: str, place: str, symbol: str, others: str) -> None:
    (path,), (name,) = quoted(place), quoted(symbol)
    assert name in set(names(ROOT / path)), f"{change}: {path} has no {name}; correct docs/architecture.md"
    assert [other for other in quoted(others) if not (ROOT / other).is_file()] == []
    assert quoted(others)


@pytest.mark.parametrize("change", NEEDED)
def test_the_table_answers_what_is_changed_most_often(change: str) -> None:
    assert sum(change in row[0] for row in ROWS) == 1


def test_a_module_that_the_page_names_is_there() -> None:
    quotes = [child.content for token in PAGE.tokens for child in token.children or () if child.type == "code_inline"]
    modules = [quote for quote in quotes if re.fullmatch(r"[a-z_]+(/[a-z_0-9]+)+", quote)]
    assert len(modules) > len(ROWS) / 2
    package = ROOT / "plugin" / "velero_vmservice"
    gone = [name for name in modules if not (package / f"{name}.py").exists() and not (package / name).exists()]
    assert [name for name in gone if not (ROOT / name).exists()] == []


def test_the_picture_shows_the_layers_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["name"] == "data flows one way")
    rooms = {room.strip().removeprefix("velero_vmservice.") for layer in layers for room in re.split("[|:]", layer)}
    picture = next(token.content for token in PAGE.tokens if token.type == "fence" and token.info == "mermaid")
    assert set(re.findall(r"(\w+)\[", picture)) == rooms
