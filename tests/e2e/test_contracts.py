"""The ports' contract suites, on the real S3 server and the real API server."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from kubernetes import client, config

from tests.contract.cluster_contract import ClusterContract
from tests.contract.object_store_contract import RacingObjectStoreContract
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.adapters.s3.client import connect
from velero_vmservice.adapters.s3.location import S3Location
from velero_vmservice.adapters.s3.store import S3Store
from velero_vmservice.errors import Forbidden, InvalidSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.stack import Stack


def open_store(stack: Stack, directory: Path, bucket: str, *, secret: str = "") -> S3Store:
    store = stack.store
    location = S3Location(
        bucket=bucket,
        source="BackupStorageLocation velero/default",
        region=store.region,
        url=store.url,
        path_style=True,
        credentials=store.credentials.replace(store.secret_key, secret or store.secret_key),
    )
    made = connect(location, timeout_seconds=10.0, directory=lambda: directory)
    return S3Store(made, location, prefix="plugins/vmservice")


class TestVersitygw(RacingObjectStoreContract):
    @pytest.fixture(name="store")
    def _store(self, stack: Stack, tmp_path: Path) -> S3Store:
        bucket = f"contract-{uuid.uuid4().hex[:8]}"
        stack.store.create_bucket(bucket)
        return open_store(stack, tmp_path, bucket)


class TestApiServer(ClusterContract):
    @pytest.fixture(name="cluster")
    def _cluster(self, stack: Stack) -> KubernetesCluster:
        settings = client.Configuration()
        config.load_kube_config(str(stack.cluster.kubeconfig), client_configuration=settings)
        return KubernetesCluster(settings, timeout_seconds=10.0, clock=SystemClock(), page_size=2)

    @pytest.fixture(name="namespace")
    def _namespace(self, stack: Stack) -> str:
        return stack.cluster.namespace(f"contract-{uuid.uuid4().hex[:8]}")

    @pytest.fixture(name="group_versions")
    def _group_versions(self, stack: Stack) -> set[str]:
        return set(stack.release.groups)


def test_wrong_secret_is_refused_in_words_without_the_secret(stack: Stack, tmp_path: Path) -> None:
    stack.store.create_bucket("guarded")
    store = open_store(stack, tmp_path, "guarded", secret="not-the-secret")

    with pytest.raises(Forbidden) as refused:
        store.exists("captures/x")

    assert "guarded" in str(refused.value)
    assert "not-the-secret" not in str(refused.value)
    assert stack.store.access_key not in str(refused.value)


def test_wrong_bucket_is_named_with_the_remedy(stack: Stack, tmp_path: Path) -> None:
    store = open_store(stack, tmp_path, "no-such-bucket")

    with pytest.raises(InvalidSettings) as refused:
        store.put("captures/x", b"{}", sha256="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")

    assert "no-such-bucket" in refused.value.message
    assert refused.value.hint
