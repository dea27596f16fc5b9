"""A VM's gate, shut or explained by every registration source: the worst certain answer counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import InReason, advised
from velero_vmservice.registration.model import Source, State
from velero_vmservice.vsphere.registervm_errors import explain

if TYPE_CHECKING:
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.supervisor.readiness import Gate

_BY_HAND: Final = "call RegisterVM for it"
_AFTER_REVERT: Final = "wait until the revert has ended; if the VM was also restored,"
_BY_ENGINE: Final = "have the registration engine register it"
_TO_BE_NAMED: Final = frozenset({State.REGISTERING, State.NOT_RESTORABLE})
_PUT_RIGHT: Final = "put right what is named"


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
    """Say where it stands; Kubernetes' own reasons name the state themselves, but for the two that are concluded."""
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
