"""Which keys a store takes: those that lead to one document below its own prefix, on every server and proxy."""

from __future__ import annotations

from typing import Final

from velero_vmservice.errors import InvalidItem

_NO_NAMES: Final = frozenset({"", ".", ".."})
"""A server or proxy may resolve them as a file system does, and reach another document."""


def check_key(key: str) -> str:
    """Return the key; raises `InvalidItem` if a segment is empty, `.` or `..`, or a character is not printable."""
    if not _NO_NAMES.isdisjoint(key.split("/")) or not key.isprintable():
        raise _refused(key)
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix of a list, whose last segment may be empty or cut; raises `InvalidItem` as for a key."""
    *whole, _ = prefix.split("/")
    if not _NO_NAMES.isdisjoint(whole) or not prefix.isprintable():
        raise _refused(prefix)
    return prefix


def _refused(key: str) -> InvalidItem:
    return InvalidItem(
        f"{key[:200]!r} is not the key of a document: a segment is empty, '.' or '..', or a character is not printable",
        hint="a name in the backup, its link or the operation was changed by hand",
    )
