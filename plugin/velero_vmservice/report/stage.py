"""How far one object of a restore has come, and how the restore as a whole has ended."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class Outcome(StrEnum):
    """How a restore ended as a whole."""

    VERIFIED = "verified"
    """Every object was replayed, or was there as captured, and is as expected."""
    INCOMPLETE = "incomplete"
    """Nothing failed; a group lacks a member that it had at backup, or a service a VM that it selected."""
    RETAINED = "retained"
    """Nothing failed; some objects exist, differ, and were left as they are."""
    FAILED = "failed"
    """No object is verified, and at least one failed."""
    CANCELLED = "cancelled"
    """No object is verified or failed, and at least one ran out of time."""
    MIXED = "mixed"
    """Some objects are verified or retained, others failed or were cancelled."""
    UNFINISHED = "unfinished"
    """Some objects were still under way when the report was made."""
    EMPTY = "empty"
    """The restore had no captured object."""


IN_WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.VERIFIED: "Restored and verified",
    Outcome.INCOMPLETE: "Restored, some objects incomplete",
    Outcome.RETAINED: "Restored, some objects retained",
    Outcome.FAILED: "Failed",
    Outcome.CANCELLED: "Cancelled",
    Outcome.MIXED: "Partly restored",
    Outcome.UNFINISHED: "Still under way",
    Outcome.EMPTY: "Nothing to restore",
}
"""The text for an outcome, of a restore and of an application alike, wherever it is shown."""
