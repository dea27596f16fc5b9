"""Every link and anchor in the documents leads somewhere, and the README stays one to read at a sitting."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from tests.tools import configuration_page
from tests.tools.markdown import ROOT, Document, documents, read

if TYPE_CHECKING:
    from pathlib import Path

README = read(ROOT / "README.md")
ALL = documents()
BY_PATH = {document.path: document for document in ALL}


def leads_nowhere(document: Document, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (document.path.parent / unquote(parts.path)).resolve() if parts.path else document.path
    if not parts.fragment:
        return not target.exists()
    return target not in BY_PATH or unquote(parts.fragment) not in BY_PATH[target].anchors()


@pytest.mark.parametrize("document", ALL, ids=[document.name for document in ALL])
def test_every_link_leads_somewhere(document: Document) -> None:
    assert [link for link in document.links() if leads_nowhere(document, link)] == []


@pytest.mark.parametrize(
    ("link", "nowhere"),
    [
        ("docs/README.md", False),
        ("docs/README.md#to-use-the-plugin", False),
        ("#install", False),
        ("docs/configuration.md#two-users", False),
        ("docs/missing.md", True),
        ("#no-such-heading", True),
        ("docs/README.md#no-such-heading", True),
        ("docs/restore.svg#title", True),
    ],
)
def test_a_link_that_leads_nowhere_is_seen(link: str, *, nowhere: bool) -> None:
    assert leads_nowhere(README, link) is nowhere


def test_every_document_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [README.path]
    while ahead:
        path = ahead.pop()
        if path in BY_PATH and path not in reached:
            reached.add(path)
            links = (urlsplit(link) for link in BY_PATH[path].links())
            ahead += [(path.parent / link.path).resolve() for link in links if link.path and not link.scheme]
    unreached = {document.name for document in ALL if document.path not in reached}
    assert {name for name in unreached if not name.startswith(".github/")} == set()


def test_the_configuration_page_is_what_the_models_say() -> None:
    page = configuration_page.PAGE.read_text(encoding="utf-8")
    assert page == configuration_page.rendered(page), "run `make docs` and commit docs/configuration.md"


@pytest.mark.parametrize("document", ALL, ids=[document.name for document in ALL])
def test_a_file_of_the_repository_that_a_document_names_is_there(document: Document) -> None:
    if document.name != "CHANGELOG.md":  # what it says of an earlier release stays as it was
        assert [path for path in document.repository_paths() if not (ROOT / path).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(README.path.read_text(encoding="utf-8").splitlines()) <= 150
    assert len(list(README.rows())) <= 20


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").glob("*.svg")), ids=lambda picture: picture.name)
def test_a_picture_is_drawn_without_scripts_and_describes_itself(picture: Path) -> None:
    root = ET.parse(picture).getroot()
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert {"title", "desc"} <= names
    assert not names & {"script", "foreignObject", "image", "use", "a"}
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]
