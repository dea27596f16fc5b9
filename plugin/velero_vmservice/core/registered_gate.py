"""A machine's gate where Kubernetes is not the only one that is asked: the worst that anybody is certain of counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.core import kubernetes_registration
from velero_vmservice.core.errors import advised
from velero_vmservice.core.registration import State
from velero_vmservice.core.registration_errors import explain

if TYPE_CHECKING:
    from velero_vmservice.core.readiness import Gate
    from velero_vmservice.core.registration import Registration

_BY_HAND: Final = "call RegisterVM for it"
_AS_NAMED: Final = "put right what is named, and call RegisterVM once more"


def registered_gate(found: Gate, told: Registration | None) -> Gate:
    """Return the gate that Kubernetes gives, shut or explained by what all sources together say.

    `told` is the combined answer, Kubernetes' own included; None where nobody else was asked. A gate that Kubernetes
    holds shut is opened by nobody. Where registration has failed the gate is blocked and says so, and never gives up
    by itself: whoever puts the cause right while the restore waits need not repeat the restore.
    """
    if told is None or told.source == kubernetes_registration.NAME or (found.ready and told.state is State.READY):
        return found
    if told.state is State.UNKNOWN:
        return found
    by_hand = found.by_hand or told.state is State.SNAPSHOT_REVERT
    shut = replace(found, ready=False, never_lost=False, reason=str(told), by_hand=by_hand)
    if found.blocked or told.can_wait:
        return shut
    return replace(shut, blocked=True, remedy=_remedy(told))


def _remedy(told: Registration) -> str:
    entry = explain(told.code)
    if entry.known:
        return advised(entry.remedy)
    return advised(_BY_HAND if told.state in (State.RESTORED, State.SNAPSHOT_REVERT) else _AS_NAMED)
