"""The ports of Velero's item actions.

`backup` and `restore` implement these Protocols, and `rpc` calls them; neither knows the other. Objects are the JSON
that Velero sent. Errors are those of `errors`; any other exception is answered as a defect. Velero calls actions from
several threads at once, and may make the same call twice.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

CALLER: Final[ContextVar[str]] = ContextVar("caller", default="")
"""The launched process of the current call; a backup has its own process, from its first item to its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSelector:
    """The items Velero calls an action for. An empty list of namespaces or resources means every one.

    Resources are written `resource.group`; one that the cluster does not serve matches nothing.
    """

    included_resources: tuple[str, ...] = ()
    excluded_resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOutcome:
    """The item for the backup, and the id of an operation that the backup waits for, if any."""

    item: Mapping[str, Any]
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOutcome:
    """The item that Velero is to create, or `skip`, and the id of an operation that the restore waits for, if any."""

    item: Mapping[str, Any]
    skip: bool = False
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of an operation. `completed` with an `error` fails it for good; times are timezone-aware."""

    completed: bool
    error: str = ""
    done: int = 0
    total: int = 0
    units: str = ""
    description: str = ""
    started: datetime | None = None
    updated: datetime | None = None


class StartsNoOperation:
    """The second half of an action without operations; Velero does not poll it, but a poll gets an answer."""

    def progress(self, operation_id: str, run: Mapping[str, Any]) -> Progress:
        """Answer that the operation is complete."""
        del operation_id, run
        return Progress(completed=True)

    def cancel(self, operation_id: str, run: Mapping[str, Any]) -> None:
        """Do nothing: no operation was started."""


class BackupAction(Protocol):
    """Called during a backup, once per selected item."""

    def applies_to(self) -> ResourceSelector:
        """Return the selector of its items. MUST NOT fail: Velero would abort the backup."""

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> BackupOutcome:
        """Act on one item; an error fails the item and makes the backup PartiallyFailed."""

    def progress(self, operation_id: str, backup: Mapping[str, Any]) -> Progress:
        """Report on an operation. A transient error is reported and Velero polls again; any other fails it."""

    def cancel(self, operation_id: str, backup: Mapping[str, Any]) -> None:
        """Stop an operation that took too long; can be repeated."""


class RestoreAction(Protocol):
    """Called during a restore, once per selected item."""

    def applies_to(self) -> ResourceSelector:
        """Return the selector of its items. MUST NOT fail: Velero would abort the restore."""

    def execute(
        self, item: Mapping[str, Any], item_from_backup: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> RestoreOutcome:
        """Act on one item. `item` lacks status and most metadata, `item_from_backup` is the stored item.

        Both have the namespace of the backup: the action applies a namespace mapping itself.
        """

    def progress(self, operation_id: str, restore: Mapping[str, Any]) -> Progress:
        """Report on an operation. A transient error is reported and Velero polls again; any other fails it."""

    def cancel(self, operation_id: str, restore: Mapping[str, Any]) -> None:
        """Stop an operation that took too long; can be repeated."""


class DeleteAction(Protocol):
    """Called during the deletion of a backup, once per selected item; Velero only logs its errors."""

    def applies_to(self) -> ResourceSelector:
        """Return the selector of its items. MUST NOT fail."""

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> None:
        """Remove the documents of one item of the backup; can be repeated."""
