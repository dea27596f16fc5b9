"""Look at a target namespace: one bounded LIST per kind, however many objects are replayed, no GET per VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from velero_vmservice.core import observation
from velero_vmservice.core.errors import NotFound, VmServiceError
from velero_vmservice.core.manifest import ENDPOINTS, NAMESPACE, SERVICE, STORAGE_CLASS, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from velero_vmservice.core.manifest import Kind, Manifest
    from velero_vmservice.core.ports import Clock, Cluster

log = structlog.get_logger()


def look(
    cluster: Cluster,
    clock: Clock,
    namespace: str,
    *,
    services: Collection[str],
    present: Mapping[Kind, Collection[str]] | None = None,
) -> observation.Observation:
    """Observe a namespace; of core Services and Endpoints only those named `services` are kept.

    Raises what the cluster raises: a look that is not whole is none. `present` is what `referred` found.
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
    return observation.observe(found, lists, name=namespace, at=at, present=present or {})


def referred(cluster: Cluster, namespace: str, kinds: Iterable[Kind]) -> dict[Kind, frozenset[str]]:
    """List the names of what machines refer to, of each kind that can be listed; nobody waits for these.

    A kind that is not served here, or that nobody may list, is left out: nothing is known of it.
    """
    found = {}
    for kind in kinds:
        try:
            if cluster.served_versions(kind):
                where = "" if kind == STORAGE_CLASS else namespace
                found[kind] = frozenset(one.name for one in cluster.list(kind, where))
        except VmServiceError as error:
            log.debug("references not listed", kind=kind.resource, cause=error.message)
    return found
