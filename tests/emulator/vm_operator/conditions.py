"""Status conditions as VM Operator writes them: sorted, `Ready` first, a transition time that only moves on change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def timestamp(moment: datetime) -> str:
    """Spell a time as Kubernetes does: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def nanostamp(moment: datetime) -> str:
    """Spell a time as VM Operator's power-state annotations do: RFC 3339 with a fraction."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(stamp: str) -> datetime:
    """Read either spelling."""
    return datetime.fromisoformat(stamp)


def find(status: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    """Return the condition of that type, if there is one."""
    for entry in status.get("conditions") or ():
        if entry["type"] == kind:
            condition: dict[str, Any] = entry
            return condition
    return None


def is_true(status: Mapping[str, Any], kind: str) -> bool:
    entry = find(status, kind)
    return entry is not None and entry["status"] == "True"


def mark(status: dict[str, Any], kind: str, now: datetime, *, holds: bool, reason: str = "", message: str = "") -> None:
    """Set one condition in place; without a reason it is the status' own word, as VM Operator's True ones have."""
    word = str(holds)
    entry = {"type": kind, "status": word, "reason": reason or word, "message": message}
    old = find(status, kind)
    if old is not None and {key: old.get(key) for key in entry} == entry:
        return
    same = old is not None and old["status"] == word
    entry["lastTransitionTime"] = old["lastTransitionTime"] if old is not None and same else timestamp(now)
    others = [other for other in status.get("conditions") or () if other["type"] != kind]
    status["conditions"] = sorted(
        [*others, entry], key=lambda condition: (condition["type"] != "Ready", condition["type"])
    )


def drop(status: dict[str, Any], kind: str) -> None:
    """Remove one condition in place."""
    if find(status, kind) is not None:
        status["conditions"] = [entry for entry in status["conditions"] if entry["type"] != kind]
