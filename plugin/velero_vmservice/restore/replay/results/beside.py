"""List what belongs to restored VMs beside them, once an object that needs them has ended.

One LIST of names for each kind and look, of metadata only: no content of a Secret is read. A kind that cannot be listed
is a note of the result, never a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.incidents import as_ours
from velero_vmservice.restore.verify import beside

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.state.namespace_round import NamespaceRound


def look(cluster: Cluster, subject: Subject, view: NamespaceRound) -> None:
    """Leave in the look at a namespace the names that the VMs of an object have to be compared with."""
    if view.observed is None:
        return
    if view.beside_at != view.at:
        view.beside_at, view.beside, view.unlisted = view.at, {}, {}
    expected = {vm.name: vm for vm in subject.topology.machines}
    vms = view.observed.machines
    compared = {kind for name, facts in expected.items() if name in vms for kind in beside.kinds(vms[name], facts)}
    for kind in sorted(compared - view.beside.keys() - view.unlisted.keys()):
        try:
            names = cluster.read_all(kind, view.observed.namespace, _name, metadata_only=True)
            view.beside[kind] = frozenset(filter(None, names))
        except Exception as raised:  # noqa: BLE001 - logged; the result is stored without it
            error = as_ours(raised, f"the list of {kind.resource} in namespace {view.observed.namespace}")
            view.unlisted[kind] = (
                f"whether the {kind.plural} of VMs are as they should be is not known: {error.message}"
            )


def _name(manifest: Manifest) -> str:
    return "" if manifest.deleting else manifest.name
