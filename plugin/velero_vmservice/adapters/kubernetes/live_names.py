"""Names of objects as they are now, to complete what is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.settings.access import LoginChoice

TIMEOUT_SECONDS: Final = 2.0


def names(kind: Kind, namespace: str, login: LoginChoice) -> Sequence[str]:
    """Return the names of a kind's objects, of all namespaces where none is given; raises what the cluster raises."""
    cluster = client.connect(timeout_seconds=TIMEOUT_SECONDS, clock=SystemClock(), login=login)
    return cluster.read_all(kind, namespace, lambda manifest: manifest.name, metadata_only=True)
