"""The backup version of a VM: the time of its record, by which a VM of today is compared with a captured one."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum


class VersionAge(StrEnum):
    """The age of a VM's backup version, compared with the captured one; shown, never waited for.

    VM Operator counts in Unix milliseconds, and continues to record newer versions of a live VM; 8.0 U3 records none
    (vm-service 4.5, 4.6).
    """

    OLDER = "older"
    EQUAL = "equal"
    NEWER = "newer"
    UNKNOWN = "unknown"


def compare_versions(current: str, captured: str) -> VersionAge:
    """Compare two backup versions; a missing one, or one that is not a number, cannot be compared."""
    if not (_is_version(current) and _is_version(captured)):
        return VersionAge.UNKNOWN
    if int(current) == int(captured):
        return VersionAge.EQUAL
    return VersionAge.OLDER if int(current) < int(captured) else VersionAge.NEWER


def recorded_at(version: str) -> str:
    """Return the time of a backup version, as ISO time in UTC; '' if it is not a time."""
    try:
        return datetime.fromtimestamp(int(version) // 1000, UTC).isoformat() if _is_version(version) else ""
    except (OverflowError, ValueError, OSError):
        return ""


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal()
