"""What every part of the plugin is put together on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from velero_vmservice.archive.restore_point import RestorePoints
from velero_vmservice.supervisor.detect import Supervisor
from velero_vmservice.supervisor.observe import TargetCapabilities
from velero_vmservice.supervisor.vsphere_plugin import Neighbour

if TYPE_CHECKING:
    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.settings.reading import Settings


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The settings, the cluster and its stores, and what is remembered of them for all parts alike."""

    settings: Settings
    cluster: Cluster
    locations: StorageLocations
    clock: Clock

    @property
    def velero_namespace(self) -> str:
        """The namespace of Velero's objects."""
        return self.settings.velero_namespace

    @property
    def own_bucket(self) -> bool:
        """Whether captures are in a bucket of the plugin's own, instead of the bucket of each Backup."""
        return self.settings.bucket is not None

    @cached_property
    def supervisor(self) -> Supervisor:
        """Whether the cluster is a Supervisor, and which of its resources are restricted."""
        restricted = self.settings.restricted
        return Supervisor(
            cluster=self.cluster, setting=restricted.supervisor, add=restricted.add, remove=restricted.remove
        )

    @cached_property
    def capabilities(self) -> TargetCapabilities:
        """What the Supervisor's VM Operator can do."""
        return TargetCapabilities(cluster=self.cluster, clock=self.clock)

    @cached_property
    def neighbour(self) -> Neighbour:
        """The velero-plugin-for-vsphere of the same Velero."""
        return Neighbour(
            cluster=self.cluster,
            clock=self.clock,
            supervisor=self.supervisor,
            velero_namespace=self.velero_namespace,
            policy=self.settings.vsphere_plugin,
        )

    @cached_property
    def restore_points(self) -> RestorePoints:
        """The captures that a Restore is made from."""
        return RestorePoints(
            cluster=self.cluster, locations=self.locations, clock=self.clock, own_bucket=self.own_bucket
        )
