"""Expectations: facts about VM Operator, 4.5 and 4.6: versions are Unix milliseconds, and 8.0 U3 has none."""

from __future__ import annotations

import pytest

from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

CASES = [
    ("1699", "1700", VersionAge.OLDER),
    ("1700", "1700", VersionAge.EQUAL),
    ("1701", "1700", VersionAge.NEWER),
    ("999", "1700", VersionAge.OLDER),
    ("", "1700", VersionAge.UNKNOWN),
    ("1700", "", VersionAge.UNKNOWN),
    ("", "", VersionAge.UNKNOWN),
    ("v2", "1700", VersionAge.UNKNOWN),
    ("\u0661", "1700", VersionAge.UNKNOWN),
]


@pytest.mark.parametrize(("live", "captured", "age"), CASES)
def test_versions_are_compared_as_numbers(live: str, captured: str, age: VersionAge) -> None:
    assert compare_versions(live, captured) is age
