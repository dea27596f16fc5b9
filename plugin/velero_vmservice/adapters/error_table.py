"""What one way to fail means, as the tables of S3 and of registration engines hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from velero_vmservice.errors import VmServiceError


@dataclass(frozen=True, slots=True)
class Meaning:
    """The error to raise, and its words."""

    kind: type[VmServiceError]
    cause: str
    remedy: str
    """May hold placeholders that the table's owner fills in, such as `{source}`."""
    quoted: bool = False
    """Whether the other system's own text says more than the cause."""
