"""When a stage has taken too long: inside Velero's itemOperationTimeout, each stage may have its own end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.archive import schema
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.velero.runs import RestoreRun


def passed(stage: Stage, since: datetime, run: RestoreRun, policy: RestorePolicy, *, now: datetime) -> str:
    """Say which deadline of the policy has passed for an object in this stage, or ''.

    Registration counts from the restore's start, so that a restart of this process gives no more time; the later
    stages count from when they began, as far as this process has seen.
    """
    key, began, within = _rule(stage, since, run, policy)
    if within is None or now - began <= within:
        return ""
    return f"the policy's {key}={policy.printed()[key]} is over"


def _rule(
    stage: Stage, since: datetime, run: RestoreRun, policy: RestorePolicy
) -> tuple[str, datetime, timedelta | None]:
    match stage:
        case Stage.WAITING:
            began = schema.moment(run.started) if run.started else since
            return "registered-within", began, policy.registered_within
        case Stage.REPLAYED:
            return "verified-within", since, policy.verified_within
        case Stage.POWERING:
            return "powered-within", since, policy.powered_within
        case _:
            return "", since, None
