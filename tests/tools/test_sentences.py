from __future__ import annotations

import pytest

from tests.tools import sentences
from tests.tools.journeys import PRODUCT, modules, sentences_read_back


@pytest.mark.parametrize(
    "code",
    [
        'stage = shown.partition(": ")[0]',
        'shown = line.removeprefix("waiting: ")',
        'if str(error).startswith("no"): ...',
        'stage, *rest = f"{stage}: {reason}".split(": ")',
        'if "repeat the restore" in hint: ...',
        "if REPEAT not in gate.reason: ...",
        'if registration.reason == "not registered yet": ...',
        "if NOT_YET == registration.reason.strip(): ...",
        "if text != badges.READY.word: ...",
        "re.search(pattern, description)",
        "if _FAILED.match(str(error)): ...",
    ],
)
def test_a_sentence_that_is_read_back_is_seen(code: str) -> None:
    assert len(sentences.read_back(code, "report/summary.py")) == 1


@pytest.mark.parametrize(
    "code",
    [
        'plural = key.split("/")[1]',
        'namespace, _, name = vm.name.partition("/")',
        'kind = resource.get("apiVersion", "").rpartition("/")[0]',
        'if "spec" in manifest: ...',
        'if vm.power_state == "PoweredOn": ...',
        "if reason != self.reason: ...",
        'if reason == "": ...',
        "if error.code is Code.GONE: ...",
    ],
)
def test_a_name_a_field_and_a_change_are_none(code: str) -> None:
    assert sentences.read_back(code, "report/summary.py") == []


def test_the_product_decides_by_no_sentence() -> None:
    assert [str(look) for look in sentences_read_back()] == []


@pytest.mark.parametrize("pattern", sentences.ALLOWED)
def test_each_allowed_pattern_still_matches(pattern: str) -> None:
    looks = (
        look
        for module in modules()
        for look in sentences.looks(module.read_text(encoding="utf-8"), module.relative_to(PRODUCT).as_posix())
    )
    assert any(look.allowed_by(pattern) for look in looks)
