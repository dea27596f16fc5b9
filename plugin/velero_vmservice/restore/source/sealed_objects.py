"""The objects that the seal of a backup lists: a restore without Velero's archive replays them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velero_vmservice.archive import schema
from velero_vmservice.archive.schema import Capture
from velero_vmservice.archive.store import read_document
from velero_vmservice.errors import NotRestorable, VmServiceError
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.kube.names import VM_OPERATOR_RESOURCES
from velero_vmservice.velero import selection
from velero_vmservice.velero.runs import Replay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.archive.schema import Seal, SealedObject
    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.kube.names import NamedResource
    from velero_vmservice.velero.runs import RestoreRun


def served_resources(cluster: Cluster, spec: Mapping[str, Any]) -> Sequence[NamedResource]:
    """Return the resources that a spec's filters may name; discovery is asked only if a filter names any."""
    return (*cluster.resources(), *VM_OPERATOR_RESOURCES) if selection.names_resources(spec) else ()


def replays(
    seal: Seal | None, run: RestoreRun, spec: Mapping[str, Any], *, cluster: Cluster, restore_points: RestorePoints
) -> Sequence[Replay]:
    """Return what a restore with this spec replays of what a seal lists; of no seal, nothing.

    A capture is read where its labels decide, and only there. Raises `NotRestorable` when the seal lists what is no
    captured object, and what the store raises.
    """
    if seal is None:
        return ()
    chosen, served, store = list[Replay](), served_resources(cluster, spec), restore_points.store(run)
    for sealed in seal.objects:
        ref = sealed_object(sealed, run)
        if run.objects is not None and ref not in run.objects:
            continue
        labels = _labels(store, sealed) if selection.asks_for_labels(spec) else None
        if selection.selected(spec, ref, labels, served=served):
            chosen.append(
                Replay(
                    plural=ref.kind.plural,
                    namespace=ref.namespace,
                    target=run.target(ref.namespace),
                    name=ref.name,
                    key=sealed.key,
                    sha256=sealed.sha256,
                )
            )
    return chosen


def sealed_object(sealed: SealedObject, run: RestoreRun) -> ObjectRef:
    """Return the object that a document of a seal is the capture of; raises `NotRestorable` if it is not a capture."""
    if ref := schema.captured_object(sealed.key):
        return ref
    raise NotRestorable(
        f"the seal of Backup {run.backup} lists {sealed.key!r}, which is not a captured object",
        hint="use another backup, or the release that wrote it: it was changed, or is of a newer release",
    )


def _labels(store: ObjectStore, sealed: SealedObject) -> Mapping[str, str] | None:
    """Return the labels of a captured object, None if it cannot be read; raises what passes by itself."""
    try:
        return Manifest(read_document(store, sealed.key, Capture, sha256=sealed.sha256).manifest).labels
    except VmServiceError as error:
        if error.passing:
            raise
        return None
