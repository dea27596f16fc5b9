"""The restore point of a VM: its backup version against the captured one; shown, never waited for.

VM Operator counts in Unix milliseconds, and goes on recording newer versions of a VM that is alive; 8.0 U3
records none (vm-service 4.5, 4.6).
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum


class VersionAge(StrEnum):
    """How the current version compares with the captured one."""

    OLDER = "older"
    EQUAL = "equal"
    NEWER = "newer"
    UNKNOWN = "unknown"


def compare_versions(current: str, captured: str) -> VersionAge:
    """Compare two backup versions; what is absent or no number cannot be compared."""
    if not (_is_version(current) and _is_version(captured)):
        return VersionAge.UNKNOWN
    if int(current) == int(captured):
        return VersionAge.EQUAL
    return VersionAge.OLDER if int(current) < int(captured) else VersionAge.NEWER


def recorded_at(version: str) -> str:
    """Return when a backup version was recorded, as ISO time in UTC; '' for what is no time."""
    try:
        return datetime.fromtimestamp(int(version) // 1000, UTC).isoformat() if _is_version(version) else ""
    except (OverflowError, ValueError, OSError):
        return ""


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal()
