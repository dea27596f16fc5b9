"""The address of a cluster goes into reports, which are sent by mail."""

from __future__ import annotations

from kubernetes import client

from tests.clock import SettableClock
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster


def test_the_address_is_that_of_the_configuration_without_user_and_query() -> None:
    settings = client.Configuration(host="https://admin:s3cret@supervisor.example:6443/proxy?token=s3cret")
    cluster = KubernetesCluster(settings, timeout_seconds=1, clock=SettableClock())
    assert cluster.address == "https://supervisor.example:6443/proxy"
