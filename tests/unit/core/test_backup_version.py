"""Expectations: facts about VM Operator, 4.5 and 4.6: versions are Unix milliseconds, and 8.0 U3 has none."""

from __future__ import annotations

import pytest

from velero_vmservice.core.backup_version import VersionAge, compare_versions, version_words

CASES = [
    ("1699", "1700", VersionAge.OLDER, "backup version 1699, older than the captured 1700"),
    ("1700", "1700", VersionAge.EQUAL, "backup version 1700, as captured"),
    ("1701", "1700", VersionAge.NEWER, "backup version 1701, newer than the captured 1700"),
    ("999", "1700", VersionAge.OLDER, "older than"),
    ("", "1700", VersionAge.UNKNOWN, "backup version missing, the captured one is 1700"),
    ("1700", "", VersionAge.UNKNOWN, "the captured one is missing"),
    ("", "", VersionAge.UNKNOWN, "VM Operator records none before VCF 9.0"),
    ("v2", "1700", VersionAge.UNKNOWN, "backup version v2, the captured one is 1700: not comparable"),
    ("\u0661", "1700", VersionAge.UNKNOWN, "not comparable"),
]


@pytest.mark.parametrize(("found", "captured", "age", "words"), CASES)
def test_versions_are_compared_as_numbers_and_said(found: str, captured: str, age: VersionAge, words: str) -> None:
    assert compare_versions(found, captured) is age
    assert words in version_words(found, captured)
