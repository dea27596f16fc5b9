"""From an operation's id to the object it stands for: the stored capture, or the backup's own item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core import archive, mapping, topology
from velero_vmservice.core.archive import Capture, Observed
from velero_vmservice.core.errors import NotFound, Rejected
from velero_vmservice.core.manifest import Manifest
from velero_vmservice.core.plan import Subject
from velero_vmservice.flows import documents

if TYPE_CHECKING:
    from velero_vmservice.core.operation import Replay, RestoreRun
    from velero_vmservice.core.ports import Cluster
    from velero_vmservice.core.topology import Topology
    from velero_vmservice.flows.restore_point import RestorePoints


class Subjects:
    """Reads what is to be replayed."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints) -> None:
        self._cluster = cluster
        self._restore_points = restore_points

    def read(self, replay: Replay, run: RestoreRun) -> tuple[Subject, Observed, tuple[str, ...]]:
        """Return the object to replay, what it was like, and the fields that the target does not know.

        Raises `Corrupt` if the capture was replaced, `NotFound` if it is gone and the operation carries no item,
        `Rejected` if the cluster does not serve the kind, `Unavailable` if either side is away.
        """
        served = self._cluster.served_versions(replay.kind)
        if not served:
            raise Rejected(
                f"the cluster does not serve {replay.kind.resource}",
                hint="groups need vSphere 9.0.1 or later; restore to such a Supervisor",
            )
        manifest, connected, before = self._captured(replay, run)
        wanted, trimmed = mapping.wanted(manifest, namespace=replay.target, run=run, served=served)
        return Subject(ref=replay.destination, wanted=wanted, topology=connected), before, trimmed

    def _captured(self, replay: Replay, run: RestoreRun) -> tuple[Manifest, Topology, Observed]:
        try:
            if replay.key:
                store = self._restore_points.store(run)
                capture = documents.read(store, replay.key, Capture, sha256=replay.sha256)
                return Manifest(capture.manifest), capture.topology, capture.observed
        except NotFound as error:
            if replay.item is None:
                raise NotFound(
                    f"the capture {replay.key} is gone",
                    hint="it was removed while the restore waited; repeat the restore to use the backup's own item",
                ) from error
        manifest = Manifest(replay.item or {})
        facts = self._restore_points.facts(run, replay.namespace)
        if facts is not None:
            return manifest, topology.topology(manifest, facts), archive.observed(manifest)
        return manifest, topology.named(manifest, replay.vms or ()), archive.observed(manifest)
