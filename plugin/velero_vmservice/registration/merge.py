"""One answer from several registration sources: the worst that anybody is certain of.

Sources see different parts, so "worst" is not only "least far": of two answers that can both be true the one that says
more counts. Kubernetes has no VirtualMachine while vCenter registers the VM: it is being registered. The order of
the sources never matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.registration.model import Registration, Role, Source, State
from velero_vmservice.supervisor.readiness import NOT_YET

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
_IN_HAND: Final = frozenset({State.ABSENT, State.RESTORED, State.REGISTERING})
"""What an engine says of a VM that it is going to register."""
_DONE: Final = frozenset({State.READY, State.REGISTERED})
_NONE_THERE: Final = (
    "see in vCenter under which name and in which namespace it was registered, and whether the VirtualMachine was"
    " deleted since, as Kubernetes does where its saved YAML names a lost group as owner"
)
_NO_ENGINES: Final = frozenset(source for source in Source if source.role is not Role.ENGINE)
"""Any other name is a registration engine's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one source said of the VMs of a namespace, or why it could not be asked."""

    source: str
    found: Mapping[str, Registration] | None = None
    """None if it could not be asked."""
    problem: str = ""
    """Why not, remedy included."""


def combine(vms: Collection[str], answers: Collection[Answer]) -> dict[str, Registration]:
    """Return one answer for each VM, by name.

    A source that could not be asked is a note; where none could, every VM waits, with the reasons.
    """
    in_order = sorted(answers, key=lambda answer: answer.source)
    away = tuple(f"{one.source} cannot be asked: {one.problem}" for one in in_order if one.found is None)
    asked = [one for one in in_order if one.found is not None]
    return {name: _one(name, asked, away) for name in vms}


def distinct_notes(registrations: Iterable[Registration]) -> tuple[str, ...]:
    """Return the notes of several VMs, each said once, in the order in which they first appear."""
    return tuple(dict.fromkeys(note for registration in registrations for note in registration.notes))


def _one(name: str, asked: Collection[Answer], away: tuple[str, ...]) -> Registration:
    if not asked:
        reason = "; ".join(away) or "no registration source is set"
        return Registration(name=name, state=State.UNKNOWN, reason=reason, certain=False)
    said = _beside_an_engine([_of(answer, name) for answer in asked])
    best, *others = sorted(said, key=_weight, reverse=True)
    agreeing = [best, *(other for other in others if other.state is best.state)]
    notes = [note for one in said for note in one.notes]
    since, first_seen = min(((one.since, one.first_seen) for one in agreeing if one.since), default=(None, False))
    found = replace(
        best,
        reason="; ".join(_reasons(agreeing)),  # each knows another part: vCenter in which folder it is instead
        remedy=next((one.remedy for one in agreeing if one.remedy), ""),
        source=_sources(agreeing),
        can_wait=all(one.can_wait for one in agreeing),
        since=since,
        first_seen=first_seen,
        owners=next((one.owners for one in said if one.owners), ()),
    )
    done = _done_for_nothing(best, said)
    overruled = [one for one in said if one not in done and one.state is not best.state]
    return replace(
        _none_there(found, agreeing, done) if done else found,
        notes=tuple(dict.fromkeys((*notes, *_others(overruled, best), *away))),
    )


def is_engine(source: str) -> bool:
    """Say whether a source is a registration engine, which registers VMs itself."""
    return source not in _NO_ENGINES


def is_of_engine(told: Registration) -> bool:
    """Say whether a registration engine says so, itself or beside others."""
    return any(map(is_engine, told.source.split(", ")))


def _beside_an_engine(said: list[Registration]) -> list[Registration]:
    """Take what nobody else is going to register for a guess where an engine has it in its queue or is at it."""
    if not any(is_of_engine(one) and one.certain and one.can_wait and one.state in _IN_HAND for one in said):
        return said
    return [
        replace(one, certain=False, can_wait=True, reason="", remedy="")
        if one.state is State.RESTORED and not one.can_wait
        else one
        for one in said
    ]


def _done_for_nothing(best: Registration, said: Collection[Registration]) -> list[Registration]:
    """Return those who say that it is registered where Kubernetes has nothing."""
    if not any(one.source == Source.KUBERNETES and one.reason == NOT_YET for one in said):
        return []
    return [one for one in said if one.state in _DONE] if best.state is State.ABSENT else []


def _none_there(found: Registration, agreeing: Iterable[Registration], done: Collection[Registration]) -> Registration:
    """Give as the reason that it is registered and cannot be seen."""
    words = "; ".join(_claims(done)) or "it is registered"
    return replace(
        found,
        reason=f"{words}, and no VirtualMachine is there yet: if none comes, {_NONE_THERE}",
        code=next((one.code for one in done if one.code), ""),
        remedy=_NONE_THERE,
        source=_sources([*agreeing, *done]),
    )


def _reasons(said: Iterable[Registration]) -> Iterable[str]:
    return dict.fromkeys(one.reason for one in said if one.reason)


def _claims(done: Iterable[Registration]) -> Iterable[str]:
    """Return what RegisterVM says, or who says so in its stead."""
    words = (f"{one.source} says {one}" if is_of_engine(one) else one.reason for one in done)
    return dict.fromkeys(filter(None, words))


def _sources(said: Iterable[Registration]) -> str:
    return ", ".join(sorted(one.source for one in said))


def _of(answer: Answer, name: str) -> Registration:
    found = (answer.found or {}).get(name)
    if found is None:  # it breaks the port's contract: a foreign engine may
        return Registration(
            name=name, state=State.UNKNOWN, reason="it was asked and said nothing", source=answer.source, certain=False
        )
    return replace(found, name=name, source=answer.source)


def _weight(one: Registration) -> tuple[bool, bool, int, bool, bool, int, bool, str]:
    """Order answers: known before unknown, certain before not, then by state.

    Among equals comes first what cannot be waited for, then what says more, Kubernetes last.
    """
    return (
        one.state is not State.UNKNOWN,
        one.certain,
        FROM_BEST_TO_WORST.index(one.state),
        not one.can_wait,
        bool(one.code),
        -1 if one.percent is None else one.percent,
        one.source != Source.KUBERNETES,
        one.source,
    )


def _others(overruled: Iterable[Registration], best: Registration) -> Iterator[str]:
    """Yield what the other sources said.

    A conclusion that was overruled is no news, but where all that is certain is that nothing is there.
    """
    for one in overruled:
        if one.state is State.ABSENT and best.state in _IMPLIES_ABSENT:
            continue
        if one.state is State.UNKNOWN:
            if one.reason:
                yield f"{one.source} cannot tell: {one.reason}"
        elif one.certain or (one.reason and (not best.certain or best.state is State.ABSENT)):
            yield f"{one.source} says {one}"
