"""docs/security.md names, for each threat, a test that there is."""

from __future__ import annotations

import ast
import re

import pytest

from tests.tools.markdown import ROOT, read

THREATS = [*read(ROOT / "docs" / "security.md").rows("threat", "guarded against by", "test")]


def named(cell: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/.]+\.py)::(test_\w+)`", cell)


@pytest.mark.parametrize(("threat", "test"), [(threat, test) for threat, _, test in THREATS], ids=range(len(THREATS)))
def test_each_measure_against_a_threat_has_its_test(threat: str, test: str) -> None:
    assert named(test), threat
    for path, function in named(test):
        module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
        assert function in functions, f"{threat}: {path} has no {function}; correct docs/security.md"


def test_every_threat_has_a_test_of_its_own() -> None:
    tests = [case for _, _, cell in THREATS for case in named(cell)]
    assert len(tests) > 25
    assert len({*tests}) == len(tests)
