"""Check that a stored document is about the object that it is read for, by what it says of itself.

A digest proves that the bytes are the ones referred to; it does not prove which object they describe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.errors import Corrupt, InvalidItem
from velero_vmservice.kube.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.schema import BackupRun, Capture, Seal
    from velero_vmservice.kube.manifest import ObjectRef


def check_manifest(content: object, ref: ObjectRef, *, where: str) -> Manifest:
    """Return the manifest; raises `Corrupt`, naming what differs, if it is not one of the object `ref`."""
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
    """Raise `Corrupt` if facts are not of this namespace in this run of the Backup, as far as they say."""
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


_REPLACED = "the document was replaced after the backup; restore from another backup"
