"""Look at a target namespace: one bounded LIST per kind, however many objects are replayed, no GET per VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core import observation
from velero_vmservice.core.errors import NotFound
from velero_vmservice.core.manifest import ENDPOINTS, NAMESPACE, SERVICE, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from velero_vmservice.core.manifest import Kind, Manifest
    from velero_vmservice.core.ports import Clock, Cluster


def look(cluster: Cluster, clock: Clock, namespace: str, *, services: Collection[str]) -> observation.Observation:
    """Observe a namespace; of core Services and Endpoints only those named `services` are kept.

    Raises what the cluster raises: a look that is not whole is none.
    """
    at = clock.monotonic()
    try:
        found = cluster.get(ObjectRef(NAMESPACE, "", namespace))
    except NotFound:
        found = None

    def listed(kind: Kind) -> Iterator[Manifest]:
        for one in cluster.list(kind, namespace):
            if kind not in (SERVICE, ENDPOINTS) or one.name in services:
                yield one

    lists = {kind: listed(kind) for kind in observation.OBSERVED_KINDS}
    return observation.observe(found, lists, name=namespace, at=at)
