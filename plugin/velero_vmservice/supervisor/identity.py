"""Which cluster this is: what lies in a bucket that clusters share says whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import NAMESPACE, ObjectRef

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster

log = structlog.get_logger()

OF_CLUSTER: Final = ObjectRef(NAMESPACE, "", "kube-system")
"""Its UID lives as long as the cluster, and no two clusters have the same."""
ANY: Final = "any"
"""Stands for every cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterIdentity:
    """What tells this cluster from others."""

    uid: str = ""
    """Of its namespace kube-system; '' where that cannot be read."""
    host: str = ""
    """Of its API server as the client's configuration names it: a hint for people, which proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """The cluster whose captures are meant: the connected one, unless another is named."""

    own: str = ""
    """UID of namespace kube-system of the connected cluster; '' where it could not be read."""
    wanted: str = ""
    """That of the cluster that was named, or `any`; '' for the connected one."""

    def __str__(self) -> str:
        return f"cluster {self.wanted}" if self.wanted not in ("", ANY) else "this cluster"

    @property
    def excludes(self) -> bool:
        """Whether captures of any cluster are not meant, as far as is known."""
        return self.wanted != ANY and bool(self.wanted or self.own)

    def takes(self, cluster_id: str) -> bool:
        """Say whether a capture of this cluster is meant, or may be: one that does not say counts as the own."""
        return not self.excludes or self.is_surely(cluster_id)

    def is_surely(self, cluster_id: str) -> bool:
        """Say the same, but not of a capture of some cluster while the connected one is not known."""
        return self.wanted == ANY or (cluster_id or self.own) == (self.wanted or self.own)


def identify(cluster: Cluster) -> ClusterIdentity:
    """Return what can be read of the cluster's identity; what cannot is no failure."""
    return ClusterIdentity(uid=cluster_id(cluster), host=_host(cluster.address))


def cluster_id(cluster: Cluster) -> str:
    """Return the UID of the cluster's namespace kube-system; '' where it cannot be read, which is no failure."""
    try:
        return cluster.get(OF_CLUSTER).uid
    except VmServiceError as error:
        log.info("cluster not identified", object=str(OF_CLUSTER), cause=error.message)
        return ""


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
