"""What has to come before an object is created: parent groups before their children, groups before services.

Either order converges in VM Operator, but parents first avoids its error back-off
(virtualmachinegroup_controller.go), and a group that is created over VMs without a unique id has them placed anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, ObjectRef
from velero_vmservice.supervisor.namespace_state import groups_below
from velero_vmservice.vmoperator.groups import (
    GroupFacts,
    all_cycles,
    ancestors,
    boot_order_members,
    containment,
    group_facts,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from velero_vmservice.restore.model import Subject
    from velero_vmservice.supervisor.namespace_state import NamespaceState


def in_order(subjects: Iterable[Subject]) -> Sequence[Subject]:
    """Sort: groups before services, parents before children, then by name; cycles keep their names' order."""
    known = {subject.ref: subject for subject in subjects}
    parents = {ref: ObjectRef(ref.kind, ref.namespace, subject.topology.parent) for ref, subject in known.items()}
    return sorted(
        known.values(),
        key=lambda subject: (not subject.is_group, len(ancestors(subject.ref, parents)), subject.ref),
    )


def first(subject: Subject, pending: Iterable[Subject], *, stuck: Collection[ObjectRef] = ()) -> Subject | None:
    """Return an object that has to come before this one and is still to be replayed.

    A service waits for the groups of its VMs, but not for one that is stuck, or below one that is stuck, on
    another VM. A group waits for its parent, stuck or not: VM Operator links no member before the parent is
    there (virtualmachinegroup_controller.go, reconcileGroupName). A parent outside this restore is not waited for.
    """
    groups = [
        group
        for group in pending
        if group.is_group and group.ref != subject.ref and group.ref.namespace == subject.ref.namespace
    ]
    if not subject.is_group:
        needs = set(subject.topology.needs)
        by_name = {group.ref.name: group for group in groups}
        mine = (group for group in groups if not needs.isdisjoint(group.topology.needs))
        return next((group for group in mine if not _is_stuck(group, by_name, stuck)), None)
    return next((group for group in groups if group.ref.name == subject.topology.parent), None)


def _is_stuck(group: Subject, groups: Mapping[str, Subject], stuck: Collection[ObjectRef]) -> bool:
    """Say whether a group, or a parent that it waits for, is stuck."""
    above: Subject | None = group
    seen: set[ObjectRef] = set()
    while above is not None and above.ref not in seen:
        if above.ref in stuck:
            return True
        seen.add(above.ref)
        above = groups.get(above.topology.parent)
    return False


def cycles(subjects: Iterable[Subject], observed: NamespaceState) -> Mapping[str, str]:
    """Return, for each group of a namespace that contains itself, the chain in words.

    What is live is overridden by what is to be replayed under the same name.
    """
    groups: dict[str, GroupFacts] = {name: group_facts(live) for name, live in observed.groups.items()}
    replayed = [subject for subject in subjects if subject.is_group and subject.ref.namespace == observed.namespace]
    groups |= {group.ref.name: group_facts(group.wanted) for group in replayed}
    return {name: " → ".join(chain) for chain in all_cycles(containment(groups.values())) for name in chain}


def unplaced(subject: Subject, observed: NamespaceState) -> set[str]:
    """Return VMs of nested groups that are there which a new root group would send to placement.

    Placement is the root's, for the whole tree, and asks for every member without a unique id
    (virtualmachinegroup_controller.go, reconcilePlacement).
    """
    nested = [member.name for member in subject.topology.members if member.kind == VIRTUAL_MACHINE_GROUP.name]
    below = {name for child in nested for name in groups_below(observed, child)} - {subject.ref.name}
    listed = {
        member.name
        for name in below
        for member in boot_order_members(observed.groups[name])
        if member.kind == VIRTUAL_MACHINE.name
    }
    return {name for name in listed if name in observed.machines and not observed.machines[name].unique_id}
