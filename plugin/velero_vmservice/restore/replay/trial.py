"""Whether the API server would take an object at all, asked while its VMs are still waited for.

VM Operator's webhooks judge a service or group by the object alone, so a dry run says before the VMs are there what it
would say after (docs/adr/0007-no-admission-rules-of-our-own.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import Rejected, VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.writer import Writer

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.model import Step
    from velero_vmservice.restore.replay.turn import Turn

PAUSE_SECONDS: Final = 60.0
"""After a fault of the API server or of a webhook that does not answer: each try may take as long as its time-out."""


class Trial:
    """Tries the objects that wait."""

    def __init__(self, cluster: Cluster) -> None:
        self._writer = Writer(cluster)
        self._not_before = float("-inf")

    def judged(self, turn: Turn, step: Step) -> Step:
        """Return the decision to wait, with what the API server has against the object.

        An object that is accepted is asked about once, one that is refused at each look: the refusal may be a policy
        that changes until the VMs are there. It is final only in a strict restore, which creates nothing without it.
        """
        reading, now = turn.operation.reading, turn.session.clock.monotonic()
        waits = step.action in (Action.WAIT, Action.BLOCKED) and not step.final
        nowhere = turn.live is not None or not turn.observed.exists or turn.subject.ref.kind == VMS_ALONE
        if not waits or nowhere or reading.acceptable or now < self._not_before:
            return step
        try:
            self._writer.rehearse(turn.subject, None)
        except Rejected as error:
            reason = f"{error}; {step.reason}"
            final = turn.policy.mode == "strict"
            return replace(step, action=Action.BLOCKED, reason=reason, remedy=error.remedy, final=final)
        except VmServiceError as error:
            if error.transient:
                self._not_before = now + PAUSE_SECONDS
                return step
        turn.operation.reading = replace(reading, acceptable=True)
        return step
