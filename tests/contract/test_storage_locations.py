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
from tests.fakes.cluster import MemoryCluster
from velero_vmservice.adapters.velero.storage_locations import BackupStorageLocations
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION, SECRET, ObjectRef
from velero_vmservice.settings.reading import BucketSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from velero_vmservice.adapters.s3.store import S3Store

_DEFAULT = ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default")
_CREDENTIAL = ObjectRef(SECRET, "velero", "cloud-credentials")


def settings_with(bucket: BucketSettings | None = None) -> Settings:
    return Settings(velero_namespace="velero", bucket=bucket)


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
    locations = BackupStorageLocations(cluster, settings_with(), clock=clock)
    yield locations
    locations.close()


@pytest.fixture(autouse=True)
def _no_default_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the VM's own AWS configuration out."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def _secret(name: str, **data: str | bytes) -> dict[str, Any]:
    content = {key: value.encode() if isinstance(value, str) else value for key, value in data.items()}
    encoded = {key: base64.b64encode(value).decode() for key, value in content.items()}
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
    (stored,) = s3_servers.bare_client(url).list_objects_v2(Bucket=bucket)["Contents"]
    return str(stored["Key"])


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
    location = _location(moto, s3_servers.new_bucket(moto))
    cluster.seed(location)
    first = locations.open("default")

    clock.advance(60)
    cluster.seed(location | {"status": {"phase": "Available", "lastValidationTime": "2026-03-01T12:01:00Z"}})

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
    headers: list[str] = []

    with s3_servers.altered(lambda environ: headers.append(environ["HTTP_AUTHORIZATION"])) as url:
        locations = BackupStorageLocations(cluster, settings_with(), clock=clock)
        cluster.seed(_location(url, s3_servers.new_bucket(url)))
        locations.open("default").exists("a.json")
        cluster.seed(_secret("cloud-credentials", cloud=s3_servers.CREDENTIALS.replace("AKIDEXAMPLE", "AKIDROTATED")))
        clock.advance(10)
        locations.open("default").exists("a.json")
        locations.close()

    assert "Credential=AKIDROTATED/" in headers[-1]


def test_an_outage_of_kubernetes_does_not_take_away_an_open_store(
    moto: str, cluster: MemoryCluster, clock: SettableClock, locations: BackupStorageLocations
) -> None:
    cluster.seed(_location(moto, s3_servers.new_bucket(moto)))
    first = locations.open("default")

    cluster.calls.fail("get", Unavailable("the API server is away"))
    clock.advance(60)

    assert locations.open("default") is first


def test_without_a_store_an_outage_is_reported(cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    cluster.calls.fail("get", Unavailable("the API server is away"))

    with pytest.raises(Unavailable, match="API server is away"):
        locations.open("default")


def test_a_denied_secret_is_reported(moto: str, cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
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


def test_a_location_with_an_authority_can_be_opened_after_a_close(
    cluster: MemoryCluster, locations: BackupStorageLocations, tmp_path: Path
) -> None:
    _, authority = self_signed(tmp_path)
    given = {"caCert": base64.b64encode(authority.encode()).decode()}
    cluster.seed(_location("https://s3.example.com", "backups", objectStorage=given))
    before = locations.open("default")
    locations.close()
    assert locations.open("default") is not before


def test_checksum_headers_are_left_out_where_the_algorithm_is_empty(
    cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    headers: list[str] = []
    with s3_servers.altered(headers.extend) as url:
        cluster.seed(_location(url, s3_servers.new_bucket(url), config={"checksumAlgorithm": ""}))
        put(locations.open("default"), "a.json", b"{}")

    assert "HTTP_X_AMZ_CHECKSUM_SHA256" not in headers


_KEYS = {
    "text": b"0123456789abcdef0123456789abcdef",
    "any bytes": bytes(range(200, 232)),
    "a line feed at the end": b"0123456789abcdef0123456789abcdef\n",
    "base64 text": base64.b64encode(bytes(range(33))) + b"\n",
}


@pytest.mark.parametrize("where", ["customerKeyEncryptionSecret", "customerKeyEncryptionFile"])
@pytest.mark.parametrize("key", _KEYS.values(), ids=_KEYS)
def test_the_first_32_bytes_of_a_customer_key_encrypt(
    cluster: MemoryCluster, locations: BackupStorageLocations, tmp_path: Path, where: str, key: bytes
) -> None:
    headers: list[str] = []
    context, authority = self_signed(tmp_path)
    file = tmp_path / "sse"
    file.write_bytes(key)
    cluster.seed(_secret("sse", key=key))
    with servers.served(s3_servers.moto_application()) as plain:
        bucket = s3_servers.new_bucket(plain)
    noting = s3_servers.altering(lambda environ: headers.append(environ.get(_CUSTOMER_KEY, "")))
    with servers.served(noting, tls=context) as url:
        trusted = {"caCert": base64.b64encode(authority.encode()).decode()}
        config = {where: {"customerKeyEncryptionSecret": "sse/key", "customerKeyEncryptionFile": str(file)}[where]}
        cluster.seed(_location(url, bucket, config=config, objectStorage=trusted))
        store = locations.open("default")
        put(store, "a.json", b"{}")

        assert store.get("a.json") == b"{}"
    assert {base64.b64decode(value) for value in headers} == {key[:32]}


_CUSTOMER_KEY = "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", None])
def test_a_customer_key_never_goes_over_http(
    cluster: MemoryCluster, locations: BackupStorageLocations, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    """An endpoint of the environment counts as much as one of the location."""
    if url is None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    cluster.seed(_secret("sse", key=_KEYS["text"]))
    cluster.seed(_location(url or "", "b", config={"customerKeyEncryptionSecret": "sse/key"}))

    with pytest.raises(InvalidSettings, match=r"never sent over http.*velero/default.*https://"):
        locations.open("default")


def test_a_profile_of_the_credential_is_used(cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    headers: list[str] = []
    text = s3_servers.CREDENTIALS + "[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = x\n"
    cluster.seed(_secret("cloud-credentials", cloud=text))
    with s3_servers.altered(lambda environ: headers.append(environ["HTTP_AUTHORIZATION"])) as url:
        cluster.seed(_location(url, s3_servers.new_bucket(url), config={"profile": "other"}))
        locations.open("default").exists("a.json")

    assert "Credential=AKIDOTHER/" in headers[-1]


def test_without_a_credential_velero_s_own_file_is_used(
    cluster: MemoryCluster, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers: list[str] = []
    file = tmp_path / "cloud"
    file.write_text(s3_servers.CREDENTIALS.replace("AKIDEXAMPLE", "AKIDMOUNTED"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    locations = BackupStorageLocations(cluster, settings_with(), clock=clock)
    with s3_servers.altered(lambda environ: headers.append(environ["HTTP_AUTHORIZATION"])) as url:
        cluster.seed(_location(url, s3_servers.new_bucket(url), credential=None))
        locations.open("default").exists("a.json")
        mounted = headers[-1]
        file.write_text(s3_servers.CREDENTIALS.replace("AKIDEXAMPLE", "AKIDREMOUNTED"))
        clock.advance(10)
        locations.open("default").exists("a.json")
    locations.close()

    assert "Credential=AKIDMOUNTED/" in mounted
    assert "Credential=AKIDREMOUNTED/" in headers[-1]


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
    settings = Settings(
        velero_namespace="velero", bucket=BucketSettings(name=bucket, prefix="/supervisor-1/", url=moto)
    )
    locations = BackupStorageLocations(cluster, settings, clock=clock)

    assert _where(moto, bucket, locations.open("")) == "supervisor-1/plugins/vmservice/probe.json"
    assert list(locations.open("any").list("")) == ["probe.json"]
    assert not cluster.calls.made, "no BackupStorageLocation is needed then"
    locations.close()


_HINT_OWN = "bucket.name in the plugin's settings"


@pytest.mark.parametrize(
    ("changes", "excerpts"),
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
        ({"config": {"customerKeyEncryptionSecret": "keys/short"}}, ("holds 5 bytes", "has 32")),
        ({"config": {"customerKeyEncryptionSecret": "keys"}}, ("NAME/KEY", "slash")),
        ({"config": {"customerKeyEncryptionSecret": "keys/short", "kmsKeyId": "k"}}, ("more than one", "kmsKeyId")),
        ({"config": {"profile": "absent"}}, ("spec.credential", "no profile absent")),
        ({"config": {"region": "minio "}}, ("not a region's name",)),
        ({"credential": {"name": "", "key": ""}}, ("spec.credential", "names no Secret", "remove it")),
        ({"credential": {}}, ("spec.credential", "names no Secret", "remove it")),
        ({"credential": {"name": "keys", "key": "empty"}}, ("spec.credential", "Secret velero/keys", "is empty")),
        ({"credential": {"name": "keys", "key": "blank"}}, ("spec.credential", "Secret velero/keys", "is empty")),
        ({"objectStorage": {"caCertRef": {"name": "keys", "key": "empty"}}}, ("caCertRef", "velero/keys", "is empty")),
        ({"objectStorage": {"caCertRef": {"name": "keys", "key": "short"}}}, ("caCertRef", "no PEM certificate")),
        ({"config": {"customerKeyEncryptionSecret": "keys/empty"}}, ("customerKeyEncryptionSecret", "is empty")),
    ],
)
def test_an_unusable_location_is_reported_with_its_remedy(
    moto: str,
    cluster: MemoryCluster,
    locations: BackupStorageLocations,
    changes: dict[str, Any],
    excerpts: tuple[str, ...],
) -> None:
    cluster.seed(_secret("keys", short="short", empty="", blank=" \n"))
    cluster.seed(_location(moto, "b", **changes))

    with pytest.raises(InvalidSettings, match="BackupStorageLocation velero/default") as caught:
        locations.open("default")
    message = str(caught.value)
    assert caught.value.hint
    assert [word for word in excerpts if word not in message] == [], message
    assert s3_servers.SECRET not in "".join(traceback.format_exception(caught.value))


_URLS = [
    "s3.example.com",
    "//s3.example.com",
    "ftp://s3.example.com",
    "https://",
    "http:/s3.example.com",
    "http://[::1",
    "http://[zz]:9000",
    "http://s3.example.com:port",
    "http://s3.example.com:99999",
    "http://s3.example.com:-1",
    "https://s3 example.com",
    "https://s3.exa\nmple.com",
    "https://s3.example.com:9000 ",
    "https://s3.example.com\u202e",
    "https://s3.example.com/?x=y",
    "https://s3.example.com/#x",
    "https://s3..example.com",
    "https://-.example.com:9000",
]


@pytest.mark.parametrize("url", _URLS)
def test_a_malformed_url_is_reported(cluster: MemoryCluster, locations: BackupStorageLocations, url: str) -> None:
    cluster.seed(_location(url, "b"))

    with pytest.raises(InvalidSettings, match=r"S3 URL.*velero/default"):
        locations.open("default")


_SPOILT: dict[str, tuple[Callable[[str], str], str]] = {
    "encoded": (lambda pem: base64.b64encode(pem.encode()).decode(), "encoded twice?"),
    "encoded in lines": (lambda pem: base64.encodebytes(pem.encode()).decode(), "encoded twice?"),
    "line ends spelled": (lambda pem: pem.replace("\n", r"\n"), r"its line ends are spelled \n"),
    "one line": (lambda pem: pem.replace("\n", " "), "its lines are joined, indented or cut"),
    "indented": (lambda pem: f"  {pem}".replace("\n", "\n  "), "its lines are joined, indented or cut"),
    "damaged": (lambda pem: pem.replace("MII", "AAA", 1), "damaged?"),
    "a key": (lambda pem: pem.replace("CERTIFICATE", "PRIVATE KEY"), "another file?"),
}


@pytest.mark.parametrize("how", _SPOILT)
@pytest.mark.parametrize("where", ["caCert", "caCertRef", "ca_file"])
def test_an_authority_that_is_none_is_reported(
    cluster: MemoryCluster, clock: SettableClock, tmp_path: Path, how: str, where: str
) -> None:
    _, authority = self_signed(tmp_path)
    spoil, guess = _SPOILT[how]
    spoilt = spoil(authority)
    file = tmp_path / "ca.crt"
    file.write_text(spoilt)
    cluster.seed(_secret("storage-ca", **{"ca.crt": spoilt}))
    storage = {
        "caCert": {"caCert": base64.b64encode(spoilt.encode()).decode()},
        "caCertRef": {"caCertRef": {"name": "storage-ca", "key": "ca.crt"}},
    }
    cluster.seed(_location("https://127.0.0.1:9", "b", objectStorage=storage.get(where, {})))
    bucket = BucketSettings(name="b", ca_file=file)
    locations = BackupStorageLocations(cluster, settings_with(bucket if where == "ca_file" else None), clock=clock)

    with pytest.raises(InvalidSettings, match=rf"{where}.*holds no PEM certificate: {re.escape(guess)}"):
        locations.open("default")
    locations.close()


def test_text_around_a_certificate_is_left_out(
    cluster: MemoryCluster, locations: BackupStorageLocations, tmp_path: Path
) -> None:
    context, authority = self_signed(tmp_path)
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bundle = f"subject=/CN=storage é\r\n{broken}{authority}".encode("latin-1")
    with servers.served(s3_servers.moto_application()) as plain:
        bucket = s3_servers.new_bucket(plain)
    with servers.served(s3_servers.moto_application(), tls=context) as url:
        cluster.seed(_location(url, bucket, objectStorage={"caCert": base64.encodebytes(bundle).decode()}))

        assert not locations.open("default").exists("a.json")


def test_a_backup_of_another_velero_is_refused_with_both_namespaces(
    moto: str, cluster: MemoryCluster, locations: BackupStorageLocations
) -> None:
    cluster.seed(_location(moto, s3_servers.new_bucket(moto)))

    with pytest.raises(InvalidSettings, match=r"namespace openshift-adp, .* velero_namespace names velero") as caught:
        locations.open("default", namespace="openshift-adp")
    assert "set velero_namespace to openshift-adp" in caught.value.hint
    assert not locations.open("default", namespace="velero").exists("a.json")


def test_an_empty_file_of_credentials_leaves_the_login_to_the_environment(
    cluster: MemoryCluster,
    locations: BackupStorageLocations,
    moto: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "cloud"
    file.write_text("\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    cluster.seed(_location(moto, s3_servers.new_bucket(moto), credential=None))

    assert not locations.open("default").exists("a.json")


def test_a_location_that_is_gone_is_reported(cluster: MemoryCluster, locations: BackupStorageLocations) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(_HINT_OWN)) as caught:
        locations.open("deleted")
    assert "BackupStorageLocation velero/deleted does not exist" in str(caught.value)
    assert cluster.calls.counts["get"] == 1


def test_neither_location_nor_bucket_is_refused(locations: BackupStorageLocations) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(_HINT_OWN)):
        locations.open("")


def test_nothing_is_left_on_disk(
    moto: str, cluster: MemoryCluster, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    locations = BackupStorageLocations(cluster, settings_with(), clock=clock)
    cluster.seed(_location(moto, s3_servers.new_bucket(moto)))

    assert not locations.open("default").exists("a.json")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()], "the credentials are gone at once"
    locations.close()
    assert not list(tmp_path.iterdir())


def test_the_lack_of_a_writable_directory_is_reported_only_where_a_location_has_authorities(
    moto: str, cluster: MemoryCluster, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    locations = BackupStorageLocations(cluster, settings_with(), clock=clock)
    bucket = s3_servers.new_bucket(moto)
    cluster.seed(_location(moto, bucket))
    assert not locations.open("default").exists("a.json")

    clock.advance(10)
    _, authority = self_signed(tmp_path)
    trusted = {"caCert": base64.b64encode(authority.encode()).decode()}
    cluster.seed(_location(moto, bucket, objectStorage=trusted))
    with pytest.raises(InvalidSettings, match=r"emptyDir.*TMPDIR"):
        locations.open("default")
