"""The object store contract on memory, on moto, and on moto with the habits of other S3 servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract import s3_servers
from tests.contract.object_store_contract import ObjectStoreContract, RacingObjectStoreContract, digest, put
from tests.fakes.store import MemoryStore
from velero_vmservice.adapters.s3.store import S3Store
from velero_vmservice.errors import AlreadyExists, Corrupt, InvalidSettings

if TYPE_CHECKING:
    from velero_vmservice.archive.store import ObjectStore


class TestMemory(RacingObjectStoreContract):
    @pytest.fixture(name="store")
    def _store(self) -> ObjectStore:
        return MemoryStore()

    def test_tampered_bytes_are_corrupt(self) -> None:
        store = MemoryStore()
        put(store, "a.json", b"before")
        store.tamper("a.json", b"after")

        with pytest.raises(Corrupt, match=r"a\.json"):
            store.get("a.json")


class TestS3(RacingObjectStoreContract):
    @pytest.fixture(name="store")
    def _store(self, moto: str) -> ObjectStore:
        return s3_servers.new_store(moto)


class TestS3ThatRefusesConditions(ObjectStoreContract):
    @pytest.fixture(name="store")
    def _store(self, refusing_conditions: str) -> ObjectStore:
        return s3_servers.new_store(refusing_conditions)


class TestS3ThatIgnoresConditions(ObjectStoreContract):
    @pytest.fixture(name="store")
    def _store(self, ignoring_conditions: str) -> ObjectStore:
        return s3_servers.new_store(ignoring_conditions)


class TestS3ThatRefusesChecksums(RacingObjectStoreContract):
    @pytest.fixture(name="store")
    def _store(self, refusing_checksums: str) -> ObjectStore:
        return s3_servers.new_store(refusing_checksums)


class TestS3ThatRefusesBoth(ObjectStoreContract):
    @pytest.fixture(name="store")
    def _store(self, refusing_both: str) -> ObjectStore:
        return s3_servers.new_store(refusing_both)


def test_documents_lie_under_the_prefix_and_nothing_else_is_seen(moto: str) -> None:
    behind = s3_servers.bare_client(moto)
    location = s3_servers.location(moto, s3_servers.new_bucket(moto))
    behind.put_object(Bucket=location.bucket, Key="backups/velero.json", Body=b"{}")
    store = S3Store(behind, location, prefix="/some/prefix/plugins/vmservice/")

    put(store, "captures/a.json", b"{}")

    assert _keys(location.bucket, behind) == ["backups/velero.json", "some/prefix/plugins/vmservice/captures/a.json"]
    assert list(store.list("")) == ["captures/a.json"]


def test_checksum_headers_are_left_out_where_the_location_says_so() -> None:
    headers: list[str] = []

    with s3_servers.altered(headers.extend) as url:
        put(s3_servers.new_store(url, checksums=False), "a.json", b"{}")

    assert "HTTP_CONTENT_MD5" in headers, "a bucket with object lock demands it"
    assert not [
        name for name in headers if name.startswith(("HTTP_X_AMZ_CHECKSUM", "HTTP_X_AMZ_SDK", "HTTP_X_AMZ_TRAIL"))
    ]


def test_a_change_behind_our_back_is_corrupt(moto: str) -> None:
    behind = s3_servers.bare_client(moto)
    location = s3_servers.location(moto, s3_servers.new_bucket(moto))
    store = S3Store(behind, location)
    put(store, "a.json", b"before")
    metadata = behind.head_object(Bucket=location.bucket, Key="a.json")["Metadata"]
    behind.put_object(Bucket=location.bucket, Key="a.json", Body=b"after", Metadata=metadata)

    with pytest.raises(Corrupt, match=rf'"a\.json" in bucket "{location.bucket}"'):
        store.get("a.json")


def test_a_document_copied_without_its_metadata_is_read(moto: str) -> None:
    behind = s3_servers.bare_client(moto)
    location = s3_servers.location(moto, s3_servers.new_bucket(moto))
    behind.put_object(Bucket=location.bucket, Key="a.json", Body=b"copied")

    assert S3Store(behind, location).get("a.json") == b"copied"


def test_a_long_list_comes_page_by_page() -> None:
    pages: list[str] = []

    def look(environ: dict[str, object]) -> None:
        if "list-type=2" in str(environ["QUERY_STRING"]):
            pages.append(str(environ["QUERY_STRING"]))

    with s3_servers.altered(look) as url:
        location = s3_servers.location(url, s3_servers.new_bucket(url))
        store = S3Store(s3_servers.bare_client(url), location, page_size=3)
        for number in range(7):
            put(store, f"{number}.json", b"")

        assert list(store.list("")) == [f"{number}.json" for number in range(7)]
    assert len(pages) == 3


def test_a_bucket_with_object_lock_and_versions_takes_and_hides_documents(moto: str) -> None:
    behind = s3_servers.bare_client(moto)
    location = s3_servers.location(moto, s3_servers.new_bucket(moto, ObjectLockEnabledForBucket=True))
    store = S3Store(behind, location)

    put(store, "a.json", b"kept")
    with pytest.raises(AlreadyExists):
        put(store, "a.json", b"other")
    store.delete("a.json")

    assert not store.exists("a.json")
    assert len(behind.list_object_versions(Bucket=location.bucket)["Versions"]) == 1


def test_once_the_server_is_known_a_document_costs_one_request() -> None:
    requests: list[str] = []

    with s3_servers.altered(lambda environ: requests.append(environ["REQUEST_METHOD"])) as url:
        store = s3_servers.new_store(url)
        put(store, "first.json", b"1")  # finds out whether the condition is honoured
        requests.clear()
        put(store, "second.json", b"2")
        put(store, "third.json", b"3")

    assert requests == ["PUT", "PUT"]


def test_a_server_that_ignores_the_condition_is_looked_at_before_and_after_each_write() -> None:
    requests: list[str] = []

    def ignore(environ: dict[str, Any]) -> None:
        requests.append(environ["REQUEST_METHOD"])
        s3_servers.ignores(s3_servers.CONDITION)(environ)

    with s3_servers.altered(ignore) as url:
        store = s3_servers.new_store(url)
        put(store, "first.json", b"1")
        requests.clear()
        put(store, "second.json", b"2")

    assert requests == ["GET", "PUT", "GET"]


def test_encryption_and_tags_reach_the_object(moto: str) -> None:
    behind = s3_servers.bare_client(moto)
    bucket = s3_servers.new_bucket(moto)
    location = s3_servers.location(moto, bucket, server_side_encryption="AES256", tagging="team=backup")

    put(S3Store(behind, location), "a.json", b"{}")

    assert behind.head_object(Bucket=bucket, Key="a.json")["ServerSideEncryption"] == "AES256"
    assert behind.get_object_tagging(Bucket=bucket, Key="a.json")["TagSet"] == [{"Key": "team", "Value": "backup"}]


def test_a_kms_key_is_named(moto: str) -> None:
    behind = s3_servers.bare_client(moto)
    location = s3_servers.location(moto, s3_servers.new_bucket(moto), kms_key_id="alias/velero")

    put(S3Store(behind, location), "a.json", b"{}")

    head = behind.head_object(Bucket=location.bucket, Key="a.json")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/velero")


def test_a_read_only_location_is_read_and_never_written(moto: str) -> None:
    behind = s3_servers.bare_client(moto)
    location = s3_servers.location(moto, s3_servers.new_bucket(moto), read_only=True)
    behind.put_object(Bucket=location.bucket, Key="a.json", Body=b"{}")
    store = S3Store(behind, location)

    assert store.get("a.json") == b"{}"
    with pytest.raises(InvalidSettings, match=r"ReadOnly.*ReadWrite"):
        put(store, "b.json", b"{}")
    with pytest.raises(InvalidSettings, match=r"ReadOnly.*ReadWrite"):
        store.delete("a.json")
    with pytest.raises(InvalidSettings, match=r"ReadOnly.*ReadWrite"):
        store.replace("a.json", b"{}", sha256=digest(b"{}"))
    assert _keys(location.bucket, behind) == ["a.json"]


def _keys(bucket: str, client: Any) -> list[str]:
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", ())]
