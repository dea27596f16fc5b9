"""What the archive needs of storage: documents written once and read back, under keys that name one document.

The first writer wins, and later writers get its document. A digest proves that the bytes are the expected ones, but not
which object they describe: the document's own fields are checked for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from velero_vmservice import documents
from velero_vmservice.archive.facts import NamespaceFacts
from velero_vmservice.documents import Document
from velero_vmservice.errors import AlreadyExists, Corrupt, InvalidItem, InvalidSettings
from velero_vmservice.kube.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from velero_vmservice.archive.schema import BackupRun, Capture, Seal
    from velero_vmservice.kube.manifest import ObjectRef

DocumentT = TypeVar("DocumentT", bound=Document)

READERS: Final = 8
"""Documents read side by side: more than half of a read is waiting for the store."""
_REPLACED: Final = "restore from another backup: the document was replaced after this one was made"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """One document in a list."""

    key: str
    size: int
    """In bytes."""
    written: datetime
    """The time of its last write, by the server's clock."""


class ObjectStore(Protocol):
    """Storage of small documents: write-once, except for documents derived from others.

    Keys are `/`-separated and relative to the store's own prefix. Every method raises `Unavailable` when the
    store is down or slow, `Forbidden` when it denies, `InvalidSettings` when it does not exist (no such bucket,
    not S3, an unknown certificate authority); the message names bucket and key. A key with a segment that is empty, `.`
    or `..`, or with a character that is not printable, MUST be refused with `InvalidItem` before a server is asked.
    """

    @property
    def endpoint(self) -> str:
        """The server, as the location or the settings name it; two servers may have buckets of the same name."""

    @property
    def read_only(self) -> bool:
        """Whether the location is ReadOnly, so that writing and deleting raise `ReadOnlyStorage`."""

    def put(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` durably before returning.

        Storing the same bytes again is success. MUST raise `AlreadyExists` when the key holds other bytes and
        leave them untouched, also when several writers race; `Corrupt`, and store nothing, when `sha256` (hex)
        is not that of `body`.
        """

    def replace(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` durably in place of the key's document; a concurrent reader gets the old one or the new one.

        Of several writers the last one wins. Raises `Corrupt` as `put` does. Only for documents that can be made again.
        """

    def get(self, key: str) -> bytes:
        """Return the bytes; MUST raise `NotFound`, or `Corrupt` if they differ from the digest stored with them."""

    def exists(self, key: str) -> bool:
        """Say whether the key is there, without reading it."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield every key that starts with `prefix`, in the order of their UTF-8 bytes, page by page."""

    def documents(self, prefix: str) -> Iterator[StoredDocument]:
        """Yield every document whose key starts with `prefix`, in the order of `list`."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names right below `prefix`, which ends in a slash, each once; the server groups the keys.

        The name of a document right there is one of them.
        """

    def delete(self, key: str) -> None:
        """Remove one document; a missing one is success."""

    def where(self, key: str) -> str:
        """Return the full address of the document, in the form that other tools take. Sends no request."""


class StorageLocations(Protocol):
    """Opens the store that belongs to a backup."""

    def open(self, location: str, *, namespace: str = "") -> ObjectStore:
        """Return the store of the BackupStorageLocation `location` ('' is the settings' own bucket).

        `namespace` is the Backup's, '' if there is none. MUST notice within seconds when the location or its credential
        changed. Raises `InvalidSettings` with the remedy when the settings name no bucket and the location does not
        exist or is in another namespace than they say, and `ForeignStorage` when it is not S3.
        """

    def stored_backups(self, location: str) -> frozenset[str]:
        """Return the names of backups in Velero's own archive of the BackupStorageLocation.

        They include backups of other clusters that write there, and backups that are being uploaded. The bucket of the
        location is listed, even if `open` returns another bucket. Raises as `open` does, and what a list raises.
        """


def write_once(store: ObjectStore, key: str, document: DocumentT) -> tuple[DocumentT, str]:
    """Store a document durably; return what is stored under the key and its SHA-256.

    If another writer was first (Velero calls again, once per API version, or a second sidecar runs), its document is
    returned.
    """
    body = documents.canonical(document)
    sha256 = documents.digest(body)
    try:
        store.put(key, body, sha256=sha256)
    except AlreadyExists:
        body = store.get(key)
        return documents.parse(type(document), body, key=key), documents.digest(body)
    return document, sha256


def check_writer(run: BackupRun, backup_uid: str, *, key: str) -> None:
    """Raise `InvalidSettings` if a document below the backup's own prefix was written for another Backup.

    Schedules fire in the same second everywhere, and a Backup's UID is unique to one cluster. Check while the backup
    runs, never at restore: a Backup that was synced to another cluster has another UID there.
    """
    if backup_uid and backup_uid != run.uid:
        raise InvalidSettings(
            f"{key} belongs to another Backup of that name and start time (UID {backup_uid}, not {run.uid}):"
            " another cluster writes under the same prefix",
            hint="give each Supervisor a prefix of its own, in its BackupStorageLocation or as bucket.prefix in the"
            " plugin's settings",
        )


def read_document(store: ObjectStore, key: str, model: type[DocumentT], *, sha256: str = "") -> DocumentT:
    """Read a document; raises `NotFound`, or `Corrupt` if it does not match `sha256`."""
    body = store.get(key)
    if sha256 and documents.digest(body) != sha256:
        raise Corrupt(
            f"{key} is not the document that the backup refers to (its SHA-256 differs)",
            hint="restore from another backup: the document was replaced after this one was made",
            goes_on=True,
        )
    return documents.parse(model, body, key=key)


def read_facts(store: ObjectStore, backup: BackupRun, namespace: str, *, sha256: str = "") -> NamespaceFacts:
    """Read the facts of a namespace; raises `NotFound`, or `Corrupt` if they are others than `sha256` or a run's."""
    facts = read_document(store, backup.namespace_key(namespace), NamespaceFacts, sha256=sha256)
    check_facts(facts, namespace, backup)
    return facts


_NO_NAMES: Final = frozenset({"", ".", ".."})
"""A server or proxy may resolve them like a file system, and reach another document."""


def is_key(key: str) -> bool:
    """Say whether a store accepts the key: no segment is empty, `.` or `..`, and every character is printable."""
    return _NO_NAMES.isdisjoint(key.split("/")) and key.isprintable()


def check_key(key: str) -> str:
    """Return the key; raises `InvalidItem` if it is not valid."""
    if not is_key(key):
        raise _refused(key)
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix of a list, whose last segment may be empty or cut; raises `InvalidItem` as for a key."""
    *whole, _ = prefix.split("/")
    if not _NO_NAMES.isdisjoint(whole) or not prefix.isprintable():
        raise _refused(prefix)
    return prefix


def _refused(key: str) -> InvalidItem:
    return InvalidItem(
        f"{key[:200]!r} is not the key of a document: a segment is empty, '.' or '..', or a character is not printable",
        hint="check who changed a name in the backup, its link or the operation by hand",
    )


def check_manifest(content: object, ref: ObjectRef, *, where: str) -> Manifest:
    """Return the manifest; raises `Corrupt` with the differences if it is not of the object `ref`."""
    try:
        manifest = Manifest.read(content)
    except InvalidItem as error:
        raise Corrupt(f"{where}: {error.message}", hint=_REPLACED, goes_on=True) from error
    _check(
        where,
        ("manifest's API group", manifest.group, ref.kind.group),
        ("manifest's kind", manifest.kind_name, ref.kind.name),
        ("manifest's namespace", manifest.namespace, ref.namespace),
        ("manifest's name", manifest.name, ref.name),
    )
    return manifest


def check_capture(capture: Capture, ref: ObjectRef, backup: BackupRun) -> Manifest:
    """Return the captured manifest; raises `Corrupt` if the capture is not of this object in this run of the Backup."""
    where = backup.object_key(ref)
    _check(
        where,
        ("kind", capture.kind, ref.kind.name),
        ("namespace", capture.namespace, ref.namespace),
        ("name", capture.name, ref.name),
        ("Backup", capture.provenance.backup, backup.name),
        ("Backup's start time", capture.provenance.backup_started, backup.started),
    )
    return check_manifest(capture.manifest, ref, where=where)


def check_facts(facts: NamespaceFacts, namespace: str, backup: BackupRun) -> None:
    """Raise `Corrupt` if facts name another namespace, or another run of the Backup."""
    _check(
        backup.namespace_key(namespace),
        ("namespace", facts.namespace, namespace),
        ("Backup", facts.backup or backup.name, backup.name),
        ("Backup's start time", facts.backup_started or backup.started, backup.started),
    )


def check_seal(seal: Seal, backup: BackupRun) -> None:
    """Raise `Corrupt` if a seal is not of this run of the Backup."""
    _check(
        backup.seal_key,
        ("Backup", seal.backup, backup.name),
        ("Backup's start time", seal.backup_started, backup.started),
    )


def _check(where: str, *pairs: tuple[str, str, str]) -> None:
    if differs := list(_different(pairs)):
        raise Corrupt(
            f"{where} is about another object or backup: {' and '.join(differs)}", hint=_REPLACED, goes_on=True
        )


def _different(pairs: Iterable[tuple[str, str, str]]) -> Iterable[str]:
    return (f"its {what} is {actual!r}, not {wanted!r}" for what, actual, wanted in pairs if actual != wanted)
