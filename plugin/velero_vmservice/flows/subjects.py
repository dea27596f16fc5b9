"""From an operation's id to the object it stands for: the stored capture, or the backup's own item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.core import archive, mapping, topology
from velero_vmservice.core.archive import Capture, Observed
from velero_vmservice.core.errors import Corrupt, NotFound, Rejected, VmServiceError
from velero_vmservice.core.manifest import Manifest
from velero_vmservice.core.plan import Subject
from velero_vmservice.flows import documents

if TYPE_CHECKING:
    from velero_vmservice.core.facts import NamespaceFacts
    from velero_vmservice.core.operation import Replay, RestoreRun
    from velero_vmservice.core.ports import Cluster
    from velero_vmservice.core.topology import Topology
    from velero_vmservice.flows.restore_point import RestorePoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was read of one object."""

    subject: Subject
    before: Observed
    """What the object was like at backup."""
    trimmed: tuple[str, ...]
    """Fields that the target's API version does not know."""
    remarks: tuple[str, ...]
    """What to mind about it, in words."""


class Subjects:
    """Reads what is to be replayed."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints) -> None:
        self._cluster = cluster
        self._restore_points = restore_points

    def read(self, replay: Replay, run: RestoreRun) -> Source:
        """Return the object to replay and what is known of it.

        Raises `Corrupt` if the capture was replaced, `Rejected` if the cluster does not serve the kind, `Unavailable`
        if either side is away. A capture that is gone, or that cannot be read unless somebody acts, is raised
        (`NotFound`, `Forbidden`, …) only if the operation carries no item.
        """
        served = self._cluster.served_versions(replay.kind)
        if not served:
            raise Rejected(
                f"the cluster does not serve {replay.kind.resource}",
                hint="groups need vSphere 9.0.1 or later; restore to such a Supervisor",
            )
        manifest, connected, before, remarks = self._captured(replay, run)
        wanted, trimmed = mapping.wanted(manifest, namespace=replay.target, run=run, served=served)
        if trimmed:
            remarks = (*remarks, f"{wanted.version} does not know {', '.join(trimmed)}: left out")
        subject = Subject(ref=replay.destination, wanted=wanted, topology=connected)
        return Source(subject=subject, before=before, trimmed=trimmed, remarks=remarks)

    def _captured(self, replay: Replay, run: RestoreRun) -> tuple[Manifest, Topology, Observed, tuple[str, ...]]:
        remark = "the backup was taken without this plugin: replayed from the backup's own item"
        try:
            if replay.key:
                store = self._restore_points.store(run)
                capture = documents.read(store, replay.key, Capture, sha256=replay.sha256)
                return Manifest(capture.manifest), capture.topology, capture.observed, ()
        except VmServiceError as error:
            if error.transient or isinstance(error, Corrupt):
                raise
            remark = _why_own_item(replay, error)
        manifest = Manifest(replay.item or {})
        facts = self._facts(replay, run)
        known = topology.named(manifest, replay.vms or ()) if facts is None else topology.topology(manifest, facts)
        return manifest, known, archive.observed(manifest), (remark,)

    def _facts(self, replay: Replay, run: RestoreRun) -> NamespaceFacts | None:
        """Return what is known of the machines; where nobody may read it, the link's names must do."""
        try:
            return self._restore_points.facts(run, replay.namespace)
        except VmServiceError as error:
            if error.transient or isinstance(error, Corrupt) or not replay.key:
                raise
            return None


def _why_own_item(replay: Replay, error: VmServiceError) -> str:
    """Say why the backup's own item is replayed; raises the error if the operation carries none."""
    if isinstance(error, NotFound):
        if replay.item is None:
            raise NotFound(
                f"the capture {replay.key} is gone",
                hint="it was removed while the restore waited; repeat the restore to use the backup's own item",
            ) from error
        return f"the capture {replay.key} is gone: replayed from the backup's own item"
    if replay.item is None:
        raise error
    return f"the capture {replay.key} cannot be read ({error.message}): replayed from the backup's own item"
