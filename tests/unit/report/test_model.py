from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from velero_vmservice.documents import Document
from velero_vmservice.report import model as report
from velero_vmservice.report.html import badges
from velero_vmservice.report.stage import IN_WORDS, Outcome, Stage
from velero_vmservice.vmoperator.backup_version import VersionAge

if TYPE_CHECKING:
    from enum import StrEnum

_TEXT = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
_SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", _TEXT, flags=re.MULTILINE)[1:]}
_MODELS = [
    model
    for model in vars(report).values()
    if isinstance(model, type) and issubclass(model, Document) and model is not Document
]


def _first_column(section: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", _SECTIONS[section], flags=re.MULTILINE)


@pytest.mark.parametrize("model", _MODELS, ids=lambda model: model.__name__)
def test_every_field_is_documented_in_the_order_of_the_model(model: type[Document]) -> None:
    assert _first_column(model.__name__) == list(model.model_fields)


@pytest.mark.parametrize("states", [Outcome, Stage], ids=lambda states: states.__name__)
def test_every_state_is_documented(states: type[StrEnum]) -> None:
    assert _first_column(states.__name__) == list(states)


def test_the_documented_words_of_an_outcome_are_those_that_are_shown() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", _SECTIONS["Outcome"], flags=re.MULTILINE)
    assert dict(rows) == IN_WORDS == {outcome: look.word for outcome, look in badges.OUTCOMES.items()}


def test_nothing_is_documented_that_is_not_there() -> None:
    tables = {name for name in _SECTIONS if _first_column(name)}  # the other sections are prose
    assert tables == {model.__name__ for model in _MODELS} | {"Outcome", "Stage"}


def test_every_order_of_versions_is_documented() -> None:
    line = next(line for line in _SECTIONS["VmResult"].splitlines() if line.startswith("| `backup_version` |"))
    assert all(f"`{word}`" in line for word in VersionAge)


def test_every_state_has_a_look_of_its_own() -> None:
    assert set(badges.STAGES) == set(Stage)
    assert set(badges.OUTCOMES) == set(Outcome)
    texts = [look.word for look in (*badges.STAGES.values(), *badges.OUTCOMES.values())]
    assert len(texts) == len(set(texts))
