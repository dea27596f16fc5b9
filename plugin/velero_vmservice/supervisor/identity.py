"""Which cluster this is: what lies in a bucket that clusters share says whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import NAMESPACE, ObjectRef

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster

log = structlog.get_logger()

OF_CLUSTER: Final = ObjectRef(NAMESPACE, "", "kube-system")
"""Its UID lives as long as the cluster, and no two clusters have the same."""


def cluster_id(cluster: Cluster) -> str:
    """Return the UID of the cluster's namespace kube-system; '' where it cannot be read, which is no failure."""
    try:
        return cluster.get(OF_CLUSTER).uid
    except VmServiceError as error:
        log.info("cluster not identified", object=str(OF_CLUSTER), cause=error.message)
        return ""
