"""Operation ids, and what the id of a replay carries.

Velero stores an operation's id and nothing else for us: after any crash the id, the Restore and the stored
capture must be enough to go on. Ids are compact JSON, compressed, in URL-safe base64, behind a readable prefix.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from velero_vmservice.documents import Document, Sha256
from velero_vmservice.errors import InvalidItem
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VMS_ALONE, Kind, ObjectRef

_SEAL: Final = "seal-v1:"
_REPLAY: Final = "replay-v1:"
_VMS: Final = "vms-v1:"
"""The VMs without an application of a namespace: packed like a replay, of nothing that is created."""
_ID_BYTES: Final = 4 * 1024 * 1024
"""An id that grows beyond this when unpacked is not one of ours."""


class Replay(Document):
    """One object to replay, as its operation id carries it."""

    v: Literal[1] = 1
    plural: str
    namespace: str
    """Namespace in the backup."""
    target: str
    """Namespace to restore into."""
    name: str
    key: str = ""
    """Key of the capture; '' when the backup was taken without this plugin."""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Digest of the capture; there if, and only if, the key is."""
    facts: Sha256 | None = None
    """Digest of the facts of the namespace, as the link has it."""
    damaged: bool = False
    """Whether the item has a link that cannot be read."""
    vms: tuple[str, ...] | None = None
    """Names of the needed VMs, as the item's annotation or its boot order tells them; they go with the item."""
    item: dict[str, Any] | None = None
    """The backup's own item, sanitised: what is replayed if the capture is gone; not carried where it is required."""
    lacking: bool = False
    """Whether Velero's archive may lack captured objects of the namespace, which this operation then stands for."""
    unread: bool = False
    """Whether the capture could not be read when the restore began: a store that still denies it is not waited for."""

    @model_validator(mode="after")
    def _is_checkable(self) -> Replay:
        if bool(self.key) != bool(self.sha256):
            raise ValueError("a capture is read by its key and its digest, never by one of them")
        return self

    @property
    def kind(self) -> Kind:
        """The kind; raises `InvalidItem` for any but our two."""
        for kind in (*CAPTURED_KINDS, VMS_ALONE):
            if kind.plural == self.plural:
                return kind
        raise InvalidItem(f"the operation id names the kind {self.plural}", hint="it was not made by this plugin")

    @property
    def source(self) -> ObjectRef:
        """The object as it was backed up."""
        return ObjectRef(self.kind, self.namespace, self.name)

    @property
    def destination(self) -> ObjectRef:
        return ObjectRef(self.kind, self.target, self.name)

    def without_item(self) -> Replay:
        """Return what is worth remembering between two polls: the operation id carries the item again each time."""
        return self.model_copy(update={"vms": None, "item": None})


def seal_id(prefix: str) -> str:
    """Return the one operation id that every captured item of a backup shares."""
    return f"{_SEAL}{prefix}"


def read_seal_id(operation_id: str) -> str:
    """Return the capture's prefix; raises `InvalidItem` for another id."""
    if not operation_id.startswith(_SEAL):
        raise _not_ours(operation_id)
    return operation_id.removeprefix(_SEAL)


def replay_id(replay: Replay) -> str:
    """Return the operation id of one object's replay."""
    packed = zlib.compress(replay.model_dump_json(exclude_defaults=True).encode(), level=9)
    prefix = _VMS if replay.kind == VMS_ALONE else _REPLAY
    return prefix + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_replay_id(operation_id: str) -> Replay:
    """Return what an operation id carries; raises `InvalidItem` for an id that is damaged or not ours."""
    prefix = next((known for known in (_REPLAY, _VMS) if operation_id.startswith(known)), "")
    if not prefix:
        raise _not_ours(operation_id)
    text = operation_id.removeprefix(prefix)
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        unpack = zlib.decompressobj()
        body = unpack.decompress(packed, _ID_BYTES)
        replay = Replay.model_validate_json(body)
    except (ValueError, binascii.Error, zlib.error, ValidationError) as error:
        raise _not_ours(operation_id) from error
    if (replay.kind == VMS_ALONE) != (prefix == _VMS):
        raise _not_ours(operation_id)
    return replay


def _not_ours(operation_id: str) -> InvalidItem:
    return InvalidItem(
        f"the operation id {operation_id[:40]!r} cannot be read",
        hint="it was made by another release of this plugin; repeat the restore",
        goes_on=True,
    )
