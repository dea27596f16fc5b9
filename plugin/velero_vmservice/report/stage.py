"""How far one object of a restore has come."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """How far one object has come."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    POWERING = "powering"
    """Replayed and linked; the VMs that were asked to run do not all run yet."""
    VERIFIED = "verified"
    INCOMPLETE = "incomplete"
    """There, and lacking what it had at backup: a group a member, a service a VM that it selected."""
    RETAINED = "retained"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def broken(self) -> bool:
        """Whether the object has ended as something other than what was captured, or not at all."""
        return self in (Stage.INCOMPLETE, Stage.FAILED, Stage.CANCELLED)

    @property
    def final(self) -> bool:
        """Whether nothing more will be done for the object."""
        return self not in (Stage.WAITING, Stage.REPLAYED, Stage.POWERING)
