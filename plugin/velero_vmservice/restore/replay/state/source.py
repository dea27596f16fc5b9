"""What was read of one object of a restore, from its capture or from the backup's own item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from velero_vmservice.archive.schema import SavedStatus
    from velero_vmservice.documents import Dropped
    from velero_vmservice.restore.model import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was read of one object."""

    subject: Subject
    before: SavedStatus
    """What the object was like at backup."""
    captured_without: tuple[Dropped, ...]
    """What sanitising took off at backup."""
    dropped: tuple[Dropped, ...]
    """Fields of the captured object that the target does not take."""
    remarks: tuple[str, ...]
    """What to mind about it, in words."""
    restore_notes: tuple[str, ...] = ()
    """What holds for every object like it, in words."""
