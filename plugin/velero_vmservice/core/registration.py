"""How far the registration of a restored machine is, in one model for every source that can tell.

Replay needs one answer, ready or not; a person needs the rest: what RegisterVM is doing, why it failed, whether
waiting can help. Sources see different parts: Kubernetes the VirtualMachine, vCenter the machine before there is one,
a registration engine its own task. What a source cannot see it leaves unknown and never guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class State(StrEnum):
    """Where one machine stands, from nothing to ready; the last four need somebody or something else."""

    UNKNOWN = "unknown"
    """The source cannot tell."""
    ABSENT = "absent"
    """Not in vCenter, or not seen by a source that cannot look there."""
    RESTORED = "restored, not registered"
    """In vCenter, and no VirtualMachine yet."""
    REGISTERING = "registering"
    REGISTERED = "registered"
    """The VirtualMachine is there; its disks or its first reconciliation are not."""
    READY = "ready"
    PAUSED = "paused"
    SNAPSHOT_REVERT = "reverting to a snapshot"
    """Afterwards nothing registers it by itself (guide 7.2.1)."""
    FAILED = "failed"
    NOT_RESTORABLE = "not restorable"
    """No ExtraConfig record, an API version that is too old, or a guest cluster's node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A machine to ask for: by name, and by UUIDs where they were captured."""

    name: str
    instance_uuid: str = ""
    bios_uuid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What one source says of one machine."""

    name: str
    state: State
    reason: str = ""
    """In words for `velero restore describe`, remedy included where there is one."""
    percent: int | None = None
    """Of RegisterVM's task, as it reports it (guide 12.3)."""
    code: str = ""
    """RegisterVM's error code as it came, or ''."""
    can_wait: bool = True
    """Whether waiting can help; if not, a person has to act."""
    since: datetime | None = None
    """When the source saw the state begin, if it can tell."""
    source: str = ""
    """Name of the source: `kubernetes`, `vcenter`, `engine`."""
    notes: tuple[str, ...] = ()
    """What to mind that changes nothing about the state."""
