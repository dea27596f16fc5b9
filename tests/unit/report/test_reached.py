"""What a report says of the cluster and of Velero: what could be read, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.world import World
from velero_vmservice.errors import Forbidden
from velero_vmservice.kube.manifest import DEPLOYMENT
from velero_vmservice.report.reached import ReachedCluster, reached

if TYPE_CHECKING:
    from tests.fakes.cluster import MemoryCluster

KUBE_SYSTEM = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "c0ffee"}}
VELERO = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "velero", "namespace": "velero"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {"name": "vm-service", "image": "plugin:1"},
                    {"name": "velero", "image": "velero/velero:v1.17.0"},
                ]
            }
        }
    },
}


@pytest.fixture(name="cluster")
def _cluster() -> MemoryCluster:
    cluster = World().cluster
    cluster.serve(DEPLOYMENT, "v1")
    cluster.seed(KUBE_SYSTEM, VELERO)
    return cluster


def test_the_uid_of_the_cluster_and_the_image_of_velero_are_read(cluster: MemoryCluster) -> None:
    assert reached(cluster, "velero") == ReachedCluster(uid="c0ffee", velero="velero/velero:v1.17.0")


def test_an_object_that_is_not_there_is_left_out() -> None:
    assert reached(World().cluster, "velero") == ReachedCluster()


def test_an_object_that_may_not_be_read_is_left_out(cluster: MemoryCluster) -> None:
    cluster.calls.fail("get", Forbidden("may not read", hint="grant get"), times=2)
    assert reached(cluster, "velero") == ReachedCluster()
