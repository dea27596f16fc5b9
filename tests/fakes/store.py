"""An object store and storage locations in memory: implementations of the ports, not mocks.

They hold the ports' whole contract, digests and write-once included, and pass the same contract suite as the
real adapters; the product is tested against them. What a test needs beyond the port is `calls`: it counts what was
asked and makes chosen calls fail. Nothing here survives the process.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from velero_vmservice.archive import schema
from velero_vmservice.archive.store import StoredDocument, check_key, check_prefix
from velero_vmservice.errors import AlreadyExists, Corrupt, InvalidSettings, NotFound, ReadOnlyStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Calls:
    """What was asked of a memory adapter, and what a test wants to happen first.

    A subject is the key, the object's printed reference, or `Kind namespace` of a list.
    """

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []
        self._before: dict[str, Callable[[str], None]] = {}

    def __call__(self, method: str, subject: str) -> None:
        """Record a call and run what was asked to run before it."""
        self.made.append((method, subject))
        if act := self._before.get(method):
            act(subject)

    @property
    def counts(self) -> Counter[str]:
        """How often each method was called."""
        return Counter(method for method, _ in self.made)

    def before(self, method: str, act: Callable[[str], None]) -> None:
        """Run `act` with the subject before each call of `method`; what it raises, the call raises."""
        self._before[method] = act

    def fail(self, method: str, error: Exception, *, on: str = "", times: int | None = None) -> None:
        """Make calls of `method` whose subject contains `on` raise `error`, `times` times or until healed."""
        left = times

        def act(subject: str) -> None:
            nonlocal left
            if on in subject and left != 0:
                left = None if left is None else left - 1
                raise error

        self.before(method, act)

    def heal(self) -> None:
        """Let every call succeed again; what was recorded stays."""
        self._before.clear()


class MemoryStore:
    """Documents in a dictionary, each beside the digest it was stored with."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.endpoint = "memory"
        self.read_only = False
        self._lock = threading.Lock()
        self._documents: dict[str, tuple[bytes, str]] = {}
        self._written: dict[str, datetime] = {}
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The server's clock."""

    def put(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body`; see the port."""
        self.calls("put", check_key(key))
        _check(key, body, sha256)
        with self._lock:
            stored, _ = self._documents.setdefault(key, (body, sha256))
            self._written.setdefault(key, self.now())
        if stored != body:
            raise AlreadyExists(
                f"{key} holds other bytes in memory", hint="another writer was first; read its document"
            )

    def replace(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` in the place of what is there; see the port."""
        self.calls("replace", check_key(key))
        _check(key, body, sha256)
        with self._lock:
            self._documents[key] = (body, sha256)
            self._written[key] = self.now()

    def get(self, key: str) -> bytes:
        """Return the bytes; see the port."""
        self.calls("get", check_key(key))
        if key not in self._documents:
            raise NotFound(f"{key} is not stored in memory", hint="store it first")
        body, digest = self._documents[key]
        if hashlib.sha256(body).hexdigest() != digest:
            raise Corrupt(f"{key}: the stored bytes do not match their digest", hint="restore the object from a copy")
        return body

    def exists(self, key: str) -> bool:
        """Say whether the key is there."""
        self.calls("exists", check_key(key))
        return key in self._documents

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with `prefix`; see the port."""
        self.calls("list", check_prefix(prefix))
        yield from sorted((key for key in tuple(self._documents) if key.startswith(prefix)), key=str.encode)

    def documents(self, prefix: str) -> Iterator[StoredDocument]:
        """Yield the documents whose keys start with `prefix`; see the port."""
        for key in self.list(prefix):
            yield StoredDocument(key=key, size=len(self._documents[key][0]), written=self._written[key])

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names right below `prefix`; see the port."""
        yield from dict.fromkeys(key.removeprefix(prefix).partition("/")[0] for key in self.list(prefix))

    def delete(self, key: str) -> None:
        """Remove one document."""
        self.calls("delete", check_key(key))
        if self.read_only:
            raise ReadOnlyStorage(
                f"cannot delete {key} in memory: the location is ReadOnly", hint="use another location"
            )
        self._documents.pop(key, None)
        self._written.pop(key, None)

    def where(self, key: str) -> str:
        """Return where the document is; see the port."""
        return f"memory://{schema.SUBDIRECTORY}/{check_key(key)}"

    def tamper(self, key: str, body: bytes) -> None:
        """Replace stored bytes behind the store's back, as a fault in the bucket would; the digest stays."""
        self._documents[key] = (body, self._documents[key][1])


def _check(key: str, body: bytes, sha256: str) -> None:
    if hashlib.sha256(body).hexdigest() != sha256:
        raise Corrupt(f"{key}: the bytes to store do not match their digest", hint="this is a defect; report it")


class MemoryLocations:
    """Storage locations by name, of the Velero in one namespace."""

    def __init__(self, stores: Mapping[str, MemoryStore], *, namespace: str = "velero") -> None:
        self.stores = dict(stores)
        self.namespace = namespace
        self.calls = Calls()
        self.archived: dict[str, frozenset[str]] = {}
        """What Velero's own archive of a location holds, by name."""

    def open(self, location: str, *, namespace: str = "") -> MemoryStore:
        """Return the location's store; see the port."""
        self.calls("open", location)
        if namespace not in {"", self.namespace}:
            raise InvalidSettings(
                f"the backup is in namespace {namespace}, and velero_namespace names {self.namespace}",
                hint=f"set velero_namespace to {namespace}",
            )
        if location not in self.stores:
            raise InvalidSettings(
                f'BackupStorageLocation "{location}" does not exist', hint="create it or name another location"
            )
        return self.stores[location]

    def stored_backups(self, location: str) -> frozenset[str]:
        """Return the names that Velero's own archive holds; see the port."""
        self.calls("stored_backups", location)
        return self.archived.get(location, frozenset())
