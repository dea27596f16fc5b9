"""Capture one VirtualMachineService or VirtualMachineGroup: sanitise, work out the topology, check, store, link.

The capture is durable before Execute returns; an item whose capture cannot be made durable fails.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice import __version__
from velero_vmservice.archive import restorability, schema, topology
from velero_vmservice.archive.link import Link
from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.archive.schema import BackupRun, Capture, Provenance, captured_kind
from velero_vmservice.archive.store import check_writer, write_once
from velero_vmservice.errors import NotFound
from velero_vmservice.kube.manifest import CAPTURED_KINDS, Manifest, ObjectRef
from velero_vmservice.metrics import CAPTURES
from velero_vmservice.velero import runs
from velero_vmservice.velero.actions import BackupOutcome, Progress, ResourceSelector
from velero_vmservice.vmoperator import marks, releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.backup.namespace_facts import NamespaceFactsOnce
    from velero_vmservice.backup.sealing import Sealing
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.supervisor.vsphere_plugin import Neighbour

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedObject:
    """An object whose capture is durable."""

    ref: ObjectRef
    key: str
    sha256: str
    facts: str
    """Digest of the facts of its namespace."""
    capture: Capture


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An object that no capture is made of."""

    ref: ObjectRef
    reason: str


class ObjectCapture:
    """Captures one object, for Velero's backup and for the command line alike."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        locations: StorageLocations,
        clock: Clock,
        namespaces: NamespaceFactsOnce,
        sealing: Sealing,
    ) -> None:
        self._cluster = cluster
        self._locations = locations
        self._clock = clock
        self._namespaces = namespaces
        self._sealing = sealing

    def of(self, manifest: Manifest, run: BackupRun) -> CapturedObject | LeftOut:
        """Store the capture of an object durably; a guest cluster's object, or one being deleted, is left out.

        Raises what cluster and store raise, and `InvalidSettings` if another cluster's backup has the same name, start
        time and place.
        """
        ref = ObjectRef(captured_kind(manifest), manifest.namespace, manifest.name)
        if manifest.deleting:
            return _left_out(ref, "it is being deleted")
        facts, facts_sha256 = self._namespaces.of(run, manifest.namespace)
        self._sealing.captured(run, run.namespace_key(manifest.namespace), facts_sha256)
        newest = self._at_newest_version(manifest, ref)
        connected = topology.topology(newest, facts)
        if reason := topology.guest_cluster_reason(newest, topology.every_vm(connected, facts)):
            return _left_out(ref, f"it belongs to a guest cluster: {reason}")
        document = self._document(newest, ref, connected, facts, run)
        store = self._locations.open(run.location, namespace=run.namespace)
        key = run.object_key(ref)
        stored, sha256 = write_once(store, key, document)
        check_writer(run, stored.provenance.backup_uid, key=key)
        self._sealing.captured(run, key, sha256)
        CAPTURES.labels(ref.kind.name).inc()
        _log(stored, ref, sha256)
        return CapturedObject(ref=ref, key=key, sha256=sha256, facts=facts_sha256, capture=stored)

    def _at_newest_version(self, manifest: Manifest, ref: ObjectRef) -> Manifest:
        """Return the object at the newest served version, where it still exists."""
        newest = releases.newest(self._cluster.served_versions(ref.kind))
        if newest in (None, manifest.version):
            return manifest
        try:
            return self._cluster.get(ref, version=newest)
        except NotFound:
            log.info(
                "captured as Velero read it", object=str(ref), reason="deleted since", api_version=manifest.version
            )
            return manifest

    def _document(
        self,
        manifest: Manifest,
        ref: ObjectRef,
        connected: topology.Topology,
        facts: NamespaceFacts,
        run: BackupRun,
    ) -> Capture:
        clean = sanitize(manifest)
        return Capture(
            kind=ref.kind.name,
            namespace=ref.namespace,
            name=ref.name,
            manifest=dict(clean.manifest.content),
            dropped=clean.dropped,
            observed=schema.observed(manifest),
            topology=connected,
            findings=restorability.object_findings(manifest, connected, facts),
            provenance=Provenance(
                backup=run.name,
                backup_uid=run.uid,
                backup_started=run.started,
                captured_at=self._clock.now().isoformat(),
                source_uid=manifest.uid,
                source_version=manifest.version,
                plugin=__version__,
            ),
        )


def left_out_reason(manifest: Manifest, facts: NamespaceFacts) -> str:
    """Return why no capture would be made of an object, as a clause; '' where one would."""
    if manifest.deleting:
        return "it is being deleted"
    connected = topology.topology(manifest, facts)
    return topology.guest_cluster_reason(manifest, topology.every_vm(connected, facts))


class CaptureAction:
    """Velero's backup action `capture`."""

    def __init__(
        self, *, capture: ObjectCapture, namespaces: NamespaceFactsOnce, sealing: Sealing, neighbour: Neighbour
    ) -> None:
        self._capture = capture
        self._namespaces = namespaces
        self._sealing = sealing
        self._neighbour = neighbour

    def applies_to(self) -> ResourceSelector:
        """Return the selector: the two captured kinds."""
        return ResourceSelector(included_resources=tuple(kind.resource for kind in CAPTURED_KINDS))

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> BackupOutcome:
        """Capture the item and return it with the link to its capture.

        A guest cluster's service, and an object that is being deleted, are left out of the backup and logged. Raises
        `InvalidSettings` if another cluster's backup has the same name, start time and place.
        """
        manifest, of_backup = Manifest.read(dict(item)), Manifest.read(dict(backup))
        run = BackupRun.read(of_backup)
        captured = self._capture.of(manifest, run)
        if isinstance(captured, LeftOut):
            return BackupOutcome(item=manifest.annotated(marks.SKIP_FROM_BACKUP, "true"))
        self._neighbour.warn(captured.ref.kind, of_backup)
        link = Link(key=captured.key, sha256=captured.sha256, facts=captured.facts, vms=captured.capture.topology.needs)
        return BackupOutcome(
            item=manifest.annotated(marks.CAPTURE_ANNOTATION, link.annotation()),
            operation_id=runs.seal_id(run.prefix),
        )

    def progress(self, operation_id: str, backup: Mapping[str, Any]) -> Progress:
        """Seal the capture: called right after the backup's last item."""
        run = BackupRun.read(Manifest.read(dict(backup)))
        progress = self._sealing.progress(operation_id, run)
        if progress.completed:
            self._namespaces.forget(run)
        return progress

    def cancel(self, operation_id: str, backup: Mapping[str, Any]) -> None:
        """Do nothing: no work runs between two calls."""


def _left_out(ref: ObjectRef, reason: str) -> LeftOut:
    log.warning("not captured", object=str(ref), reason=reason)
    return LeftOut(ref=ref, reason=reason)


def _log(capture: Capture, ref: ObjectRef, sha256: str) -> None:
    log.info(
        "captured",
        object=str(ref),
        api_version=capture.provenance.source_version,
        vms=capture.topology.needs,
        nested_vms=capture.topology.nested,
    )
    dropped = [field.path for field in capture.dropped]
    log.debug("captured with digest", object=str(ref), sha256=sha256, dropped_fields=dropped)
    for finding in capture.findings:
        level = logging.WARNING if finding.severity == "warning" else logging.INFO
        reason = finding.sentence(ref.namespace)
        log.log(level, "restorability", object=str(ref), finding=finding.code, reason=reason)
