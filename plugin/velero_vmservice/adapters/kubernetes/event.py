"""The Event of core/v1 that `kubectl describe` shows with an object."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.text import on_one_line

if TYPE_CHECKING:
    from datetime import datetime

    from velero_vmservice.kube.manifest import ObjectRef

FIELD_MANAGER: Final = "velero-vmservice"
_LONGEST_EVENT: Final = 1024
"""The longest message of an Event that the API server accepts."""


def kubernetes_event(
    about: ObjectRef, *, api_version: str, uid: str, reason: str, message: str, warning: bool, now: datetime
) -> Manifest:
    """Return the core/v1 Event that `kubectl describe` shows with the object."""
    when = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    namespace = about.namespace or "default"
    return Manifest(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": api_version,
                "kind": about.kind.name,
                "namespace": about.namespace,
                "name": about.name,
                "uid": uid,
            },
            "reason": reason,
            "message": on_one_line(message)[:_LONGEST_EVENT],
            "type": "Warning" if warning else "Normal",
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": FIELD_MANAGER,
            "firstTimestamp": when,
            "lastTimestamp": when,
            "count": 1,
        }
    )
