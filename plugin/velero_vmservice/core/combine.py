"""One answer from several registration sources: the worst that anybody is certain of.

Sources see different parts, so "worst" is not only "least far": of two answers that can both be true the one that says
more counts. Kubernetes has no VirtualMachine while vCenter registers the machine: it is being registered. The order of
the sources never matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.core.registration import Registration, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

FROM_BEST_TO_WORST: Final = (
    State.UNKNOWN,
    State.READY,
    State.REGISTERED,
    State.ABSENT,
    State.RESTORED,
    State.PAUSED,
    State.REGISTERING,
    State.SNAPSHOT_REVERT,
    State.FAILED,
    State.NOT_RESTORABLE,
)
"""The last one that a source is certain of counts; UNKNOWN only where there is no other."""

_IMPLIES_ABSENT: Final = frozenset({State.RESTORED, State.REGISTERING, State.FAILED, State.NOT_RESTORABLE})
"""Whoever says so agrees with a source that sees no VirtualMachine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one source said of the machines of a namespace, or why it could not be asked."""

    source: str
    found: Mapping[str, Registration] | None = None
    """None if it could not be asked."""
    problem: str = ""
    """Why not, remedy included."""


def combine(machines: Collection[str], answers: Collection[Answer]) -> dict[str, Registration]:
    """Return one answer for each machine, by name.

    A source that could not be asked is a note; where none could, every machine waits, with the reasons.
    """
    in_order = sorted(answers, key=lambda one: one.source)
    away = tuple(f"{one.source} cannot be asked: {one.problem}" for one in in_order if one.found is None)
    asked = [one for one in in_order if one.found is not None]
    return {name: _one(name, asked, away) for name in machines}


def distinct_notes(registrations: Iterable[Registration]) -> tuple[str, ...]:
    """Return the notes of several machines, each said once, in the order in which they first appear."""
    return tuple(dict.fromkeys(note for one in registrations for note in one.notes))


def _one(name: str, asked: Collection[Answer], away: tuple[str, ...]) -> Registration:
    if not asked:
        reason = "; ".join(away) or "no registration source is set"
        return Registration(name=name, state=State.UNKNOWN, reason=reason, certain=False)
    said = [_of(answer, name) for answer in asked]
    best = max(said, key=_weight)
    agreeing = [one for one in said if one.state is best.state]
    notes = [note for one in said for note in one.notes]
    since, first_seen = min(((one.since, one.first_seen) for one in agreeing if one.since), default=(None, False))
    return replace(
        best,
        reason=_reason(best, agreeing),
        source=", ".join(sorted(one.source for one in agreeing)),
        can_wait=all(one.can_wait for one in agreeing),
        since=since,
        first_seen=first_seen,
        notes=tuple(dict.fromkeys((*notes, *_others(said, best), *away))),
    )


def _reason(best: Registration, agreeing: Collection[Registration]) -> str:
    """Return why; of a machine that is absent each source knows another part: vCenter in which folder it is instead."""
    if best.state is not State.ABSENT:
        return best.reason
    in_order = sorted(agreeing, key=_weight, reverse=True)
    return "; ".join(dict.fromkeys(one.reason for one in in_order if one.reason))


def _of(answer: Answer, name: str) -> Registration:
    found = (answer.found or {}).get(name)
    if found is None:  # it breaks the port's contract: a foreign engine may
        return Registration(
            name=name, state=State.UNKNOWN, reason="it was asked and said nothing", source=answer.source, certain=False
        )
    return replace(found, name=name, source=answer.source)


def _weight(one: Registration) -> tuple[bool, bool, int, bool, int, str, str, str]:
    """Order answers: known before unknown, certain before not, then by state; the rest only makes a tie definite."""
    rank = FROM_BEST_TO_WORST.index(one.state)
    percent = -1 if one.percent is None else one.percent
    return (
        one.state is not State.UNKNOWN,
        one.certain,
        rank,
        bool(one.code),
        percent,
        one.code,
        one.reason,
        one.source,
    )


def _others(said: Iterable[Registration], best: Registration) -> Iterator[str]:
    """Yield what the other sources said, where it is not the same.

    A conclusion that was overruled is no news, but where all that is certain is that nothing is there.
    """
    for one in said:
        if one is best or (one.state is State.ABSENT and best.state in _IMPLIES_ABSENT):
            continue
        if one.state is State.UNKNOWN:
            if one.reason:
                yield f"{one.source} cannot tell: {one.reason}"
        elif (one.state, one.code) != (best.state, best.code) and (
            one.certain or not best.certain or best.state is State.ABSENT
        ):
            yield f"{one.source} says {one}"
