"""What the archive needs of storage, and what every implementation MUST hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class ObjectStore(Protocol):
    """Storage of small documents: write-once, except for what is derived from them.

    Keys are `/`-separated and relative to the store's own prefix. Every method raises `Unavailable` when the
    store is down or slow, `Forbidden` when it denies, `InvalidSettings` when it does not exist (no such bucket,
    not S3, an unknown certificate authority); the message names bucket and key. A key with a segment that is empty, `.`
    or `..`, or with a character that is not printable, MUST be refused with `InvalidItem` before a server is asked.
    """

    def put(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` durably before returning.

        Storing the same bytes again is success. MUST raise `AlreadyExists` when the key holds other bytes and
        leave them untouched, also when several writers race; `Corrupt`, and store nothing, when `sha256` (hex)
        is not that of `body`.
        """

    def replace(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` durably in place of what the key holds; a concurrent reader gets the old or the new document.

        Of several writers the last one wins. Raises `Corrupt` as `put` does. Only for documents that can be made again.
        """

    def get(self, key: str) -> bytes:
        """Return the bytes; MUST raise `NotFound`, or `Corrupt` if they differ from the digest stored with them."""

    def exists(self, key: str) -> bool:
        """Say whether the key is there, without reading it."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield every key that starts with `prefix`, in the order of their UTF-8 bytes, page by page."""

    def delete(self, key: str) -> None:
        """Remove one document; a missing one is success."""

    def where(self, key: str) -> str:
        """Return where the document lies, for a person: whole, as other tools take it. Sends no request."""


class StorageLocations(Protocol):
    """Opens the store that belongs to a backup."""

    def open(self, location: str, *, namespace: str = "") -> ObjectStore:
        """Return the store of the BackupStorageLocation `location` ('' is the settings' own bucket).

        `namespace` is the Backup's, '' if there is none. MUST notice within seconds when the location or its credential
        changed. Raises `InvalidSettings` with the remedy when the settings name no bucket and the location does not
        exist or lies in another namespace than they say, and `ForeignStorage` when it is not S3.
        """
