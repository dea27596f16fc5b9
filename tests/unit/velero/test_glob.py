"""Patterns against the answers of gobwas/glob v0.2.3, which Velero uses."""

from __future__ import annotations

import pytest

from velero_vmservice.velero.glob import compiled, is_included, matches_any


@pytest.mark.parametrize(
    ("pattern", "name", "separators", "want"),
    [
        ("*", "a.b", "", True),
        ("*", "a.b", ".", False),
        ("**", "a.b", ".", True),
        ("*.b", "a.b", ".", True),
        ("virtualmachineservices.*", "virtualmachineservices.vmoperator.vmware.com", ".", False),
        ("virtualmachineservices.**", "virtualmachineservices.vmoperator.vmware.com", ".", True),
        ("?", ".", ".", False),
        ("?", ".", "", True),
        ("{shop,crm}", "crm", "", True),
        ("{shop,crm}-{a,b}", "crm-b", "", True),
        ("{a,{b,c}d}", "cd", "", True),
        ("{a,b", "b", "", True),
        ("a,b", "a,b", "", True),
        ("a}", "a}", "", True),
        ("[abc]", "b", "", True),
        ("[a-c]", "b", "", True),
        ("[!a-c]", "b", "", False),
        ("[!a]", ".", ".", True),
        ("[.]", ".", ".", True),
        (r"\*", "*", "", True),
        (r"\*", "a", "", False),
        ("a+b", "aab", "", False),
        ("shop", "shop\n", "", False),
        ("Shop", "shop", "", False),
    ],
)
def test_a_pattern_matches_as_in_velero(pattern: str, name: str, separators: str, *, want: bool) -> None:
    expression = compiled(pattern, separators)
    assert expression is not None
    assert bool(expression.fullmatch(name)) is want


@pytest.mark.parametrize("pattern", ["[", "[a", "[]", "[!]", "[a-]", "[c-a]", "[a-cx]", "shop[", "{[,a}"])
def test_a_pattern_that_velero_cannot_read_matches_nothing(pattern: str) -> None:
    assert compiled(pattern) is None
    assert not matches_any("a", [pattern])


def test_patterns_behind_an_unreadable_one_are_not_looked_at() -> None:
    assert matches_any("shop", ["Z", "shop", "["]) is False
    assert matches_any("Shop", ["Shop", "["]) is True


def test_nothing_included_is_everything_and_excluded_goes_first() -> None:
    assert is_included("shop", [], [])
    assert is_included("shop", ["*"], ["crm"])
    assert not is_included("shop", ["shop"], ["sh*"])
