"""Names of objects as they are now, to complete what is typed: quick, and none where the cluster does not answer."""

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
    """Return the names of a kind's objects, of all namespaces where none is given; never raises."""
    try:
        cluster = client.connect(timeout_seconds=TIMEOUT_SECONDS, clock=SystemClock(), login=login)
        return sorted(set(cluster.read_all(kind, namespace, lambda manifest: manifest.name, metadata_only=True)))
    except Exception:  # noqa: BLE001 - a shell that completes shows no errors
        return ()
