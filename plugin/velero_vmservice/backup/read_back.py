"""A stored document as the seal reads it back: it must be there, unchanged, and about the object of its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice import documents
from velero_vmservice.archive import backup_scope, restorability, schema
from velero_vmservice.archive.facts import NamespaceFacts
from velero_vmservice.archive.schema import Capture
from velero_vmservice.archive.store import check_capture, check_facts, check_writer
from velero_vmservice.errors import Corrupt, NotFound

if TYPE_CHECKING:
    from velero_vmservice.archive.findings import Finding
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.kube.manifest import ObjectRef


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A document that passed: a capture, or the facts of a namespace as far as the seal needs them."""

    key: str
    sha256: str
    document: Capture | NamespaceFacts
    findings: tuple[Finding, ...] = ()
    """About a namespace as a whole."""


def read_back(store: ObjectStore, run: BackupRun, key: str, sha256: str) -> ReadBack:
    """Read one document of a run that is under way; raises `Corrupt` if it is gone or not what was captured.

    `sha256` is what it was written with, '' if another process wrote it. Raises `InvalidSettings` if another cluster
    wrote it.
    """
    document, digest = read_whole(store, run, key, sha256)
    if isinstance(document, NamespaceFacts):
        check_writer(run, document.backup_uid, key=key)
        return ReadBack(key, digest, backup_scope.reduced(document), restorability.namespace_findings(document))
    check_writer(run, document.provenance.backup_uid, key=key)
    return ReadBack(key, digest, document)


def read_whole(store: ObjectStore, run: BackupRun, key: str, sha256: str = "") -> tuple[Capture | NamespaceFacts, str]:
    """Return one document of a run, and its digest; raises `Corrupt` if it is gone, or is not what it should be.

    It has to have the digest, where that is known, and to say of itself that it is about the object, or the namespace,
    and the run that its key names.
    """
    body = _written(store, key, sha256)
    digest = documents.digest(body)
    if key.startswith(f"{run.prefix}namespaces/"):
        facts = documents.parse(NamespaceFacts, body, key=key)
        check_facts(facts, run.namespace_of(key), run)
        return facts, digest
    capture = documents.parse(Capture, body, key=key)
    check_capture(capture, _captured_object(key), run)
    return capture, digest


def _written(store: ObjectStore, key: str, sha256: str) -> bytes:
    try:
        body = store.get(key)
    except NotFound as error:
        raise Corrupt(
            f"{key} was captured and is gone",
            hint="check the bucket's lifecycle rules and who can delete from it, then repeat the backup",
        ) from error
    if sha256 and documents.digest(body) != sha256:
        raise Corrupt(
            f"{key} is not what was captured (its SHA-256 differs)",
            hint="find out who replaced it while the backup ran, then repeat the backup",
        )
    return body


def _captured_object(key: str) -> ObjectRef:
    ref = schema.captured_object(key)
    if ref is None:
        raise Corrupt(
            f"{key} is among the captured objects and is not the key of one",
            hint="find out who stored it while the backup ran, remove it, then repeat the backup",
        )
    return ref
