"""Of which restore point is a machine? Its backup version against the captured one; shown, never waited for.

VM Operator counts in Unix milliseconds, and goes on recording newer versions of a machine that is alive; 8.0 U3
records none (vm-service 4.5, 4.6).
"""

from __future__ import annotations

from enum import StrEnum


class VersionAge(StrEnum):
    """How the version found compares with the captured one."""

    OLDER = "older"
    EQUAL = "equal"
    NEWER = "newer"
    UNKNOWN = "unknown"


def compare_versions(found: str, captured: str) -> VersionAge:
    """Compare two backup versions; what is absent or no number cannot be compared."""
    if not (_is_version(found) and _is_version(captured)):
        return VersionAge.UNKNOWN
    if int(found) == int(captured):
        return VersionAge.EQUAL
    return VersionAge.OLDER if int(found) < int(captured) else VersionAge.NEWER


def version_words(found: str, captured: str) -> str:
    """Say both versions and how they compare, for one machine's line in a report."""
    match compare_versions(found, captured):
        case VersionAge.EQUAL:
            return f"backup version {found}, as captured"
        case VersionAge.OLDER | VersionAge.NEWER as age:
            return f"backup version {found}, {age} than the captured {captured}"
        case _:
            if not found and not captured:
                return "no backup version: VM Operator records none before VCF 9.0"
            return f"backup version {found or 'missing'}, the captured one is {captured or 'missing'}: not comparable"


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal()
