"""Which cluster this is, and which Velero runs there: for the report alone, so that no failure here fails a restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import DEPLOYMENT, ObjectRef
from velero_vmservice.supervisor.identity import cluster_id
from velero_vmservice.velero.deployment import VELERO, VeleroDeployment

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedCluster:
    """The cluster that a restore goes to; each '' where it is not known."""

    address: str = ""
    """Of its API server, as the client's configuration names it."""
    uid: str = ""
    """Of its namespace kube-system."""
    velero: str = ""
    """Image of Velero's server there."""


NOWHERE: Final = ReachedCluster()


def reached(cluster: Cluster, velero_namespace: str) -> ReachedCluster:
    """Return what can be read of the cluster and of Velero; what cannot is left out."""
    deployment = _read(cluster, ObjectRef(DEPLOYMENT, velero_namespace, VELERO))
    server = VeleroDeployment.read(deployment).server if deployment else None
    return ReachedCluster(
        address=cluster.address,
        uid=cluster_id(cluster),
        velero=server.image if server else "",
    )


def _read(cluster: Cluster, ref: ObjectRef) -> Manifest | None:
    try:
        return cluster.get(ref)
    except VmServiceError as error:
        log.info("left out of the report", object=str(ref), cause=error.message)
        return None
