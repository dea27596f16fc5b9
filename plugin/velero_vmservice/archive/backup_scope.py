"""What a backup holds and what it leaves out: its VMs, VMs without an application, objects that it does not capture.

A backup by labels or by resource kinds may hold a VM without the group or service that the VM belongs to. Such a
backup is valid, but a restore of it leaves the VM without that object: a warning says so at backup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
from velero_vmservice.archive.topology import selected_by
from velero_vmservice.documents import Document, Name
from velero_vmservice.kube.manifest import (
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    ObjectRef,
    sequence,
)
from velero_vmservice.velero import selection
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from velero_vmservice.kube.manifest import Kind


class HeldVms(Document):
    """The VMs that a backup holds, as the seal lists them."""

    machines: dict[str, str] = {}
    """`namespace/name` of each, and its backup version."""
    without_application: tuple[str, ...] = ()
    """VMs that belong to no captured object."""
    not_captured: tuple[NotCaptured, ...] = ()


class NotCaptured(Document):
    """A group or service that a backup does not capture although it holds VMs of it."""

    kind: str
    namespace: str
    name: str
    vms: tuple[Name, ...]
    """Names of those VMs."""


def selected(spec: Mapping[str, Any], kind: Kind, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
    """Say whether a Backup with this spec takes an object, by its namespaces, resources and labels."""
    if labels.get(marks.EXCLUDE_FROM_BACKUP) == "true":
        return False
    wide = [bool(spec.get(key)) for key in ("includedResources", "excludedResources")]
    if any(wide) or spec.get("includeClusterResources") is not None:  # Velero then ignores the filters by scope
        return selection.selected(spec, ObjectRef(kind, namespace, name), labels)
    included, excluded = (sequence(spec.get(f"{which}NamespaceScopedResources")) for which in ("included", "excluded"))
    if "*" in excluded:
        return False
    scoped = {"includedResources": included, "excludedResources": excluded}
    return selection.selected({**spec, **scoped}, ObjectRef(kind, namespace, name), labels)


def vms_by_filters(spec: Mapping[str, Any], facts: NamespaceFacts) -> Iterator[str]:
    """Yield the recorded VMs of a namespace that a Backup with this spec takes."""
    for vm in facts.machines:
        if vm.recorded and selected(spec, VIRTUAL_MACHINE, facts.namespace, vm.name, vm.labels):
            yield vm.name


def objects_by_filters(spec: Mapping[str, Any], facts: NamespaceFacts) -> Iterator[tuple[str, str]]:
    """Yield kind and name of the groups and services of a namespace that a Backup with this spec takes."""
    for group in facts.groups:
        if selected(spec, VIRTUAL_MACHINE_GROUP, facts.namespace, group.name, group.labels):
            yield VIRTUAL_MACHINE_GROUP.name, group.name
    for service in facts.services:
        if selected(spec, VIRTUAL_MACHINE_SERVICE, facts.namespace, service.name, service.labels):
            yield VIRTUAL_MACHINE_SERVICE.name, service.name


def vms_of(facts: NamespaceFacts, objects: Collection[tuple[str, str]]) -> frozenset[str]:
    """Return the recorded VMs that belong to these groups and services, each given by kind and name."""
    mine = (members for kind, name, members in (*_groups(facts), *_services(facts)) if (kind, name) in objects)
    names = frozenset[str]().union(*mine)
    return frozenset(name for name in names if name in facts.by_name and facts.by_name[name].recorded)


def vms_of_no_object(facts: NamespaceFacts) -> frozenset[str]:
    """Return the recorded VMs of a namespace that belong to no group and no service."""
    names = frozenset(vm.name for vm in facts.machines if vm.recorded)
    return names.difference(*(members for _, _, members in (*_groups(facts), *_services(facts))))


def vms_left_out(
    facts: NamespaceFacts, left_out: Collection[tuple[str, str]], restored: Collection[tuple[str, str]]
) -> frozenset[str]:
    """Return the VMs of objects that a restore leaves out, except those that a restored object needs.

    Both are given by kind and name. A group needs the VMs of its own boot order, not those of the groups below it.
    """
    needed = set[str]()
    for group in facts.groups:
        if (VIRTUAL_MACHINE_GROUP.name, group.name) in restored:
            needed |= {member.name for member in group.members if member.kind == VIRTUAL_MACHINE.name}
    for kind, name, members in _services(facts):
        if (kind, name) in restored:
            needed |= members
    return vms_of(facts, left_out) - needed


def not_captured(
    facts: NamespaceFacts, captured: Collection[tuple[str, str]], vms: Collection[str]
) -> Iterator[NotCaptured]:
    """Yield the groups and services of a namespace that VMs of a backup belong to and that it does not capture.

    Args:
        facts: the namespace as it was.
        captured: kind and name of each object that the backup captures.
        vms: names of the VMs of the namespace that the backup holds.
    """
    held = {name for name in vms if name in facts.by_name and facts.by_name[name].recorded}
    for kind, name, members in (*_groups(facts), *_services(facts)):
        mine = tuple(sorted(held & members))
        if mine and (kind, name) not in captured:
            yield NotCaptured(kind=kind, namespace=facts.namespace, name=name, vms=mine)


def _groups(facts: NamespaceFacts) -> Iterator[tuple[str, str, set[str]]]:
    """Yield each group with its VMs at any depth, by boot order or by the VM's `spec.groupName`."""
    direct = {
        group.name: {member.name for member in group.members if member.kind == VIRTUAL_MACHINE.name}
        for group in facts.groups
        if not group.deleting
    }
    for vm in facts.machines:
        if vm.group_name in direct:
            direct[vm.group_name].add(vm.name)
    nested = {
        group.name: [member.name for member in group.members if member.kind == VIRTUAL_MACHINE_GROUP.name]
        for group in facts.groups
    }
    for name in direct:
        below, ahead = set[str](), [name]
        while ahead:
            group = ahead.pop()
            if group not in below:
                below.add(group)
                ahead += nested.get(group, ())
        yield VIRTUAL_MACHINE_GROUP.name, name, set[str]().union(*(direct.get(group, set()) for group in below))


def _services(facts: NamespaceFacts) -> Iterator[tuple[str, str, set[str]]]:
    for service in facts.services:
        chosen = {vm.name for vm in selected_by(service.selector, facts)}
        yield VIRTUAL_MACHINE_SERVICE.name, service.name, chosen


def reduced(facts: NamespaceFacts) -> NamespaceFacts:
    """Return the part of the facts that `held_vms` needs; it is kept in memory until the seal is written."""
    vms = tuple(
        VmFacts(
            name=vm.name,
            backup_version=vm.backup_version,
            group_name=vm.group_name,
            labels=vm.labels,
            recorded=vm.recorded,
        )
        for vm in facts.machines
    )
    return NamespaceFacts(
        namespace=facts.namespace,
        observed_at=facts.observed_at,
        machines=vms,
        groups=facts.groups,
        services=facts.services,
    )


def held_vms(
    namespaces: Mapping[str, NamespaceFacts],
    *,
    captured: Collection[tuple[str, str, str]],
    needed: Mapping[str, str],
    nested: Collection[str],
    chosen: Collection[str],
) -> HeldVms:
    """Work out which VMs a backup holds: those of captured objects, and those that Velero selected.

    Args:
        namespaces: the facts of each namespace of the backup, by its name.
        captured: kind, namespace and name of each captured object.
        needed: `namespace/name` of each VM that a captured object needs, and its backup version.
        nested: VMs in groups below a captured group.
        chosen: VMs that Velero included in the backup.
    """
    known = {f"{facts.namespace}/{vm.name}": vm for facts in namespaces.values() for vm in facts.machines}
    names = sorted(name for name in {*needed, *nested, *chosen} if name not in known or known[name].recorded)
    missed = list[NotCaptured]()
    for namespace, facts in sorted(namespaces.items()):
        captured_there = {(kind, name) for kind, where, name in captured if where == namespace}
        vms = {name.partition("/")[2] for name in names if name.partition("/")[0] == namespace}
        missed += not_captured(facts, captured_there, vms)
    return HeldVms(
        machines={name: known[name].backup_version if name in known else needed.get(name, "") for name in names},
        without_application=tuple(name for name in names if name not in needed),
        not_captured=tuple(missed),
    )
