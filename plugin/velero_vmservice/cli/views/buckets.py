"""What commands print of buckets: those that could not be listed, and what was removed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velero_vmservice.cli.views import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from velero_vmservice.archive.pruning.survey import Removal
    from velero_vmservice.archive.pruning.unended import UnendedRestore
    from velero_vmservice.errors import VmServiceError


def remark_unread(unread: Iterable[VmServiceError]) -> None:
    """Say on standard error which buckets could not be listed."""
    for error in unread:
        terminal.remark(f"not listed: {error.message}")


def unread_document(unread: Iterable[VmServiceError]) -> list[Mapping[str, str]]:
    """Return the same for programs."""
    return [{"error": error.message, "hint": error.hint} for error in unread]


def removal_document(removal: Removal | None) -> Mapping[str, Any]:
    """Return for programs what became of a run's documents; None where their removal was not asked for."""
    return {
        "removed": removal.removed if removal else 0,
        "refused": [
            {"where": where, "error": error.message, "hint": error.hint}
            for where, error in (removal.refused.items() if removal else ())
        ],
    }


def stale_lines(unended: Iterable[UnendedRestore], now: datetime) -> Iterator[str]:
    """Yield a line about each restore that may have been given up, and what to do about it."""
    for restore in unended:
        if restore.is_stale(now):
            days = (now - restore.written).days
            yield (
                f"not ended: restore {restore.name} of {restore.started}, nothing stored of it for {days} days:"
                " repeat its command to end it, or let `velero-vmservice prune` remove its results"
                f" ({restore.where})"
            )


def unended_document(unended: Iterable[UnendedRestore], now: datetime) -> list[Mapping[str, Any]]:
    """Return the restores that have not ended for programs."""
    return [
        {
            "restore": restore.name,
            "started": restore.started,
            "capture": restore.capture.rstrip("/"),
            "idle_seconds": int((now - restore.written).total_seconds()),
            "where": restore.where,
        }
        for restore in unended
    ]
