"""What commands print of buckets: those that could not be listed, and what was removed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velero_vmservice.cli.views import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from velero_vmservice.archive.pruning.survey import Removal
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
