"""Look at a target namespace: one bounded LIST per kind, however many objects are replayed, no GET per VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from velero_vmservice.core import observation
from velero_vmservice.core.errors import NotFound, VmServiceError
from velero_vmservice.core.machine import read_machine
from velero_vmservice.core.manifest import (
    ENDPOINTS,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
    STORAGE_CLASS,
    VIRTUAL_MACHINE,
    ObjectRef,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from velero_vmservice.core.manifest import Kind, Manifest
    from velero_vmservice.core.ports import Clock, Cluster

log = structlog.get_logger()

_GENERATED = frozenset({SERVICE.name, ENDPOINTS.name})


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

    def wanted(one: Manifest) -> Manifest | None:
        return one if one.kind_name not in _GENERATED or one.name in services else None

    lists = {
        kind: [one for one in cluster.read_all(kind, namespace, wanted) if one is not None]
        for kind in observation.OBSERVED_KINDS
    }
    return observation.observe(
        found,
        lists,
        machines=cluster.read_all(VIRTUAL_MACHINE, namespace, read_machine),
        claims=cluster.read_all(PERSISTENT_VOLUME_CLAIM, namespace, observation.claim_phase),
        name=namespace,
        at=at,
        present=present or {},
    )


def referred(cluster: Cluster, namespace: str, kinds: Iterable[Kind]) -> dict[Kind, frozenset[str]]:
    """List the names of what machines refer to, of each kind that can be listed; nobody waits for these.

    A kind that is not served here, or that nobody may list, is left out: nothing is known of it.
    """
    found = {}
    for kind in kinds:
        try:
            if cluster.served_versions(kind):
                where = "" if kind == STORAGE_CLASS else namespace
                found[kind] = frozenset(cluster.read_all(kind, where, lambda one: one.name))
        except VmServiceError as error:
            log.debug("references not listed", kind=kind.resource, cause=error.message)
    return found
