"""One answer from several registration sources, the worst state that any of them is certain of, and a VM's gate by it.

Sources see different parts, so "worst" is not only "least far": of two answers that can both be true the one that says
more counts. Kubernetes has no VirtualMachine while vCenter registers the VM: it is being registered. The order of
the sources never matters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import InReason, advised
from velero_vmservice.registration.model import Registration, Source, State
from velero_vmservice.vsphere.registervm_errors import explain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from velero_vmservice.registration.model import Answer
    from velero_vmservice.supervisor.readiness import Gate

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
"""States that agree with a source that sees no VirtualMachine."""
_IN_HAND: Final = frozenset({State.ABSENT, State.RESTORED, State.REGISTERING})
"""What an engine says of a VM that it is going to register."""
_DONE: Final = frozenset({State.READY, State.REGISTERED})
_NONE_THERE: Final = (
    "see in vCenter under which name and in which namespace it was registered, and whether the VirtualMachine was"
    " deleted since, as Kubernetes does where its saved YAML names a lost group as owner"
)


_BY_HAND: Final = "call RegisterVM for it"
_AFTER_REVERT: Final = "wait until the revert has ended; if the VM was also restored,"
_BY_ENGINE: Final = "have the registration engine register it"
_TO_BE_NAMED: Final = frozenset({State.REGISTERING, State.NOT_RESTORABLE})
_PUT_RIGHT: Final = "put right what is named"


def combine(vms: Collection[str], answers: Collection[Answer]) -> dict[str, Registration]:
    """Return one answer for each VM, by name.

    A source that could not be asked is a note; where none could, every VM waits, with the reasons.
    """
    answered = sorted(
        (answer for answer in answers if answer.registrations is not None), key=lambda answer: answer.source
    )
    if len(answers) == len(answered) == 1:  # thousands of VMs, in most installations
        return {name: _answered_for(answered[0], name) for name in vms}
    away = tuple(
        f"{answer.source} cannot be asked: {answer.problem}"
        for answer in sorted(answers, key=lambda answer: answer.source)
        if answer.registrations is None
    )
    return {name: _merged(name, answered, away) for name in vms}


def distinct_notes(registrations: Iterable[Registration]) -> tuple[str, ...]:
    """Return the notes of several VMs, each said once, in the order in which they first appear."""
    return tuple(dict.fromkeys(note for registration in registrations for note in registration.notes))


def _merged(name: str, answered: Collection[Answer], away: tuple[str, ...]) -> Registration:
    if not answered:
        reason = "; ".join(away) or "no registration source is set"
        return Registration(name=name, state=State.UNKNOWN, reason=reason, certain=False)
    registrations = _beside_an_engine([_answered_for(answer, name) for answer in answered])
    best, *others = sorted(registrations, key=_weight, reverse=True)
    agreeing = [best, *(other for other in others if other.state is best.state)]
    notes = [note for registration in registrations for note in registration.notes]
    since, first_seen = min(
        ((registration.since, registration.first_seen) for registration in agreeing if registration.since),
        default=(None, False),
    )
    merged = replace(
        best,
        reason="; ".join(_reasons(agreeing)),  # each knows another part: vCenter in which folder it is instead
        remedy=next((registration.remedy for registration in agreeing if registration.remedy), ""),
        remedy_said=any(registration.remedy_said for registration in agreeing),
        sources=_sources(agreeing),
        can_wait=all(registration.can_wait for registration in agreeing),
        since=since,
        first_seen=first_seen,
        owners=next((registration.owners for registration in registrations if registration.owners), ()),
    )
    done = _done_for_nothing(best, registrations)
    overruled = [
        registration
        for registration in registrations
        if registration not in done and registration.state is not best.state
    ]
    return replace(
        _none_there(merged, agreeing, done) if done else merged,
        notes=tuple(dict.fromkeys((*notes, *_others(overruled, best), *away))),
    )


def _beside_an_engine(registrations: list[Registration]) -> list[Registration]:
    """Return the answers, without certainty for a VM that waits for a person while an engine queues or registers it."""
    if not any(
        registration.of_engine and registration.certain and registration.can_wait and registration.state in _IN_HAND
        for registration in registrations
    ):
        return registrations
    return [
        replace(registration, certain=False, can_wait=True, reason="", remedy="", remedy_said=False)
        if registration.state is State.RESTORED and not registration.can_wait
        else registration
        for registration in registrations
    ]


def _done_for_nothing(best: Registration, registrations: Collection[Registration]) -> list[Registration]:
    """Return the answers that it is registered, where Kubernetes has nothing."""
    if best.state is not State.ABSENT or not any(registration.nothing_there for registration in registrations):
        return []
    return [registration for registration in registrations if registration.state in _DONE]


def _none_there(merged: Registration, agreeing: Iterable[Registration], done: Collection[Registration]) -> Registration:
    """Return the answer with the reason that the VM is registered and cannot be seen."""
    claims = "; ".join(_claims(done)) or "it is registered"
    return replace(
        merged,
        reason=f"{claims}, and no VirtualMachine is there yet: if none comes, {_NONE_THERE}",
        code=next((registration.code for registration in done if registration.code), ""),
        remedy=_NONE_THERE,
        remedy_said=True,
        sources=_sources([*agreeing, *done]),
    )


def _reasons(registrations: Iterable[Registration]) -> Iterable[str]:
    return dict.fromkeys(registration.reason for registration in registrations if registration.reason)


def _claims(done: Iterable[Registration]) -> Iterable[str]:
    """Return the answer of RegisterVM's own task, or else of the source that stands in for it."""
    claims = (
        f"{registration.told_by} says {registration}" if registration.of_engine else registration.reason
        for registration in done
    )
    return dict.fromkeys(filter(None, claims))


def _sources(registrations: Iterable[Registration]) -> tuple[Source, ...]:
    return tuple(sorted({source for registration in registrations for source in registration.sources}))


def _answered_for(answer: Answer, name: str) -> Registration:
    registration = (answer.registrations or {}).get(name)
    if registration is None:  # it breaks the port's contract: a foreign engine may
        return Registration(
            name=name,
            state=State.UNKNOWN,
            reason="it did not answer for this VM",
            sources=(answer.source,),
            certain=False,
        )
    if registration.name == name and registration.sources == (answer.source,):
        return registration
    return replace(registration, name=name, sources=(answer.source,))


def _weight(registration: Registration) -> tuple[bool, bool, int, bool, bool, int, bool, tuple[Source, ...]]:
    """Order answers: known before unknown, certain before not, then by state.

    Among equals comes first what cannot be waited for, then what says more, Kubernetes last.
    """
    return (
        registration.state is not State.UNKNOWN,
        registration.certain,
        FROM_BEST_TO_WORST.index(registration.state),
        not registration.can_wait,
        bool(registration.code),
        -1 if registration.percent is None else registration.percent,
        Source.KUBERNETES not in registration.sources,
        registration.sources,
    )


def _others(overruled: Iterable[Registration], best: Registration) -> Iterator[str]:
    """Yield what the other sources said.

    A conclusion that was overruled is left out, unless all that is certain is that nothing is there.
    """
    for registration in overruled:
        if registration.state is State.ABSENT and best.state in _IMPLIES_ABSENT:
            continue
        if registration.state is State.UNKNOWN:
            if registration.reason:
                yield f"{registration.told_by} cannot tell: {registration.reason}"
        elif registration.certain or (registration.reason and (not best.certain or best.state is State.ABSENT)):
            yield f"{registration.told_by} says {registration}"


def registered_gate(kubernetes_gate: Gate, registration: Registration | None) -> Gate:
    """Return the gate that Kubernetes gives, shut or explained by what all sources together say.

    `registration` is the combined answer, Kubernetes' own included; None where no source was asked. A gate that
    Kubernetes holds shut stays shut. Where registration has failed the gate is blocked, with the reason, and never
    gives up by itself: once the cause is fixed the same restore goes on.
    """
    if (
        registration is None
        or registration.state is State.UNKNOWN
        or (kubernetes_gate.ready and registration.state is State.READY)
    ):
        return kubernetes_gate
    by_hand = kubernetes_gate.by_hand or registration.state is State.SNAPSHOT_REVERT
    shut = replace(
        kubernetes_gate, ready=False, never_lost=False, reason=_reason(kubernetes_gate, registration), by_hand=by_hand
    )
    if kubernetes_gate.blocked:
        return shut
    remedy = _remedy(registration)
    in_reason = InReason.ACTION if remedy and registration.remedy_said else InReason.NOTHING
    return replace(shut, blocked=not registration.can_wait, remedy=advised(remedy), remedy_said=in_reason)


def _reason(kubernetes_gate: Gate, registration: Registration) -> str:
    """Return the state with its reason; Kubernetes' reasons name the state, but for the two that are concluded."""
    alone = registration.sources == (Source.KUBERNETES,)
    return kubernetes_gate.reason if alone and registration.state not in _TO_BE_NAMED else str(registration)


def _remedy(registration: Registration) -> str:
    """Return what to do; beside an engine that is never a call of RegisterVM by hand."""
    if registration.remedy or registration.can_wait:
        return registration.remedy
    if registration.state is State.SNAPSHOT_REVERT:  # before any code: a VM that was never lost is to be left alone
        return f"{_AFTER_REVERT} {_BY_ENGINE if registration.of_engine else _BY_HAND}"
    entry, by_hand = explain(registration.code), registration.state is State.RESTORED
    if registration.of_engine:
        put_right = f"{entry.put_right}{entry.risk}" if entry.known else _PUT_RIGHT
        once_more = f", and {_BY_ENGINE} once more" if entry.again else ""
        return _BY_ENGINE if by_hand else f"{put_right}{once_more}"
    if entry.known:
        return entry.remedy
    return _BY_HAND if by_hand else f"{_PUT_RIGHT}, and call RegisterVM once more"
