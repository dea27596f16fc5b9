"""Actions small enough to see through; what they do is asked for by the item itself."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice import errors
from velero_vmservice.rpc.server import ActionTable
from velero_vmservice.velero.actions import (
    BackupOutcome,
    Progress,
    ResourceSelector,
    RestoreOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger()

CONFIG_MAPS = ResourceSelector(included_resources=("configmaps",))
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Obliging:
    """A backup, restore and delete action in one. `data.do` of the item, or the operation id, says what to do."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.deleted: list[str] = []
        self.together = threading.Barrier(3)

    def applies_to(self) -> ResourceSelector:
        return CONFIG_MAPS

    def execute(self, item: Mapping[str, Any], owner: Mapping[str, Any]) -> BackupOutcome:
        if item.get("data", {}).get("do") == "nothing":
            return BackupOutcome(item=item)
        self._do(item.get("data", {}).get("do", ""))
        done = {**item, "metadata": {**item["metadata"], "annotations": {"seen-in": owner["metadata"]["name"]}}}
        return BackupOutcome(
            item=done,
            operation_id="op-1",
        )

    def progress(self, operation_id: str, owner: Mapping[str, Any]) -> Progress:  # noqa: ARG002 - Velero's signature
        self._do(operation_id)
        return Progress(
            completed=False, done=1, total=3, units="VMs", description="web-2: not registered yet", started=STARTED
        )

    def cancel(self, operation_id: str, owner: Mapping[str, Any]) -> None:  # noqa: ARG002 - Velero's signature
        self._do(operation_id)
        self.cancelled.append(operation_id)

    def _do(self, what: str) -> None:
        verb, _, argument = what.partition(" ")
        match verb:
            case "log":
                log.info("seen", count=3, namespace=7, missing=None, item={"a": 1})
            case "long-log":
                log.info("long", text="x" * 100_000, **{f"field{n}": "y" * 3_999 for n in range(20)})
            case "raise":
                error = getattr(errors, argument)
                raise error("the object is odd", hint="look at it")
            case "raise-garbled":
                raise errors.Unavailable("\ud800" * 10_000)
            case "break":
                secret = "hunter2"
                raise KeyError(secret)
            case "meet":
                self.together.wait(10)
            case "wait":
                log.info("waiting")
                Path(argument).read_bytes()  # a named pipe: blocks until the test writes to it
            case "chat":
                for number in range(int(argument)):
                    log.info("chatting", number=number, padding="z" * 1_000)


class ObligingRestore(Obliging):
    def execute(  # type: ignore[override] # the same action under Velero's other signature
        self, item: Mapping[str, Any], stored: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> RestoreOutcome:
        self._do(item.get("data", {}).get("do", ""))
        done = {**item, "status": stored.get("status"), "seen-in": restore["metadata"]["name"]}
        return RestoreOutcome(item=done, skip=True, operation_id="op-2")


class ObligingDelete(Obliging):
    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> None:  # type: ignore[override] # likewise
        self._do(item.get("data", {}).get("do", ""))
        self.deleted.append(f"{backup['metadata']['name']}/{item['metadata']['name']}")


def table() -> ActionTable:
    return ActionTable(
        backup={"capture": Obliging(), "withhold": Obliging()},
        restore={"replay": ObligingRestore()},
        delete={"purge": ObligingDelete()},
    )
