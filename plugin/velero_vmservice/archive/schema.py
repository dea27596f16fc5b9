"""The archive: the keys of documents in the bucket, their content, how they are written and digested.

Every document is written once. It is canonical JSON (sorted keys, no spaces, UTF-8), so equal content has equal
bytes. Its SHA-256 is kept with Velero's item and with the stored object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from velero_vmservice.archive.backup_scope import NotCaptured
from velero_vmservice.archive.findings import ApplicationVerdict, Finding
from velero_vmservice.archive.topology import Topology
from velero_vmservice.documents import Document, Dropped, Name, Sha256
from velero_vmservice.errors import InvalidItem
from velero_vmservice.kube.manifest import CAPTURED_KINDS, Kind, Manifest, ObjectRef, compact_time, mapping
from velero_vmservice.velero.runs import Maker

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBDIRECTORY: Final = "plugins/vmservice"
"""Below a BackupStorageLocation's prefix: the one directory that Velero's validation leaves to plugins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRun:
    """One run of a Velero Backup: its name and start time name the capture, in any cluster it is synced to."""

    name: str
    namespace: str
    uid: str
    started: str
    """UTC, compact: `20261122T193112Z`."""
    location: str
    """Name of its BackupStorageLocation."""
    annotations: Mapping[str, str]
    spec: Mapping[str, Any] = field(default_factory=dict)
    object_gone: bool = False
    """Whether the cluster no longer has the Backup, so that UID, annotations and spec are unknown."""
    lacks_items: bool = False
    """Whether Velero's archive lacks items that an action refused, or may lack them, if the Backup is gone."""
    maker: Maker = Maker.VELERO
    """A run of `velero-vmservice capture` is described in the terms of a Backup, which it does not have."""

    @classmethod
    def read(cls, backup: Manifest) -> BackupRun:
        """Read a Velero Backup; raises `InvalidItem` if it has not started."""
        return cls(
            name=backup.name,
            namespace=backup.namespace,
            uid=backup.uid,
            started=start_time(backup),
            location=str(backup.spec.get("storageLocation", "")),
            annotations=backup.annotations,
            spec=backup.spec,
            lacks_items=bool(mapping(backup.content.get("status")).get("errors")),
        )

    @property
    def prefix(self) -> str:
        """The prefix of all keys of this capture, e.g. `captures/<backup>/<start time>/`."""
        return captures_of(self.name, self.started, maker=self.maker)

    @property
    def log_id(self) -> str:
        """The id of this run in every line of the log: its prefix in the bucket."""
        return self.prefix.rstrip("/")

    def object_key(self, ref: ObjectRef) -> str:
        """Return the key of one object's capture."""
        return f"{self.prefix}objects/{ref.kind.plural}/{ref.namespace}/{ref.name}.json"

    def namespace_key(self, namespace: str) -> str:
        """Return the key of a namespace's facts."""
        return f"{self.prefix}namespaces/{namespace}.json"

    def namespace_of(self, key: str) -> str:
        """Return the namespace whose facts have this key."""
        return key.removeprefix(f"{self.prefix}namespaces/").removesuffix(".json")

    @property
    def seal_key(self) -> str:
        """Return the key of the seal, which is written last."""
        return f"{self.prefix}capture.json"

    def __str__(self) -> str:
        what = "Backup" if self.maker is Maker.VELERO else "capture"
        return f"{what} {self.name} of {self.started}"


def captures_of(name: str, started: str, *, maker: Maker = Maker.VELERO) -> str:
    """Return the prefix of a run's captures."""
    return f"{maker.root}/{name}/{started}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKey:
    """The parts of a captured object's key: the object, and the run."""

    root: str
    """`captures` or `vadp`, after what made the capture."""
    backup: str
    started: str
    plural: str
    namespace: str
    name: str


_OBJECT_KEY: Final = re.compile(
    "(?P<root>captures|vadp)/(?P<backup>[^/]+)/(?P<started>[^/]+)/objects/(?P<plural>[^/]+)/(?P<namespace>[^/]+)/(?P<name>[^/]+)[.]json"
)


def read_object_key(key: str) -> ObjectKey | None:
    """Read the key of a captured object; None if it is another kind of key."""
    match = _OBJECT_KEY.fullmatch(key)
    return ObjectKey(**match.groupdict()) if match else None


def captured_object(key: str) -> ObjectRef | None:
    """Return the object whose capture has this key; None if it has none, or is of an unknown kind."""
    object_key = read_object_key(key)
    if object_key is None:
        return None
    kind = next((kind for kind in CAPTURED_KINDS if kind.plural == object_key.plural), None)
    return ObjectRef(kind, object_key.namespace, object_key.name) if kind else None


def captured_kind(manifest: Manifest) -> Kind:
    """Return which of our two kinds the object is; raises `InvalidItem` for another."""
    for kind in CAPTURED_KINDS:
        if (kind.group, kind.name) == (manifest.group, manifest.kind_name):
            return kind
    raise InvalidItem(
        f"{manifest.kind_name} {manifest.namespace}/{manifest.name} is neither a VirtualMachineService nor a"
        " VirtualMachineGroup",
        hint="report this as a defect of the plugin or of Velero's selection",
    )


def start_time(started: Manifest) -> str:
    """Return the start time of a Backup in the archive's spelling; raises `InvalidItem` if it has none."""
    text = compact_time(started.status.get("startTimestamp"))
    if not text:
        raise InvalidItem(
            f"{started.kind_name} {started.name} has no start time", hint="wait until Velero has started it"
        )
    return text


def moment(started: str) -> datetime:
    """Return a start time as a moment."""
    return datetime.strptime(started, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def is_time(segment: str) -> bool:
    """Say whether a segment of a key is a start time: anything may lie in a bucket."""
    try:
        moment(segment)
    except ValueError:
        return False
    return len(segment) == len("20261122T193112Z")  # strptime takes single digits too


class Provenance(Document):
    """The origin of a capture."""

    backup: str
    backup_uid: str = ""
    backup_started: str
    captured_at: str
    source_uid: str = ""
    source_version: str = ""
    """The API version in which the manifest was read."""
    plugin: str
    """Version of this plugin."""


class SavedStatus(Document):
    """The object's state, kept beside the manifest, which has none."""

    power_state: str = ""
    cluster_ip: str = ""
    load_balancer: tuple[str, ...] = ()
    """The addresses that clients used."""


class Capture(Document):
    """The capture of one VirtualMachineService or VirtualMachineGroup."""

    schema_version: Literal[1] = 1
    kind: str
    namespace: str
    name: str
    manifest: dict[str, Any]
    dropped: tuple[Dropped, ...] = ()
    observed: SavedStatus = SavedStatus()
    topology: Topology = Topology()
    findings: tuple[Finding, ...] = ()
    provenance: Provenance


class SealedObject(Document):
    """One document of a sealed capture."""

    key: str
    sha256: Sha256


class Vadp(Document):
    """The VADP job that saves the VMs, from the Backup's annotations."""

    job: str = ""
    restore_point: str = ""
    machines: dict[str, str] = {}
    """`namespace/name` of each VM of the backup, and its backup version; the job has to save them."""


class Taken(Document):
    """What `velero-vmservice capture` was asked for."""

    namespaces: tuple[str, ...] = ()
    """The namespaces that were looked at."""
    selector: str = ""
    """The label selector, as kubectl writes it."""
    tags: dict[str, str] = {}


class Seal(Document):
    """The index of a capture; a capture with a seal is complete."""

    schema_version: Literal[1] = 1
    backup: str
    backup_uid: str = ""
    backup_started: str
    sealed_at: str
    plugin: str
    objects: tuple[SealedObject, ...] = ()
    namespaces: tuple[SealedObject, ...] = ()
    vadp: Vadp = Vadp()
    without_application: tuple[Name, ...] = ()
    """`namespace/name` of each VM of the backup that belongs to no captured object."""
    not_captured: tuple[NotCaptured, ...] = ()
    """Groups and services that VMs of the backup belong to and that it does not capture."""
    applications: tuple[ApplicationVerdict, ...] | None = None
    """Whether each application could be restored; None in a seal of an earlier release, which does not say."""
    withheld: dict[str, int] = {}
    """The number of objects of each resource that were left to the Supervisor."""
    not_backed_up: tuple[str, ...] = ()
    """The withheld resources that users declare; no controller creates these objects again."""
    withheld_complete: bool = True
    """False if the plugin restarted during the backup, so that earlier counts are missing."""
    cluster_id: Name = ""
    """UID of namespace kube-system of the cluster that was captured; '' where it could not be read, and in a seal of an
    earlier release."""
    cluster: Name = ""
    """Host of that cluster's API server, as the plugin reached it."""
    taken: Taken | None = None
    """None for the capture of a Velero Backup, whose object says what was asked for."""

    @property
    def digests(self) -> Mapping[str, Sha256]:
        """The digest of each document beside the seal, by its key."""
        return {sealed.key: sealed.sha256 for sealed in (*self.objects, *self.namespaces)}


def observed(manifest: Manifest) -> SavedStatus:
    """Read the values that sanitizing removes and that a user may need later."""
    ingress = mapping(manifest.status.get("loadBalancer")).get("ingress") or []
    return SavedStatus(
        power_state=str(manifest.spec.get("powerState", "")),
        cluster_ip=str(manifest.spec.get("clusterIp", "")),
        load_balancer=tuple(
            str(entry.get("ip") or entry.get("hostname") or "") for entry in ingress if isinstance(entry, dict)
        ),
    )
