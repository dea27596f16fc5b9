"""One run of a Velero Restore, and the ids of its operations.

Velero stores an operation's id and nothing else for the plugin: after any crash the id, the Restore and the stored
capture must be enough to continue. Ids are compact JSON, compressed, in URL-safe base64, behind a readable prefix.
"""

from __future__ import annotations

import base64
import binascii
import shlex
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from velero_vmservice.documents import Document, Sha256
from velero_vmservice.errors import InvalidItem
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VMS_ALONE, Kind, Manifest, ObjectRef, compact_time, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEAL: Final = "seal-v1:"
_REPLAY: Final = "replay-v1:"
_VMS: Final = "vms-v1:"
"""The VMs without an application in a namespace; their id has the form of a replay's, but nothing is created."""
_ID_BYTES: Final = 4 * 1024 * 1024
"""An id that is longer than this when unpacked is not the plugin's."""


class Maker(StrEnum):
    """What made a capture."""

    VELERO = "velero"
    """A Velero Backup, whose name and start time the capture bears."""
    COMMAND = "command"
    """The command `velero-vmservice capture`, with no object of Velero."""

    @property
    def root(self) -> str:
        """First part of the keys of such captures: names of Backups and of our own captures never meet."""
        return "captures" if self is Maker.VELERO else "vadp"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRef:
    """The capture that a restore of the command line reads, by where it lies."""

    maker: Maker
    name: str
    started: str
    """UTC, compact: `20261130T040000Z`."""
    location: str = ""
    """Name of a BackupStorageLocation; '' for the settings' own bucket."""

    def __str__(self) -> str:
        return f"{self.name}/{self.started}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRun:
    """One run of a Velero Restore."""

    name: str
    namespace: str
    uid: str
    started: str
    """UTC, compact, as in `archive.schema`; '' before Velero has set it."""
    backup: str
    namespace_mapping: Mapping[str, str]
    existing_resource_policy: str = ""
    """`none`, `update` or ''."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    of_velero: bool = True
    """Whether Velero has a Restore of that name; otherwise the command line made the run from a backup."""
    resource_modifier: str = ""
    """Name of the ConfigMap of its `spec.resourceModifier`; '' for none."""
    resumed: bool = False
    """Whether the command line continues a restore that Velero began: the restore is the same, the run is new."""

    began: str = ""
    """Start of Velero's own run that this one continues; '' if this is the first, or Velero has none."""
    capture: CaptureRef | None = None
    """The capture that the command line was told to read; None where the name of the backup leads to it."""

    objects: frozenset[ObjectRef] | None = None
    """The captured objects that the command line chose; None for all that the filters of the spec leave in."""
    where: tuple[str, ...] = ()
    """The options beside `--from` that say which capture is meant."""
    options: tuple[str, ...] = ()
    """What else the command was given that made this run, to be given again."""

    @property
    def key(self) -> str:
        """An identity of this run among the runs of the same restore."""
        return f"{self.uid}/{self.started}" if self.resumed else self.uid

    @property
    def source_key(self) -> str:
        """Tell what this restore reads from what others of the process read."""
        return f"{self.uid}/{self.capture or self.backup}"

    @classmethod
    def read(cls, restore: Manifest, *, capture: CaptureRef | None = None) -> RestoreRun:
        """Read a Velero Restore, or one that the command line made of a capture."""
        return cls(
            name=restore.name,
            namespace=restore.namespace,
            uid=restore.uid,
            started=compact_time(restore.status.get("startTimestamp")),
            backup=str(restore.spec.get("backupName", "")),
            namespace_mapping=mapping(restore.spec.get("namespaceMapping")),
            existing_resource_policy=str(restore.spec.get("existingResourcePolicy") or ""),
            annotations=restore.annotations,
            of_velero=bool(restore.uid),
            resource_modifier=_modifier(restore),
            spec=restore.spec,
            capture=capture,
        )

    @property
    def source(self) -> tuple[str, ...]:
        """What names the capture on the command line: `--from` with what belongs to it, or the Backup."""
        return ("--from", str(self.capture), *self.where) if self.capture else (self.backup,)

    @property
    def again(self) -> str:
        """The command that continues this restore: it verifies existing objects and stores results and a report."""
        command = ("velero-vmservice", "restore")
        if self.of_velero:
            return shlex.join((*command, "--resume", self.name, *self.options))
        mappings = (f"{source}:{target}" for source, target in self.namespace_mapping.items())
        mapped = [text for mapping in mappings for text in ("--namespace-mapping", mapping)]
        return shlex.join((*command, *self.source, *mapped, *self.options))

    @property
    def report_command(self) -> str:
        """The command that shows the report of this run; for Velero's own run the Restore has the start time."""
        which = "" if self.of_velero and not self.resumed else f" --started {self.started}"
        return f"velero-vmservice report {shlex.quote(self.name)}{which}"

    @property
    def describe_command(self) -> str:
        """The command that shows the outcome of each operation, stored or not; '' for a run of the command line."""
        if not self.of_velero or self.resumed:
            return ""
        return f"velero restore describe {shlex.quote(self.name)} --details"

    def target(self, namespace: str) -> str:
        """Return the target namespace for objects of a backup's namespace."""
        return self.namespace_mapping.get(namespace, namespace)


def _modifier(restore: Manifest) -> str:
    """Return the ConfigMap with a Restore's resource modifier; Velero ignores references to other kinds."""
    named = mapping(restore.spec.get("resourceModifier"))
    return str(named.get("name") or "") if str(named.get("kind")).lower() == "configmap" else ""


class Replay(Document):
    """One object to replay, the content of its operation id."""

    v: Literal[1] = 1
    plural: str
    namespace: str
    """Namespace in the backup."""
    target: str
    """Namespace to restore into."""
    name: str
    key: str = ""
    """Key of the capture; '' if the backup was made without this plugin."""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Digest of the capture; present exactly if the key is."""
    facts: Sha256 | None = None
    """Digest of the facts of the namespace, from the link."""
    damaged: bool = False
    """Whether the item has a link that cannot be read."""
    vms: tuple[str, ...] | None = None
    """Names of the needed VMs from the item's annotation or its boot order; only carried with the item."""
    item: dict[str, Any] | None = None
    """The backup's own item, sanitized, to replay if the capture is gone; absent if the capture is required."""
    lacking: bool = False
    """Whether Velero's archive may lack captured objects of the namespace; this operation then includes them."""
    unread: bool = False
    """Whether the capture was unreadable when the restore began, so that no store is waited for that denies it."""

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
        hint = "repeat the restore, as this plugin did not make the operation"
        raise InvalidItem(f"the operation id names the kind {self.plural}", hint=hint, goes_on=True)

    @property
    def source(self) -> ObjectRef:
        """The object in the backup."""
        return ObjectRef(self.kind, self.namespace, self.name)

    @property
    def destination(self) -> ObjectRef:
        return ObjectRef(self.kind, self.target, self.name)

    def without_item(self) -> Replay:
        """Return the replay without its item, to remember between polls; the id carries the item each time."""
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


def is_replay(operation_id: str) -> bool:
    """Say whether an operation id is that of a replay, damaged or not."""
    return operation_id.startswith((_REPLAY, _VMS))


def read_replay_id(operation_id: str) -> Replay:
    """Return the content of an operation id; raises `InvalidItem` if it is damaged or not the plugin's."""
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
        hint="repeat the restore, as another release of this plugin made the operation",
        goes_on=True,
    )
