"""Which store belongs to a BackupStorageLocation: MemoryCluster on one side, moto on the other."""

from __future__ import annotations

import base64
import re
import tempfile
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from tests.clock import SettableClock
from tests.contract import s3_servers, servers
from tests.contract.certificates import self_signed
from tests.contract.object_store_contract import put
from velero_vmservice.adapters.memory_cluster import MemoryCluster
from velero_vmservice.adapters.storage_locations import BackupStorageLocations
from velero_vmservice.core.errors import Forbidden, InvalidSettings, Unavailable
from velero_vmservice.core.manifest import BACKUP_STORAGE_LOCATION, SECRET, ObjectRef
from velero_vmservice.settings import BucketSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from velero_vmservice.adapters.s3 import S3Store

_DEFAULT = ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default")
_CREDENTIAL = ObjectRef(SECRET, "velero", "cloud-credentials")


@pytest.fixture(name="cluster")
def _cluster() -> MemoryCluster:
    """Return a cluster with Velero's namespace and a credential in it."""
    cluster = MemoryCluster(namespaces=["velero"])
    cluster.seed(_secret("cloud-credentials", cloud=s3_servers.CREDENTIALS))
    return cluster


@pytest.fixture(name="clock")
def _clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(name="locations")
def _locations(cluster: MemoryCluster, clock: SettableClock) -> Iterator[BackupStorageLocations]:
    locations = BackupStorageLocations(cluster, Settings(), clock=clock)
    yield locations
    locations.close()


@pytest.fixture(autouse=True)
def _no_default_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own AWS configuration out."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def _secret(name: str, **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "velero"}, "data": encoded}


def _location(url: str, bucket: str, *, config: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """Write a BackupStorageLocation as an administrator would; `objectStorage` is merged, the rest replaced."""
    storage = {"bucket": bucket} | changes.pop("objectStorage", {})
    spec = {
        "provider": "aws",
        "objectStorage": storage,
        "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": url} | (config or {}),
        "credential": {"name": "cloud-credentials", "key": "cloud"},
    }
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": "default", "namespace": "velero"},
        "spec": {key: value for key, value in (spec | changes).items() if value is not None},
    }


def _where(url: str, bucket: str, store: S3Store) -> str:
    """Say under which full key the store writes."""
    put(store, "probe.json", b"{}")
    (found,) = s3_servers.bare_client(url).list_objects_v2(Bucket=bucket)["Contents"]
    return str(found["Key"])


@pytest.mark.parametrize(
    ("prefix", "key"),
    [
        (None, "plugins/vmservice/probe.json"),
        ("", "plugins/vmservice/probe.json"),
        ("cluster-1", "cluster-1/plugins/vmservice/probe.json"),
        ("/a/b/", "a/b/plugins/vmservice/probe.json"),
    ],
)
def test_documents_lie_beside_the_backups(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations, prefix: str | None, key: str
) -> None:
    bucket = s3_servers.new_bucket(moto)
    cluster.seed(_location(moto, bucket, objectStorage={} if prefix is None else {"prefix": prefix}))

    assert _where(moto, bucket, locations.open("default")) == key


def test_the_provider_may_be_spelt_with_its_group(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    bucket = s3_servers.new_bucket(moto)
    cluster.seed(_location(moto, bucket, provider="velero.io/aws"))

    assert not locations.open("default").exists("a.json")


def test_a_store_is_kept_while_nothing_but_the_status_changes(
    moto: str, cluster: MemoryCluster, clock: SettableClock, locations: BackupStorageLocations
) -> None:
    found = _location(moto, s3_servers.new_bucket(moto))
    cluster.seed(found)
    first = locations.open("default")

    clock.advance(60)
    cluster.seed(found | {"status": {"phase": "Available", "lastValidationTime": "2026-03-01T12:01:00Z"}})

    assert locations.open("default") is first


def test_the_api_server_is_asked_once_in_a_few_seconds(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    cluster.seed(_location(moto, s3_servers.new_bucket(moto)))

    for _ in range(20):
        locations.open("default")

    assert cluster.calls.counts["get"] == 2, "the location and its Secret"


def test_another_bucket_is_noticed(
    moto: str, cluster: MemoryCluster, clock: SettableClock, locations: BackupStorageLocations
) -> None:
    cluster.seed(_location(moto, s3_servers.new_bucket(moto)))
    locations.open("default")
    other = s3_servers.new_bucket(moto)

    cluster.seed(_location(moto, other))
    clock.advance(10)

    assert _where(moto, other, locations.open("default")) == "plugins/vmservice/probe.json"


def test_a_rotated_credential_is_noticed(cluster: MemoryCluster, clock: SettableClock) -> None:
    seen: list[str] = []

    with s3_servers.altered(lambda environ: seen.append(environ["HTTP_AUTHORIZATION"])) as url:
        locations = BackupStorageLocations(cluster, Settings(), clock=clock)
        cluster.seed(_location(url, s3_servers.new_bucket(url)))
        locations.open("default").exists("a.json")
        cluster.seed(_secret("cloud-credentials", cloud=s3_servers.CREDENTIALS.replace("AKIDEXAMPLE", "AKIDROTATED")))
        clock.advance(10)
        locations.open("default").exists("a.json")
        locations.close()

    assert "Credential=AKIDROTATED/" in seen[-1]


def test_an_outage_of_kubernetes_does_not_take_away_an_open_store(
    moto: str, cluster: MemoryCluster, clock: SettableClock, locations: BackupStorageLocations
) -> None:
    cluster.seed(_location(moto, s3_servers.new_bucket(moto)))
    first = locations.open("default")

    cluster.calls.fail("get", Unavailable("the API server is away"))
    clock.advance(60)

    assert locations.open("default") is first


def test_without_a_store_an_outage_is_told(cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    cluster.calls.fail("get", Unavailable("the API server is away"))

    with pytest.raises(Unavailable, match="API server is away"):
        locations.open("default")


def test_a_denied_secret_is_told(moto: str, cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    cluster.seed(_location(moto, "b"))
    cluster.calls.fail("get", Forbidden("cannot read Secret velero/cloud-credentials"), on="Secret")

    with pytest.raises(Forbidden, match="cloud-credentials"):
        locations.open("default")


@pytest.mark.parametrize("where", ["caCert", "caCertRef"])
def test_an_authority_of_the_location_is_trusted(
    cluster: MemoryCluster, locations: BackupStorageLocations, tmp_path: Path, where: str
) -> None:
    context, authority = self_signed(tmp_path)
    cluster.seed(_secret("storage-ca", **{"ca.crt": authority}))
    given = {
        "caCert": base64.b64encode(authority.encode()).decode(),
        "caCertRef": {"name": "storage-ca", "key": "ca.crt"},
    }
    with servers.served(s3_servers.moto_application()) as plain:
        bucket = s3_servers.new_bucket(plain)
    with servers.served(s3_servers.moto_application(), tls=context) as url:
        cluster.seed(_location(url, bucket, objectStorage={where: given[where]}))
        store = locations.open("default")
        put(store, "a.json", b"{}")

        assert store.get("a.json") == b"{}"


def test_checksum_headers_are_left_out_where_the_algorithm_is_empty(
    cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    seen: list[str] = []
    with s3_servers.altered(seen.extend) as url:
        cluster.seed(_location(url, s3_servers.new_bucket(url), config={"checksumAlgorithm": ""}))
        put(locations.open("default"), "a.json", b"{}")

    assert "HTTP_X_AMZ_CHECKSUM_SHA256" not in seen


def test_a_customer_key_of_a_secret_encrypts(cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    seen: list[str] = []
    cluster.seed(_secret("sse", key="0123456789abcdef0123456789abcdef"))
    with s3_servers.altered(seen.extend) as url:
        config = {"customerKeyEncryptionSecret": "sse/key"}
        cluster.seed(_location(url, s3_servers.new_bucket(url), config=config))
        store = locations.open("default")
        put(store, "a.json", b"{}")

        assert store.get("a.json") == b"{}"
    assert "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5" in seen


def test_a_profile_of_the_credential_is_used(cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    seen: list[str] = []
    text = s3_servers.CREDENTIALS + "[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = x\n"
    cluster.seed(_secret("cloud-credentials", cloud=text))
    with s3_servers.altered(lambda environ: seen.append(environ["HTTP_AUTHORIZATION"])) as url:
        cluster.seed(_location(url, s3_servers.new_bucket(url), config={"profile": "other"}))
        locations.open("default").exists("a.json")

    assert "Credential=AKIDOTHER/" in seen[-1]


def test_without_a_credential_velero_s_own_file_is_used(
    cluster: MemoryCluster, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    file = tmp_path / "cloud"
    file.write_text(s3_servers.CREDENTIALS.replace("AKIDEXAMPLE", "AKIDMOUNTED"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    locations = BackupStorageLocations(cluster, Settings(), clock=clock)
    with s3_servers.altered(lambda environ: seen.append(environ["HTTP_AUTHORIZATION"])) as url:
        cluster.seed(_location(url, s3_servers.new_bucket(url), credential=None))
        locations.open("default").exists("a.json")
        mounted = seen[-1]
        file.write_text(s3_servers.CREDENTIALS.replace("AKIDEXAMPLE", "AKIDREMOUNTED"))
        clock.advance(10)
        locations.open("default").exists("a.json")
    locations.close()

    assert "Credential=AKIDMOUNTED/" in mounted
    assert "Credential=AKIDREMOUNTED/" in seen[-1]


def test_a_read_only_location_opens_for_restores(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    cluster.seed(_location(moto, s3_servers.new_bucket(moto), accessMode="ReadOnly"))
    store = locations.open("default")

    assert list(store.list("")) == []
    with pytest.raises(InvalidSettings, match="velero/default is ReadOnly"):
        put(store, "a.json", b"{}")


def test_the_settings_own_bucket_serves_every_location(
    moto: str, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cloud"
    file.write_text(s3_servers.CREDENTIALS)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    bucket = s3_servers.new_bucket(moto)
    cluster = MemoryCluster()
    settings = Settings(bucket=BucketSettings(name=bucket, prefix="/supervisor-1/", url=moto))
    locations = BackupStorageLocations(cluster, settings, clock=clock)

    assert _where(moto, bucket, locations.open("")) == "supervisor-1/plugins/vmservice/probe.json"
    assert list(locations.open("any").list("")) == ["probe.json"]
    assert not cluster.calls.made, "nobody needs a BackupStorageLocation then"
    locations.close()


_HINT_OWN = "bucket.name in the plugin's settings"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider": "azure"}, ('its provider is "azure"', _HINT_OWN)),
        ({"objectStorage": {"bucket": ""}}, ("no usable bucket", "objectStorage.bucket")),
        ({"objectStorage": {"bucket": "b/with/path"}}, ("no usable bucket", "objectStorage.prefix")),
        ({"config": {"s3Url": "s3.example.com"}}, ("S3 URL", "https://")),
        ({"config": {"s3Url": f"https://user:{s3_servers.SECRET}@s3.example.com"}}, ("S3 URL", "spec.credential")),
        ({"config": {"s3ForcePathStyle": "yes"}}, ("config.s3ForcePathStyle", '"true" or "false"')),
        ({"config": {"insecureSkipTLSVerify": "maybe"}}, ("config.insecureSkipTLSVerify", '"true" or "false"')),
        ({"credential": {"name": "gone", "key": "cloud"}}, ("Secret velero/gone", "does not exist", "create")),
        ({"credential": {"name": "cloud-credentials", "key": "k"}}, ('key "k"', "cloud-credentials")),
        ({"objectStorage": {"caCertRef": {"name": "gone", "key": "ca"}}}, ("caCertRef", "Secret velero/gone")),
        ({"objectStorage": {"caCert": "%%%"}}, ("caCert", "not base64")),
        ({"config": {"customerKeyEncryptionFile": "/nowhere/key"}}, ("/nowhere/key", "mount it")),
        ({"config": {"customerKeyEncryptionSecret": "cloud-credentials/cloud"}}, ("32 bytes",)),
        ({"config": {"profile": "absent"}}, ("spec.credential",)),
    ],
)
def test_an_unusable_location_is_told_with_its_remedy(
    moto: str,
    cluster: MemoryCluster,
    locations: BackupStorageLocations,
    changes: dict[str, Any],
    words: tuple[str, ...],
) -> None:
    cluster.seed(_location(moto, "b", **changes))

    with pytest.raises(InvalidSettings, match="BackupStorageLocation velero/default") as caught:
        locations.open("default")
    told = str(caught.value)
    assert caught.value.hint
    assert [word for word in words if word not in told] == [], told
    assert s3_servers.SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_location_that_is_gone_is_told(cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(_HINT_OWN)) as caught:
        locations.open("deleted")
    assert "BackupStorageLocation velero/deleted does not exist" in str(caught.value)
    assert cluster.calls.counts["get"] == 1


def test_no_location_and_no_bucket_is_told(locations: BackupStorageLocations) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(_HINT_OWN)):
        locations.open("")


def test_nothing_is_left_on_disk(
    moto: str, cluster: MemoryCluster, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    locations = BackupStorageLocations(cluster, Settings(), clock=clock)
    cluster.seed(_location(moto, s3_servers.new_bucket(moto)))

    assert not locations.open("default").exists("a.json")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()], "the credentials are gone at once"
    locations.close()
    assert not list(tmp_path.iterdir())


def test_no_writable_directory_is_told(
    cluster: MemoryCluster, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    with pytest.raises(InvalidSettings, match=r"emptyDir.*TMPDIR"):
        BackupStorageLocations(cluster, Settings(), clock=clock)
