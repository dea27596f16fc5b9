"""What a restore replays without Velero's archive: a backup's captured objects, and its VMs without an application."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.errors import NotFound, NotRestorable
from velero_vmservice.kube.manifest import BACKUP, Manifest, ObjectRef
from velero_vmservice.report.summary import left_out
from velero_vmservice.restore.source import sealed_objects
from velero_vmservice.velero import selection
from velero_vmservice.velero.runs import Maker

_UID_LENGTH: Final = 32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.source.vms_alone import VmsAlone
    from velero_vmservice.velero.runs import Replay, RestoreRun


class BackupObjects:
    """Lists what a restore replays, for the command line: Velero names each object itself."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints, vms: VmsAlone) -> None:
        self._cluster = cluster
        self._restore_points = restore_points
        self._vms = vms

    def captured(self, run: RestoreRun, spec: Mapping[str, Any]) -> Sequence[Replay]:
        """Return what a restore with this spec replays of its backup's capture.

        An object whose capture is damaged or gone is among them: reading it fails then, and for this object alone.
        Raises `NotFound` when there is no backup, `NotRestorable` when it has no sound seal.
        """
        seal = self._restore_points.seal(run)
        self._vms.learn(run, seal)
        objects = sealed_objects.replays(seal, run, spec, cluster=self._cluster, restore_points=self._restore_points)
        return [*objects, *self._vms.replays(replace(run, spec=spec))]

    def replayed(self, run: RestoreRun, spec: Mapping[str, Any]) -> Sequence[Replay]:
        """Return the same for a command that needs an object; raises `NotRestorable` where nothing is replayed."""
        if replays := self.captured(run, spec):
            return replays
        if run.capture is not None:
            raise NotRestorable(
                f"nothing of capture {run.capture} is to be replayed",
                hint="look at what it holds: velero-vmservice captures show " + str(run.capture),
            )
        raise NotRestorable(
            f"nothing of backup {run.backup} is to be replayed",
            hint="check the namespaces and resources that the restore includes",
        )

    def beyond(self, run: RestoreRun, replays: Iterable[Replay]) -> Sequence[str]:
        """Return the namespaces of these objects that the Backup does not include, in order.

        What is replayed without Velero's archive is what the seal lists, and anyone with write access to
        the bucket can write a seal. Only the Backup in the cluster says what was meant, as long as it is there; a
        capture of the command line has none, so of that nothing is beyond.
        """
        if run.capture is not None and run.capture.maker is Maker.COMMAND:
            return ()
        namespaces = sorted({replay.namespace for replay in replays})
        try:
            spec = self._cluster.get(ObjectRef(BACKUP, run.namespace, run.backup)).spec
        except NotFound:
            return namespaces
        return [name for name in namespaces if not selection.includes_namespace(spec, name)]

    def not_in_backup(self, replays: Sequence[Replay], run: RestoreRun) -> Sequence[str]:
        """Return what the backup left out of the namespaces of these objects, in sentences."""
        seal = self._vms.seal(run)
        return tuple(left_out(seal, {replay.namespace for replay in replays})) if seal else ()


def run_of(backup: str, *, namespace: str, mapping: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    """Return a Restore that is not in the cluster, for the plan of a backup."""
    return Manifest(
        {
            "apiVersion": "velero.io/v1",
            "kind": "Restore",
            "metadata": {"name": backup, "namespace": namespace, "annotations": dict(annotations)},
            "spec": {"backupName": backup, "namespaceMapping": dict(mapping)},
        }
    )


def resumed(run: RestoreRun, *, now: str) -> RestoreRun:
    """Return a restore's run that begins now: it leaves results of its own, and takes what is there as it is.

    It keeps the restore's UID, by which RegisterVM's attempts are found: no VM is registered a second time.
    """
    return replace(identified(run), started=now, began=run.started, resumed=True)


def identified(run: RestoreRun) -> RestoreRun:
    """Return a restore with a UID: where Velero does not have it, the one of every run over its backup."""
    if run.uid:
        return run
    digest = hashlib.sha256(f"{run.namespace}\0{run.capture or run.backup}".encode()).hexdigest()
    return replace(run, uid=f"command-{digest[:_UID_LENGTH]}")
