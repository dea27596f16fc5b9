"""A capture without Velero: the groups and services of namespaces, captured and sealed while a VADP job runs.

It is Velero's capture with another caller. What a Backup's spec and annotations say there, the command's options say
here, so that facts, seal, plan, restore and report are the same code.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog

from velero_vmservice.archive.backup_scope import vms_by_filters
from velero_vmservice.archive.restore_point import read_seal
from velero_vmservice.archive.schema import BackupRun, Taken
from velero_vmservice.backup.capture import CapturedObject, LeftOut, left_out_reason
from velero_vmservice.backup.namespace_facts import ListedObjects
from velero_vmservice.errors import InvalidSettings, NotRestorable
from velero_vmservice.kube.manifest import (
    BACKUP_STORAGE_LOCATION,
    CAPTURED_KINDS,
    VIRTUAL_MACHINE,
    compact_time,
)
from velero_vmservice.kube.names import matches
from velero_vmservice.supervisor.named_namespace import demand_namespace
from velero_vmservice.velero.runs import CaptureRef, Maker
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.schema import Capture, Seal
    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.backup.capture import ObjectCapture
    from velero_vmservice.backup.namespace_facts import NamespaceFactsOnce
    from velero_vmservice.backup.sealing import Sealing
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest

log = structlog.get_logger()

WRITERS: Final = 8
"""Objects captured side by side: most of a capture is waiting for the store."""
UNNAMED: Final = "capture"
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME: Final = 200
_DIGEST_LENGTH: Final = 8
_DIGESTED: Final = re.compile(f".*-[0-9a-f]{{{_DIGEST_LENGTH}}}")
"""A name that might be one with a digest gets one too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """What to capture, and which VADP job saves the VMs."""

    namespaces: tuple[str, ...] = ()
    """Empty for every namespace that has VMs, groups or services."""
    selector: Mapping[str, Any] = field(default_factory=dict)
    """A LabelSelector; empty for every object."""
    selector_text: str = ""
    """The selector as it was written."""
    job: str = ""
    restore_point: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    location: str = ""
    """Name of a BackupStorageLocation; '' for the settings' own bucket, or else Velero's default location."""
    allow_empty: bool = False
    """Whether a capture without any group, service and VM is sealed too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobVm:
    """A VM that belongs in the VADP job of a capture."""

    namespace: str
    name: str
    backup_version: str = ""
    """As VM Operator recorded it last; '' where it never has."""
    applications: tuple[str, ...] = ()
    """Its groups and services, as `Kind name`; none for a VM without an application."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCapture:
    """A capture that is sealed and was read back."""

    ref: CaptureRef
    where: str
    """Where its seal lies, as a person reads it."""
    seal: Seal
    objects: Sequence[CapturedObject]
    left_out: Sequence[LeftOut]
    vms: Sequence[JobVm]
    """The VMs that belong in the same VADP job, by namespace and name."""


class Capturing:
    """Takes captures without Velero."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        locations: StorageLocations,
        clock: Clock,
        capture: ObjectCapture,
        namespaces: NamespaceFactsOnce,
        sealing: Sealing,
        velero_namespace: str,
        own_bucket: bool,
    ) -> None:
        self._cluster = cluster
        self._locations = locations
        self._clock = clock
        self._capture = capture
        self._namespaces = namespaces
        self._sealing = sealing
        self._velero_namespace = velero_namespace
        self._own_bucket = own_bucket

    def take(self, request: CaptureRequest) -> TakenCapture:
        """Capture, seal and read back what was asked for; nothing is told before, so that no reader can stop it.

        Nothing is deleted or changed if it fails half-way: a capture without a seal is never restored.
        Raises `NotFound` for a namespace that does not exist, `NotRestorable` where there is nothing to capture, before
        anything is stored, `InvalidSettings` where there is no bucket, and what cluster and store raise.
        """
        run = self._begun(request)
        listed = self._listed(request)
        namespaces = self._named(request, listed)
        observed = [self._namespaces.observe(run, name, ListedObjects.of(name, listed)) for name in namespaces]
        manifests = [manifest for manifest in listed if matches(request.selector, manifest.labels)]
        if not request.allow_empty and _is_empty(run, observed, manifests):
            raise _nothing(request)
        self._sealing.asked_for(
            run, Taken(namespaces=namespaces, selector=request.selector_text, tags=dict(sorted(request.tags.items())))
        )
        for facts in observed:
            self._sealing.captured(run, run.namespace_key(facts.namespace), self._namespaces.keep(run, facts))
        captured, left_out = list[CapturedObject](), list[LeftOut]()
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="capture") as writers:
            for outcome in writers.map(lambda manifest: self._capture.of(manifest, run), manifests):
                if isinstance(outcome, LeftOut):
                    left_out.append(outcome)
                else:
                    captured.append(outcome)
        self._sealing.whole(run)
        store = self._locations.open(run.location, namespace=run.namespace)
        seal = read_seal(store, run)
        return TakenCapture(
            ref=CaptureRef(maker=run.maker, name=run.name, started=run.started, location=run.location),
            where=store.where(run.seal_key),
            seal=seal,
            objects=captured,
            left_out=left_out,
            vms=job_vms(seal, [entry.capture for entry in captured]),
        )

    def _begun(self, request: CaptureRequest) -> BackupRun:
        """Return a run of its own second: two of one name that begin together are two captures."""
        while True:
            run = self._run(request)
            store = self._locations.open(run.location, namespace=run.namespace)
            if not any(store.list(run.prefix)):
                return run
            self._clock.sleep(1.0)

    def _run(self, request: CaptureRequest) -> BackupRun:
        started = compact_time(self._clock.now().isoformat())
        annotations = {
            marks.VADP_JOB_ANNOTATION: request.job,
            marks.VADP_RESTORE_POINT_ANNOTATION: request.restore_point,
        }
        return BackupRun(
            name=capture_name(request.job),
            namespace=self._velero_namespace,
            uid=str(uuid4()),
            started=started,
            location=self._location(request.location),
            annotations={key: value for key, value in annotations.items() if value},
            spec={
                "includedNamespaces": list(request.namespaces) or ["*"],
                **({"labelSelector": request.selector} if request.selector else {}),
            },
            maker=Maker.COMMAND,
        )

    def _location(self, named: str) -> str:
        """Return the location to store in: the one that is named, the settings' own bucket, or Velero's default."""
        if named or self._own_bucket:
            return named
        locations = self._cluster.list(BACKUP_STORAGE_LOCATION, self._velero_namespace)
        default = [location.name for location in locations if location.spec.get("default") is True]
        names = default or [location.name for location in locations]
        if len(names) == 1:
            return names[0]
        raise InvalidSettings(
            "which bucket to store the capture in is not known: the settings name none, and namespace"
            f" {self._velero_namespace} has {len(locations) or 'no'} BackupStorageLocation{'s' * (len(locations) > 1)}",
            hint=f"name one with --location: {', '.join(names)}" if names else "set bucket.name in the settings",
        )

    def _listed(self, request: CaptureRequest) -> Sequence[Manifest]:
        """Return the groups and services of the namespaces, each listed once per kind."""
        return [
            manifest
            for kind in CAPTURED_KINDS
            for namespace in dict.fromkeys(request.namespaces) or ("",)
            for manifest in self._cluster.list(kind, namespace)
        ]

    def _named(self, request: CaptureRequest, manifests: Sequence[Manifest]) -> tuple[str, ...]:
        """Return the namespaces of the capture; raises `NotFound` for one that does not exist."""
        if request.namespaces:
            for namespace in request.namespaces:
                demand_namespace(self._cluster, namespace)
            return tuple(dict.fromkeys(request.namespaces))
        of_vms = self._cluster.read_all(VIRTUAL_MACHINE, "", lambda vm: vm.namespace, metadata_only=True)
        return tuple(sorted({*of_vms, *(manifest.namespace for manifest in manifests)}))


def _is_empty(run: BackupRun, observed: Sequence[NamespaceFacts], manifests: Sequence[Manifest]) -> bool:
    """Say whether a capture would hold no group, no service and no VM."""
    if any(True for facts in observed for _ in vms_by_filters(run.spec, facts)):
        return False
    by_namespace = {facts.namespace: facts for facts in observed}
    return all(left_out_reason(manifest, by_namespace[manifest.namespace]) for manifest in manifests)


def _nothing(request: CaptureRequest) -> NotRestorable:
    where = f"namespace {', '.join(request.namespaces)}" if request.namespaces else "any namespace"
    labels = f" with labels {request.selector_text}" if request.selector_text else ""
    return NotRestorable(
        f"nothing is captured: there is no VM, group or service in {where}{labels}",
        hint="check namespace, selector, the kubeconfig's context and its rights, or seal it with --allow-empty",
    )


def capture_name(job: str) -> str:
    """Return the name that all captures of a VADP job have, and of no other; the start time tells one from another.

    Where the job's own name cannot stand in a key, a digest of it follows: jobs may differ in what is left out.
    """
    name = _in_keys(job)
    if not job or (name == job and name != UNNAMED and not _DIGESTED.fullmatch(name)):
        return name
    return f"{name}-{hashlib.sha256(job.encode()).hexdigest()[:_DIGEST_LENGTH]}"


def _in_keys(job: str) -> str:
    name = job.lower()
    return _NOT_IN_NAMES.sub("-", name).strip("-")[:_LONGEST_NAME].strip("-") or UNNAMED


def job_vms(seal: Seal, captures: Sequence[Capture]) -> Sequence[JobVm]:
    """Return the VMs that belong in the VADP job of a capture, each with the captured objects that stand for it."""
    objects = defaultdict[str, list[str]](list)
    for capture in captures:
        for name in capture.topology.needs:
            objects[f"{capture.namespace}/{name}"].append(f"{capture.kind} {capture.name}")
    return [
        JobVm(
            namespace=name.partition("/")[0],
            name=name.partition("/")[2],
            backup_version=version,
            applications=tuple(sorted(objects[name])),
        )
        for name, version in sorted(seal.vadp.machines.items())
    ]
