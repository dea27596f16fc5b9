"""The link: the annotation on an item in Velero's archive that names the item's capture.

A restore trusts Velero's archive, so the link carries the digest of each document that it names. It is bound to its
item and to the run of the Backup: a user with the right to annotate an object must not choose what is replayed for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, ValidationError

from velero_vmservice.archive.schema import read_object_key
from velero_vmservice.documents import Document, Name, Sha256, canonical
from velero_vmservice.errors import InvalidItem
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.kube.manifest import Manifest, ObjectRef

ANNOTATION_BYTES: Final = 32 * 1024
"""Limit for the annotation; Kubernetes allows 256 KiB for all annotations of an object."""


class Link(Document):
    """The content of the annotation."""

    v: Literal[1] = 1
    key: Annotated[str, Field(min_length=1)]
    sha256: Sha256
    facts: Sha256 | None = None
    """Digest of the facts of the item's namespace; None in a link of an earlier release."""
    vms: tuple[Name, ...] = ()
    vms_omitted: int = 0
    """The number of names that did not fit; the capture has all names."""

    def annotation(self) -> str:
        """Return the annotation's value, at most `ANNOTATION_BYTES` long."""
        names = list(self.vms)
        while True:
            shortened = {"vms": tuple(names), "vms_omitted": len(self.vms) - len(names)}
            text = canonical(self.model_copy(update=shortened)).decode()
            if not names or len(text.encode()) <= ANNOTATION_BYTES:
                return text
            names = names[: len(names) // 2]


def read_link(item: Manifest) -> Link | None:
    """Return an item's link, or None if it has none; raises `InvalidItem` if it cannot be read."""
    text = item.annotations.get(marks.CAPTURE_ANNOTATION)
    if text is None:
        return None
    try:
        return Link.model_validate_json(text)
    except ValidationError as error:
        raise InvalidItem(
            f"the annotation {marks.CAPTURE_ANNOTATION} of {item.kind_name} {item.namespace}/{item.name} is damaged",
            hint="check who annotated the object, or changed its item in Velero's archive",
        ) from error


def check_leads_home(key: str, ref: ObjectRef, backup: BackupRun) -> None:
    """Raise `InvalidItem` with the differences if a key is not that of an object's capture in this run of the Backup.

    `ref` names the object as it was backed up.
    """
    if key == backup.object_key(ref):
        return
    object_key = read_object_key(key)
    if object_key is None:
        differs = f"which is not the key of a captured object of {backup}"
    else:
        pairs = (
            ("root", object_key.root, backup.maker.root),
            ("Backup", object_key.backup, backup.name),
            ("start time", object_key.started, backup.started),
            ("resource", object_key.plural, ref.kind.plural),
            ("namespace", object_key.namespace, ref.namespace),
            ("name", object_key.name, ref.name),
        )
        differs = " and ".join(f"{what} {actual}, not {wanted}" for what, actual, wanted in pairs if actual != wanted)
        differs = f"which has the {differs}"
    raise InvalidItem(
        f"the link of {ref} leads to {key}, {differs}",
        hint=f"check who wrote the annotation {marks.CAPTURE_ANNOTATION}: it is not from this backup",
    )
