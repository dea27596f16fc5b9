"""What Velero asks of an action, in our own words.

`backup` and `restore` implement these Protocols, `rpc` calls them; neither knows the other. Objects are JSON as Velero
sent it. Errors are those of `errors`: any other exception is answered as a defect. Velero calls actions
from several threads at once, and the same call may come twice.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

CALLER: Final[ContextVar[str]] = ContextVar("caller", default="")
"""Which launched process the current call came from; a backup has one of its own, from its first item to its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSelector:
    """The items Velero calls an action for. An empty list of namespaces or resources means every one.

    Resources are written `resource.group`; one that the cluster does not serve matches nothing.
    """

    included_resources: tuple[str, ...] = ()
    excluded_resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOutcome:
    """The item as it goes into the backup, and an operation the backup waits for, if named."""

    item: Mapping[str, Any]
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOutcome:
    """The item as Velero shall create it, or `skip`; and an operation the restore waits for, if named."""

    item: Mapping[str, Any]
    skip: bool = False
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an operation is. `completed` with an `error` fails it for good; times are timezone-aware."""

    completed: bool
    error: str = ""
    done: int = 0
    total: int = 0
    units: str = ""
    description: str = ""
    started: datetime | None = None
    updated: datetime | None = None


class StartsNoOperation:
    """The second half of an action that never starts an operation: Velero does not poll, and is answered if it does."""

    def progress(self, operation_id: str, run: Mapping[str, Any]) -> Progress:
        """Answer that nothing is waited for."""
        del operation_id, run
        return Progress(completed=True)

    def cancel(self, operation_id: str, run: Mapping[str, Any]) -> None:
        """Do nothing: no operation was started."""


class BackupAction(Protocol):
    """Called while a backup is written, once per selected item."""

    def applies_to(self) -> ResourceSelector:
        """Return the items to be called for. MUST NOT fail: Velero would abort the backup."""

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> BackupOutcome:
        """Act on one item; an error fails the item and makes the backup PartiallyFailed."""

    def progress(self, operation_id: str, backup: Mapping[str, Any]) -> Progress:
        """Report on an operation. A transient error is reported and Velero polls again; any other fails it."""

    def cancel(self, operation_id: str, backup: Mapping[str, Any]) -> None:
        """Stop an operation that took too long; repeatable."""


class RestoreAction(Protocol):
    """Called while a restore runs, once per selected item."""

    def applies_to(self) -> ResourceSelector:
        """Return the items to be called for. MUST NOT fail: Velero would abort the restore."""

    def execute(
        self, item: Mapping[str, Any], item_from_backup: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> RestoreOutcome:
        """Act on one item. `item` lacks status and most metadata, `item_from_backup` is as it was stored.

        Both carry the namespace of the backup: namespace mapping is the action's own duty.
        """

    def progress(self, operation_id: str, restore: Mapping[str, Any]) -> Progress:
        """Report on an operation. A transient error is reported and Velero polls again; any other fails it."""

    def cancel(self, operation_id: str, restore: Mapping[str, Any]) -> None:
        """Stop an operation that took too long; repeatable."""


class DeleteAction(Protocol):
    """Called while a backup is deleted, once per selected item; Velero only logs its errors."""

    def applies_to(self) -> ResourceSelector:
        """Return the items to be called for. MUST NOT fail."""

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> None:
        """Remove what belongs to one item of the backup; repeatable."""
