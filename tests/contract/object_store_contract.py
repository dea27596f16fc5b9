"""What every ObjectStore must hold. Subclass, give a `store` fixture, and pytest runs the suite against it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from velero_vmservice.errors import AlreadyExists, Corrupt, InvalidItem, NotFound

if TYPE_CHECKING:
    from velero_vmservice.archive.store import ObjectStore


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def put(store: ObjectStore, key: str, body: bytes) -> None:
    store.put(key, body, sha256=digest(body))


class ObjectStoreContract:
    """The suite for one writer at a time: what any S3-compatible server can give."""

    @pytest.fixture(name="store")
    def _store(self) -> ObjectStore:
        """Return an empty store."""
        raise NotImplementedError

    def test_a_stored_document_is_read_back(self, store: ObjectStore) -> None:
        put(store, "captures/b1/objects/a.json", b'{"a":1}')

        assert store.get("captures/b1/objects/a.json") == b'{"a":1}'

    def test_an_empty_document_and_a_large_one_survive(self, store: ObjectStore) -> None:
        large = bytes(range(256)) * 8192
        put(store, "empty.json", b"")
        put(store, "large.json", large)

        assert store.get("empty.json") == b""
        assert store.get("large.json") == large

    @pytest.mark.parametrize("key", ["with space.json", "ä/ö+ü.json", "a=b&c%2F.json", "deep/er/and/deeper.json"])
    def test_a_key_is_taken_literally(self, store: ObjectStore, key: str) -> None:
        put(store, key, b"{}")

        assert store.exists(key)
        assert list(store.list("")) == [key]
        assert store.get(key) == b"{}"

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            "./a",
            "a\nb",
            "a\x00",
            "a/\u202eb",
        ],
    )
    def test_a_key_that_leads_elsewhere_is_refused(self, store: ObjectStore, key: str) -> None:
        put(store, "b", b"{}")
        for ask in (
            lambda: put(store, key, b"x"),
            lambda: store.replace(key, b"x", sha256=digest(b"x")),
            lambda: store.get(key),
            lambda: store.exists(key),
            lambda: store.delete(key),
            lambda: store.where(key),
        ):
            with pytest.raises(InvalidItem, match="not the key of a document"):
                ask()
        assert list(store.list("")) == ["b"]

    @pytest.mark.parametrize("prefix", ["/", "a//b", "../", "a/../b", "./"])
    def test_a_prefix_that_leads_elsewhere_is_refused(self, store: ObjectStore, prefix: str) -> None:
        with pytest.raises(InvalidItem, match="not the key of a document"):
            list(store.list(prefix))

    def test_a_missing_key_is_not_found(self, store: ObjectStore) -> None:
        with pytest.raises(NotFound, match=r"captures/none\.json"):
            store.get("captures/none.json")

    def test_the_same_bytes_twice_is_success(self, store: ObjectStore) -> None:
        put(store, "a.json", b"same")
        put(store, "a.json", b"same")

        assert store.get("a.json") == b"same"

    def test_other_bytes_are_refused_and_change_nothing(self, store: ObjectStore) -> None:
        put(store, "a.json", b"first")

        with pytest.raises(AlreadyExists, match=r"a\.json"):
            put(store, "a.json", b"second")
        assert store.get("a.json") == b"first"

    def test_a_replaceable_document_holds_the_last_bytes(self, store: ObjectStore) -> None:
        for body in (b"first", b"second", b"third"):
            store.replace("report.json", body, sha256=digest(body))

            assert store.get("report.json") == body
        assert list(store.list("")) == ["report.json"]

    def test_a_document_stored_once_can_be_replaced_and_is_refused_to_others_after(self, store: ObjectStore) -> None:
        put(store, "report.json", b"first")

        store.replace("report.json", b"second", sha256=digest(b"second"))

        with pytest.raises(AlreadyExists, match=r"report\.json"):
            put(store, "report.json", b"first")
        assert store.get("report.json") == b"second"

    def test_bytes_that_do_not_match_their_digest_replace_nothing(self, store: ObjectStore) -> None:
        put(store, "report.json", b"first")

        with pytest.raises(Corrupt, match=r"report\.json"):
            store.replace("report.json", b"body", sha256=digest(b"another body"))
        assert store.get("report.json") == b"first"

    def test_bytes_that_do_not_match_their_digest_are_not_stored(self, store: ObjectStore) -> None:
        with pytest.raises(Corrupt, match=r"a\.json"):
            store.put("a.json", b"body", sha256=digest(b"another body"))
        assert not store.exists("a.json")

    def test_exists_means_this_key_and_not_its_prefix(self, store: ObjectStore) -> None:
        put(store, "captures/b1.json", b"{}")

        assert store.exists("captures/b1.json")
        assert not store.exists("captures/b1")
        assert not store.exists("captures")

    def test_the_address_of_a_document_ends_in_its_key_whether_it_is_there_or_not(self, store: ObjectStore) -> None:
        scheme, _, place = store.where("restores/a/report.html").partition("://")

        assert scheme in ("s3", "memory")
        assert place.endswith("/restores/a/report.html")

    def test_list_yields_the_keys_under_a_prefix_in_order_of_their_bytes(self, store: ObjectStore) -> None:
        for key in ("b/2", "b/10", "b/é", "b/z", "a/1", "bb/1"):
            put(store, key, b"{}")

        assert list(store.list("b/")) == ["b/10", "b/2", "b/z", "b/é"]
        assert list(store.list("b")) == ["b/10", "b/2", "b/z", "b/é", "bb/1"]
        assert list(store.list("none/")) == []

    def test_documents_are_listed_with_their_size_and_the_time_of_their_last_write(self, store: ObjectStore) -> None:
        before = datetime.now(UTC) - timedelta(days=1)
        for key, body in (("b/1", b"12345"), ("b/empty", b""), ("a/1", b"x")):
            put(store, key, body)

        documents = list(store.documents("b/"))

        assert [(document.key, document.size) for document in documents] == [("b/1", 5), ("b/empty", 0)]
        assert all(before < document.written < before + timedelta(days=2) for document in documents)
        assert list(store.documents("none/")) == []

    def test_folders_are_the_names_right_below_a_prefix(self, store: ObjectStore) -> None:
        for key in ("b/x/1", "b/x/2/3", "b/y", "bb/z", "a/1"):
            put(store, key, b"{}")

        assert sorted(store.folders("b/")) == ["x", "y"]
        assert sorted(store.folders("")) == ["a", "b", "bb"]
        assert list(store.folders("none/")) == []

    def test_delete_removes_one_document(self, store: ObjectStore) -> None:
        put(store, "a.json", b"1")
        put(store, "a.json.bak", b"2")

        store.delete("a.json")

        assert list(store.list("")) == ["a.json.bak"]
        with pytest.raises(NotFound):
            store.get("a.json")

    def test_deleting_what_is_not_there_is_success(self, store: ObjectStore) -> None:
        store.delete("never.json")

        assert not store.exists("never.json")

    def test_a_deleted_key_can_be_stored_again(self, store: ObjectStore) -> None:
        put(store, "a.json", b"old")
        store.delete("a.json")
        put(store, "a.json", b"new")

        assert store.get("a.json") == b"new"


class RacingObjectStoreContract(ObjectStoreContract):
    """The suite for stores that decide between writers: memory, and servers with conditional writes."""

    def test_one_of_many_racing_writers_wins(self, store: ObjectStore) -> None:
        bodies = [f"writer {number}".encode() for number in range(12)]

        def write(body: bytes) -> bytes | None:
            try:
                put(store, "contested.json", body)
            except AlreadyExists:
                return None
            return body

        with ThreadPoolExecutor(len(bodies)) as pool:
            winners = [body for body in pool.map(write, bodies) if body is not None]

        assert winners == [store.get("contested.json")]

    def test_many_writers_of_the_same_bytes_all_succeed(self, store: ObjectStore) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: put(store, "repeated.json", b"same"), range(8)))

        assert store.get("repeated.json") == b"same"
