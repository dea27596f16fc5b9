"""The cluster contract on memory and, through the real client, on an emulated Kubernetes API."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from kubernetes import client

from tests.clock import SettableClock
from tests.contract.cluster_contract import ClusterContract
from tests.emulator.kubernetes.kmock_api import emulated_api
from tests.fakes.cluster import MemoryCluster
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.errors import Rejected, Unavailable
from velero_vmservice.kube.manifest import SECRET, VIRTUAL_MACHINE, Manifest, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator.kubernetes.kmock_api import EmulatedApi
    from velero_vmservice.kube.api import Cluster


class TestMemory(ClusterContract):
    @pytest.fixture(name="cluster")
    def _cluster(self) -> Cluster:
        return MemoryCluster(namespaces=["shop"])

    @pytest.fixture(name="namespace")
    def _namespace(self) -> str:
        return "shop"


@pytest.fixture(name="api", scope="module")
def _api() -> Iterator[EmulatedApi]:
    with emulated_api() as api:
        yield api


class TestKubernetes(ClusterContract):
    @pytest.fixture(name="cluster")
    def _cluster(self, api: EmulatedApi) -> Cluster:
        settings = client.Configuration()
        settings.host = api.url
        return KubernetesCluster(settings, timeout_seconds=5.0, clock=SettableClock(), page_size=2)

    @pytest.fixture(name="namespace")
    def _namespace(self, api: EmulatedApi) -> str:
        name = f"test-{uuid.uuid4().hex[:8]}"
        api.seed([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
        return name


def test_a_denied_right_is_distinguished_from_a_granted_one(api: EmulatedApi) -> None:
    settings = client.Configuration()
    settings.host = api.url
    real = KubernetesCluster(settings, timeout_seconds=5.0, clock=SettableClock())
    memory = MemoryCluster()
    for cluster, denied in ((real, api.denied), (memory, memory.denied)):
        denied.add(("patch", VIRTUAL_MACHINE.resource))
        assert not cluster.allowed("patch", VIRTUAL_MACHINE, "shop")
        assert cluster.allowed("get", VIRTUAL_MACHINE, "shop")
        denied.clear()


def test_the_cluster_in_memory_counts_its_calls_and_fails_where_a_test_says() -> None:
    cluster = MemoryCluster(namespaces=["shop"])
    cluster.calls.fail("list", Unavailable("away"), on="shop", times=1)

    with pytest.raises(Unavailable):
        cluster.list(SECRET, "shop")

    assert not cluster.list(SECRET, "shop")
    assert not cluster.list(SECRET, "other")
    assert cluster.calls.counts["list"] == 3
    assert cluster.calls.made[0] == ("list", "Secret shop")


def test_memory_admission_sees_dry_runs_and_refuses() -> None:
    cluster = MemoryCluster(namespaces=["shop"])

    def refuse(manifest: Manifest) -> None:
        raise Rejected(f"no {manifest.name} here")

    cluster.admit = refuse
    wanted = Manifest({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "shop"}})

    with pytest.raises(Rejected, match="no a here"):
        cluster.create(wanted, dry_run=True)


def test_memory_seeds_a_status_and_takes_objects_away() -> None:
    cluster = MemoryCluster()
    ref = ObjectRef(VIRTUAL_MACHINE, "shop", "web-1")
    machine = {
        "apiVersion": "vmoperator.vmware.com/v1alpha5",
        "kind": "VirtualMachine",
        "metadata": {"name": "web-1", "namespace": "shop"},
        "status": {"uniqueID": "vm-1"},
    }
    cluster.seed(machine)
    uid = cluster.get(ref).uid
    cluster.seed(machine | {"status": {"uniqueID": "vm-2"}})

    assert cluster.get(ref).status == {"uniqueID": "vm-2"}
    assert cluster.get(ref).uid == uid
    cluster.remove(ref)
    assert not cluster.list(VIRTUAL_MACHINE, "shop")


def test_memory_keeps_events() -> None:
    cluster = MemoryCluster(namespaces=["shop"])
    about = ObjectRef(SECRET, "shop", "a")
    cluster.event(about, uid="1", reason="Waiting", message="for VMs", warning=True)

    cluster.event(ObjectRef(SECRET, "nowhere", "a"), uid="1", reason="Waiting", message="for VMs")

    (event,) = cluster.events
    assert (event.about, event.reason, event.warning) == (about, "Waiting", True)


def test_a_closed_cluster_holds_no_connection_and_can_be_asked_again(api: EmulatedApi) -> None:
    settings = client.Configuration()
    settings.host = api.url
    cluster = KubernetesCluster(settings, timeout_seconds=5.0, clock=SettableClock())
    assert list(cluster.list(SECRET, "shop")) == []
    assert len(cluster._client.client.rest_client.pool_manager.pools) == 1

    cluster.close()

    assert len(cluster._client.client.rest_client.pool_manager.pools) == 0
    assert list(cluster.list(SECRET, "shop")) == []
