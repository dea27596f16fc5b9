"""Every key that is logged stands in the runbook with its meaning, and nothing else does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import velero_vmservice

PACKAGE = Path(velero_vmservice.__file__).parent
RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "log", "bind", "bind_contextvars"}
OF_A_CALL = {"backup", "restore", "run", "resource", "namespace", "name"}
"""Bound from a mapping by `rpc/wire.py`, so that no keyword shows them."""


def logged_keys() -> set[str]:
    keys = set(OF_A_CALL)
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            logger = ast.unparse(node.func.value)
            if node.func.attr in LEVELS and re.search(r"(^|_)log$|^bound$|contextvars$", logger):
                keys |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return keys


def documented_keys() -> set[str]:
    section = RUNBOOK.read_text("utf-8").partition("Each key has one meaning:")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


def test_the_runbook_has_the_meaning_of_every_key_that_is_logged() -> None:
    assert documented_keys() == logged_keys()
    assert "error" not in logged_keys(), "Velero takes it for a Go error and panics (logs.py)"
