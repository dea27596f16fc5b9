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
    """What a module binds at its top, a proto file declares, or a C file defines."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".proto":
        yield from re.findall(r"^(?:message|enum|service) (\w+)", source, re.MULTILINE)
        return
    if file.suffix == ".h":
        yield from re.findall(r"^static .*?(\w+)\([^;]*\) \{$", source, re.MULTILINE)
        return
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize(("change", "place", "symbol", "others"), ROWS, ids=[row[0] for row in ROWS])
def test_each_place_has_the_symbol_that_the_table_names(change: str, place: str, symbol: str, others: str) -> None:
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


def layers() -> list[list[str]]:
    """Return the rooms of each floor, the top first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    floors = next(each["layers"] for each in contracts if each["name"] == "data flows one way")
    return [[room.strip().removeprefix("velero_vmservice.") for room in re.split("[|:]", floor)] for floor in floors]


def test_the_picture_shows_the_layers_that_are_checked() -> None:
    picture = next(token.content for token in PAGE.tokens if token.type == "fence" and token.info == "mermaid")
    assert set(re.findall(r"(\w+)\[", picture)) == {room for floor in layers() for room in floor}


def test_each_room_has_a_paragraph_in_the_order_of_the_floors_and_a_module_to_read_first() -> None:
    *floors, _everywhere = layers()
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, section = text.split("\n## Rooms\n")
    paragraphs = dict(
        re.findall(r"^\*\*([a-z_]+)\.\*\* (.*?)(?:\n\n|\Z)", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    )
    places = {room: at for at, floor in enumerate(floors) for room in floor}
    assert sorted(paragraphs) == sorted(places)
    assert [places[room] for room in paragraphs] == sorted(places.values())
    package = ROOT / "plugin" / "velero_vmservice"
    for room, paragraph in paragraphs.items():
        first = quoted(" ".join(paragraph.split()).rpartition("Read first: ")[2])
        assert first, room
        assert all((package / module).is_file() and module.startswith(room) for module in first), room
