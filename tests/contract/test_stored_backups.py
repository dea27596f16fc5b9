"""What Velero's own archive of a location holds, and pruning beside it, on moto."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.clock import SettableClock
from tests.contract import s3_servers
from tests.contract.object_store_contract import put
from tests.fakes.cluster import MemoryCluster
from velero_vmservice.adapters.s3.store import S3Store
from velero_vmservice.adapters.velero.storage_locations import BackupStorageLocations
from velero_vmservice.archive.pruning.survey import Pruning
from velero_vmservice.errors import Forbidden, ForeignStorage
from velero_vmservice.settings.reading import BucketSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = "captures/lost/20260101T000000Z/capture.json"


@pytest.fixture(name="cluster")
def _cluster() -> MemoryCluster:
    cluster = MemoryCluster(namespaces=["velero"])
    encoded = base64.b64encode(s3_servers.CREDENTIALS.encode()).decode()
    metadata = {"name": "cloud-credentials", "namespace": "velero"}
    cluster.seed({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"cloud": encoded}})
    return cluster


@pytest.fixture(name="locations")
def _locations(cluster: MemoryCluster) -> Iterator[BackupStorageLocations]:
    locations = BackupStorageLocations(cluster, Settings(velero_namespace="velero"), clock=SettableClock())
    yield locations
    locations.close()


def location(url: str, bucket: str, *, prefix: str = "", provider: str = "aws") -> dict[str, Any]:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": "default", "namespace": "velero"},
        "spec": {
            "provider": provider,
            "objectStorage": {"bucket": bucket, "prefix": prefix},
            "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": url},
            "credential": {"name": "cloud-credentials", "key": "cloud"},
        },
    }


def archive(url: str, bucket: str, *keys: str) -> None:
    for key in keys:
        s3_servers.bare_client(url).put_object(Bucket=bucket, Key=key, Body=b"{}")


@pytest.mark.parametrize("prefix", ["", "cluster-1"])
def test_names_of_veleros_archive_are_those_below_its_backups_folder(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations, prefix: str
) -> None:
    bucket, below = s3_servers.new_bucket(moto), f"{prefix}/" if prefix else ""
    cluster.seed(location(moto, bucket, prefix=prefix))
    archive(
        moto,
        bucket,
        f"{below}backups/nightly/velero-backup.json",
        f"{below}backups/nightly/nightly.tar.gz",
        f"{below}backups/uploading/uploading-logs.gz",
        f"{below}restores/again/restore-again-logs.gz",
        f"{below}plugins/vmservice/{OWN}",
        "elsewhere/backups/other/velero-backup.json",
    )
    assert locations.stored_backups("default") == {"nightly", "uploading"}


def test_more_names_than_a_page_holds_are_all_returned(moto: str) -> None:
    bucket = s3_servers.new_bucket(moto)
    names = [f"backup-{number}" for number in range(7)]
    archive(moto, bucket, *(f"backups/{name}/{file}" for name in names for file in ("a", "b")))
    store = S3Store(s3_servers.bare_client(moto), s3_servers.location(moto, bucket), page_size=3)
    assert list(store.folders("backups/")) == names


def test_a_server_that_does_not_know_delimiters_hides_no_name() -> None:
    def answer_with_every_key(environ: dict[str, Any]) -> None:
        query = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
        environ["QUERY_STRING"] = urlencode([(name, value) for name, value in query if name != "delimiter"])

    with s3_servers.altered(answer_with_every_key) as url:
        bucket = s3_servers.new_bucket(url)
        archive(url, bucket, "backups/", "backups/a/a.tar.gz", "backups/a/velero-backup.json", "backups/b/deep/er.json")
        store = S3Store(s3_servers.bare_client(url), s3_servers.location(url, bucket), page_size=2)
        assert list(store.folders("backups/")) == ["a", "b"]


def test_a_store_says_which_server_it_is_on_and_whether_it_is_read_only(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    described = location(moto, s3_servers.new_bucket(moto))
    cluster.seed({**described, "spec": {**described["spec"], "accessMode": "ReadOnly"}})
    store = locations.open("default")
    assert (store.endpoint, store.read_only) == (moto, True)


def test_a_location_that_is_not_s3_cannot_be_asked_even_beside_a_bucket_of_our_own(
    moto: str, cluster: MemoryCluster
) -> None:
    own = BucketSettings(name=s3_servers.new_bucket(moto), url=moto)
    locations = BackupStorageLocations(cluster, Settings(velero_namespace="velero", bucket=own), clock=SettableClock())
    cluster.seed(location(moto, "anything", provider="azure"))
    with pytest.raises(ForeignStorage, match='its provider is "azure"'):
        locations.stored_backups("default")


def test_a_bucket_of_our_own_is_judged_by_the_archive_of_the_locations(
    moto: str, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_servers.SECRET)
    own = BucketSettings(name=s3_servers.new_bucket(moto), url=moto)
    velero = s3_servers.new_bucket(moto)
    clock = SettableClock()
    locations = BackupStorageLocations(cluster, Settings(velero_namespace="velero", bucket=own), clock=clock)
    cluster.seed(location(moto, velero))
    put(locations.open(""), OWN, b"{}")
    (stored,) = locations.open("").documents("captures/")
    clock.set(stored.written + timedelta(days=2))
    pruning = Pruning(cluster=cluster, locations=locations, clock=clock, velero_namespace="velero", own_bucket=True)
    archive(moto, velero, "backups/lost/velero-backup.json")
    assert pruning.survey(timedelta(days=30), own_bucket_unshared=True).removable == []

    s3_servers.bare_client(moto).delete_object(Bucket=velero, Key="backups/lost/velero-backup.json")
    assert pruning.survey(timedelta(days=30)).removable == []
    (orphan,) = pruning.survey(timedelta(days=30), own_bucket_unshared=True).removable
    assert pruning.remove(orphan).removed == 1
    assert not locations.open("").exists(OWN)


def test_nothing_but_our_own_prefix_is_removed(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    bucket, clock = s3_servers.new_bucket(moto), SettableClock()
    cluster.seed(location(moto, bucket, prefix="cluster-1"))
    put(locations.open("default"), OWN, b"{}")
    foreign = (f"plugins/vmservice/{OWN}", "cluster-1/captures/lost/20260101T000000Z/capture.json", "cluster-2/x")
    archive(moto, bucket, *foreign)
    (stored,) = locations.open("default").documents("")
    clock.set(stored.written + timedelta(days=2))
    pruning = Pruning(cluster=cluster, locations=locations, clock=clock, velero_namespace="velero", own_bucket=False)
    (orphan,) = pruning.survey(timedelta(days=30)).removable
    assert pruning.remove(orphan).removed == 1
    left = s3_servers.bare_client(moto).list_objects_v2(Bucket=bucket)["Contents"]
    assert {entry["Key"] for entry in left} == set(foreign)


def test_a_delete_that_the_server_refuses_is_reported_with_the_document(cluster: MemoryCluster) -> None:
    denied = s3_servers.s3_error("403 Forbidden", "AccessDenied", "the object is locked")

    def refuse(environ: dict[str, Any]) -> Any:
        return denied if environ["REQUEST_METHOD"] == "DELETE" else None

    clock = SettableClock()
    with s3_servers.altered(refuse) as url:
        bucket = s3_servers.new_bucket(url)
        cluster.seed(location(url, bucket))
        locations = BackupStorageLocations(cluster, Settings(velero_namespace="velero"), clock=clock)
        put(locations.open("default"), OWN, b"{}")
        (stored,) = locations.open("default").documents("")
        clock.set(stored.written + timedelta(days=2))
        pruning = Pruning(
            cluster=cluster, locations=locations, clock=clock, velero_namespace="velero", own_bucket=False
        )
        (orphan,) = pruning.survey(timedelta(days=30)).removable
        removal = pruning.remove(orphan)
    assert removal.removed == 0
    ((where, error),) = removal.refused.items()
    assert where == f"s3://{bucket}/plugins/vmservice/{OWN}"
    assert isinstance(error, Forbidden)
