"""A machine's gate where Kubernetes is not the only one that is asked: the worst that anybody is certain of counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from velero_vmservice.core import kubernetes_registration
from velero_vmservice.core.registration import State

if TYPE_CHECKING:
    from velero_vmservice.core.readiness import Gate
    from velero_vmservice.core.registration import Registration


def registered_gate(found: Gate, told: Registration | None) -> Gate:
    """Return the gate that Kubernetes gives, shut or explained by what all sources together say.

    `told` is the combined answer, Kubernetes' own included; None where nobody else was asked. A gate that Kubernetes
    holds shut is opened by nobody.
    """
    if told is None or told.source == kubernetes_registration.NAME or (found.ready and told.state is State.READY):
        return found
    if told.state is State.UNKNOWN:
        return found
    blocked = found.blocked or not told.can_wait
    by_hand = found.by_hand or told.state is State.SNAPSHOT_REVERT
    return replace(found, ready=False, never_lost=False, reason=str(told), blocked=blocked, by_hand=by_hand)
