"""The VADP job and restore point of a capture, as every command that is about a capture shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.schema import Vadp
    from velero_vmservice.cli.views.table import Table


def vadp_line(vadp: Vadp) -> str:
    """Return which VADP job and restore point belong to a capture; '' where it names neither."""
    named = {"VADP job": vadp.job, "restore point": vadp.restore_point}
    return ", ".join(f"{name}: {value}" for name, value in named.items() if value)


def vadp_document(vadp: Vadp) -> Mapping[str, str]:
    """Return the same for programs."""
    return {"job": vadp.job, "restore_point": vadp.restore_point}


def with_vadp(table: Table, vadp: Vadp) -> Table:
    """Return a table about a capture with its VADP job and restore point."""
    line = vadp_line(vadp)
    return replace(
        table,
        above=(*table.above, line) if line else table.above,
        document={**table.document, "vadp": vadp_document(vadp)},
    )
