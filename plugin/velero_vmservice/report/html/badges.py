"""How a state looks: a word, a sign and a tone; never a colour alone, which is lost in print and to some eyes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.report.stage import IN_WORDS, Outcome, Stage
from velero_vmservice.vmoperator.backup_version import VersionAge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from velero_vmservice.report.model import VmResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The look of one state."""

    word: str
    icon: str
    """Name of a symbol in the page."""
    tone: str
    """Name of a colour in the style sheet."""
    rank: int
    """How urgent: 0 is worst."""

    @property
    def calm(self) -> bool:
        """Whether a reader may skip it."""
        return self.rank >= _CALM


_CALM: Final = 5

STAGES: Final[Mapping[Stage, Look]] = {
    Stage.FAILED: Look(word="failed", icon="cross", tone="bad", rank=0),
    Stage.CANCELLED: Look(word="cancelled", icon="slash", tone="bad", rank=1),
    Stage.INCOMPLETE: Look(word="incomplete", icon="warn", tone="warn", rank=2),
    Stage.WAITING: Look(word="waiting", icon="clock", tone="warn", rank=2),
    Stage.REPLAYED: Look(word="replayed", icon="clock", tone="warn", rank=3),
    Stage.POWERING: Look(word="powering", icon="clock", tone="warn", rank=3),
    Stage.RETAINED: Look(word="retained", icon="equal", tone="kept", rank=4),
    Stage.VERIFIED: Look(word="verified", icon="check", tone="good", rank=5),
}

OUTCOMES: Final[Mapping[Outcome, Look]] = {
    Outcome.FAILED: Look(word=IN_WORDS[Outcome.FAILED], icon="cross", tone="bad", rank=0),
    Outcome.CANCELLED: Look(word=IN_WORDS[Outcome.CANCELLED], icon="slash", tone="bad", rank=1),
    Outcome.MIXED: Look(word=IN_WORDS[Outcome.MIXED], icon="warn", tone="bad", rank=2),
    Outcome.UNFINISHED: Look(word=IN_WORDS[Outcome.UNFINISHED], icon="clock", tone="warn", rank=3),
    Outcome.INCOMPLETE: Look(word=IN_WORDS[Outcome.INCOMPLETE], icon="warn", tone="warn", rank=3),
    Outcome.RETAINED: Look(word=IN_WORDS[Outcome.RETAINED], icon="equal", tone="kept", rank=4),
    Outcome.VERIFIED: Look(word=IN_WORDS[Outcome.VERIFIED], icon="check", tone="good", rank=5),
    Outcome.EMPTY: Look(word=IN_WORDS[Outcome.EMPTY], icon="equal", tone="idle", rank=5),
}

ABSENT: Final = Look(word="not registered", icon="cross", tone="bad", rank=0)
UNREADY: Final = Look(word="not ready", icon="clock", tone="warn", rank=2)
DEVIATING: Final = Look(word="deviating", icon="warn", tone="warn", rank=3)
READY: Final = Look(word="ready", icon="check", tone="good", rank=5)
UNKNOWN: Final = Look(word="not in this restore", icon="equal", tone="idle", rank=4)


def stage(name: str) -> Look:
    """Return the look of an object's stage."""
    return STAGES[Stage(name)]


def vm(result: VmResult | None) -> Look:
    """Return the look of a VM; None for one that the report does not know."""
    if result is None:
        return UNKNOWN
    if not result.registered:
        return ABSENT
    if result.waiting_for:
        return UNREADY
    deviates = result.deviations or result.backup_version is VersionAge.OLDER
    return DEVIATING if deviates else READY


def power(result: VmResult | None) -> str:
    """Return a VM's power in a word, '' where it is not known."""
    return {"PoweredOn": "on", "PoweredOff": "off", "Suspended": "suspended"}.get(
        result.power_after if result else "", ""
    )


def worst(looks: Iterable[Look]) -> Look:
    """Return the most urgent of some looks."""
    return min(looks, key=lambda look: look.rank, default=UNKNOWN)
