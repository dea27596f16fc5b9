"""Documents written once and read back: the first writer wins, and later writers get what it stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from velero_vmservice import documents
from velero_vmservice.documents import Document
from velero_vmservice.errors import AlreadyExists, Corrupt, InvalidSettings

if TYPE_CHECKING:
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.archive.store.port import ObjectStore

DocumentT = TypeVar("DocumentT", bound=Document)


def write_once(store: ObjectStore, key: str, document: DocumentT) -> tuple[DocumentT, str]:
    """Store a document durably; return what is stored under the key and its SHA-256.

    Where another writer was first (Velero calls again, once per API version, or a second sidecar runs), what it
    stored is returned.
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

    Schedules fire in the same second everywhere, and a Backup has its UID from one cluster only. Ask while the
    backup runs, never at restore: a Backup that was synced to another cluster has another UID there.
    """
    if backup_uid and backup_uid != run.uid:
        raise InvalidSettings(
            f"{key} belongs to another Backup of that name and start time (UID {backup_uid}, not {run.uid}):"
            " another cluster writes under the same prefix",
            hint="give each Supervisor a prefix of its own, in its BackupStorageLocation or as bucket.prefix in the"
            " plugin's settings",
        )


def read(store: ObjectStore, key: str, model: type[DocumentT], *, sha256: str = "") -> DocumentT:
    """Read a document; raises `NotFound`, or `Corrupt` if it is not the one that `sha256` was taken of."""
    body = store.get(key)
    if sha256 and documents.digest(body) != sha256:
        raise Corrupt(
            f"{key} is not the document that the backup refers to (its SHA-256 differs)",
            hint="it was replaced after the backup; restore from another backup",
            goes_on=True,
        )
    return documents.parse(model, body, key=key)
