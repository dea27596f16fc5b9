"""The plugin's surroundings in the cluster: the Supervisor, and the list of velero-plugin-for-vsphere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from velero_vmservice.doctor import checks
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VIRTUAL_MACHINE_GROUP, mapping
from velero_vmservice.supervisor.vsphere_plugin import BLOCKED_RESOURCES, taken_over
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from velero_vmservice.doctor.checks import Check
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.vmoperator.releases import SupervisorRelease

BLOCKED_LIST: Final = "list of velero-plugin-for-vsphere"
SUPERVISOR: Final = "Supervisor"


def supervisor_check(release: SupervisorRelease, groups: Sequence[str], *, present: bool) -> Check:
    """Return the check of the kind of cluster; `groups` are the served versions of VirtualMachineGroup."""
    if not present:
        return checks.warning(
            SUPERVISOR,
            "this cluster is taken for none: it does not serve VM Operator's API beside one of Supervisors alone",
            "use the kubeconfig of the Supervisor, or set restricted.supervisor: yes",
        )
    established = f"{release.generation}: {release.evidence}"
    if not groups:
        established += f"; {VIRTUAL_MACHINE_GROUP.name} is not served, so groups are not restored here"
    return checks.ok(SUPERVISOR, established)


def blocked_list_check(
    config_map: Manifest | None,
    *,
    handled: Collection[str],
    policy: Literal["detect", "take-over", "leave"],
    on_supervisor: bool,
) -> Check:
    """Return the check of the other plugin's list; `handled` are the resources of this plugin's actions."""
    if config_map is None:
        return checks.ok(BLOCKED_LIST, f"the ConfigMap {BLOCKED_RESOURCES} does not exist")
    captured = {kind.resource for kind in CAPTURED_KINDS}
    ours = captured.union(handled).intersection(mapping(config_map.content.get("data")))
    # A long list is cut, so names that a restore would miss come first.
    keys = sorted(ours, key=lambda key: (key not in captured, key))
    kept = taken_over(config_map)
    removed = f"{len(kept.keys)} keys are taken over" if kept else "no key is taken over"
    if not keys:
        return checks.ok(BLOCKED_LIST, f"it blocks nothing that this plugin takes care of; {removed}")
    blocked = f"it blocks {enumerate_some(keys)}; {removed}"
    if policy == "take-over" or (policy == "detect" and on_supervisor):
        return checks.ok(BLOCKED_LIST, f"{blocked}; these keys are taken over when the next backup or restore begins")
    return checks.warning(
        BLOCKED_LIST,
        f"{blocked}; by the setting vsphere_plugin: {policy} they stay, and a backup of these ends PartiallyFailed",
        "set vsphere_plugin: take-over, or back up with --snapshot-volumes=false",
    )
