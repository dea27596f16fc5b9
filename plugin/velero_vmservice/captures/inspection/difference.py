"""What differs between two captures, or between a capture and the cluster: objects and VMs, field by field."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from velero_vmservice.archive.facts import NamespaceFacts, vm_facts
from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.archive.topology import every_vm, guest_cluster_reason, topology
from velero_vmservice.kube.manifest import (
    CAPTURED_KINDS,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    Manifest,
    ObjectRef,
)
from velero_vmservice.restore.model import Difference
from velero_vmservice.restore.plan.desired import differences
from velero_vmservice.vmoperator.groups import group_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.captures.contents import Contents
    from velero_vmservice.kube.api import Cluster

Content = TypeVar("Content")

_VM_FIELDS: Final = {
    "backup version": "backup_version",
    "spec.groupName": "group_name",
    "biosUUID": "bios_uuid",
    "instanceUUID": "instance_uuid",
    "image": "image",
    "volumes": "volumes",
    "bootstrap": "bootstrap",
}
"""What is compared of a VM beside its labels: what a restore depends on, and that does not change while it runs."""


class Change(StrEnum):
    """What became of an object or VM from the first side to the second."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One object or VM that is not the same on both sides."""

    ref: ObjectRef
    change: Change
    differences: tuple[Difference, ...] = ()
    """`wanted` is the first side, `live` the second."""
    not_captured: bool = False
    """Whether it exists on the side that lacks it, and was not captured there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is compared: a capture, or namespaces of the cluster."""

    objects: Mapping[ObjectRef, Manifest] = field(default_factory=dict)
    vms: Mapping[ObjectRef, VmFacts] = field(default_factory=dict)
    exists: frozenset[ObjectRef] = frozenset()
    """What was there, captured or not."""
    is_cluster: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it has no group, no service and no VM."""
        return not (self.objects or self.vms)


def compare(first: Side, second: Side) -> Sequence[Changed]:
    """Return what differs, objects before VMs; what the first side left out is no difference to the cluster."""
    return [
        *_changes(first, second, first.objects, second.objects, _object_differences),
        *_changes(first, second, first.vms, second.vms, _vm_differences),
    ]


def _changes(
    first: Side,
    second: Side,
    before: Mapping[ObjectRef, Content],
    after: Mapping[ObjectRef, Content],
    different: Callable[[Content, Content], Iterable[Difference]],
) -> Iterator[Changed]:
    for ref in sorted({*before, *after}):
        if ref not in before:
            left_out = ref in first.exists
            if not (left_out and second.is_cluster):
                yield Changed(ref=ref, change=Change.ADDED, not_captured=left_out)
        elif ref not in after:
            yield Changed(ref=ref, change=Change.REMOVED, not_captured=ref in second.exists)
        elif fields := tuple(different(before[ref], after[ref])):
            yield Changed(ref=ref, change=Change.CHANGED, differences=fields)


def _object_differences(before: Manifest, after: Manifest) -> Iterator[Difference]:
    """Yield where either has what the other has not: the comparison of a plan, in both directions."""
    paths = set[str]()
    for difference in differences(before, after):
        paths.add(difference.path)
        yield difference
    for difference in differences(after, before):
        if difference.path not in paths:
            yield Difference(path=difference.path, wanted=difference.live, live=difference.wanted)


def _vm_differences(before: VmFacts, after: VmFacts) -> Iterator[Difference]:
    for path, name in _VM_FIELDS.items():
        values = getattr(before, name), getattr(after, name)
        if values[0] != values[1]:
            yield Difference(path=path, wanted=values[0] or None, live=values[1] or None)
    for key in sorted(before.labels.keys() | after.labels.keys()):
        labels = before.labels.get(key), after.labels.get(key)
        if labels[0] != labels[1]:
            yield Difference(path=f"metadata.labels.{key}", wanted=labels[0], live=labels[1])


def of_capture(contents: Contents, mapping: Mapping[str, str]) -> Side:
    """Return a capture as a side, its objects in the namespaces that they are mapped to; raises as `demand_whole`."""
    held = contents.demand_whole().vadp.machines

    def mapped(namespace: str) -> str:
        return mapping.get(namespace, namespace)

    exists = set[ObjectRef]()
    for namespace, facts in contents.namespaces.items():
        exists |= _existing(mapped(namespace), facts)
    return Side(
        objects={
            ObjectRef(ref.kind, mapped(ref.namespace), ref.name): sanitize(Manifest(capture.manifest)).manifest
            for ref, capture in contents.objects.items()
        },
        vms={
            ObjectRef(VIRTUAL_MACHINE, mapped(namespace), vm.name): vm
            for namespace, facts in contents.namespaces.items()
            for vm in facts.machines
            if f"{namespace}/{vm.name}" in held
        },
        exists=frozenset(exists),
    )


def of_cluster(cluster: Cluster, namespaces: Collection[str], captured: Mapping[ObjectRef, Manifest]) -> Side:
    """Return namespaces as they are, each object at the API version that it was captured at, where that is served.

    Left out are guest clusters' own objects and nodes, as a capture leaves them out. Raises what the cluster raises.
    """
    objects, vms = dict[ObjectRef, Manifest](), dict[ObjectRef, "VmFacts"]()
    for namespace in sorted(namespaces):
        known = cluster.read_all(VIRTUAL_MACHINE, namespace, vm_facts)
        listed = {kind: cluster.list(kind, namespace) for kind in CAPTURED_KINDS}
        groups = tuple(map(group_facts, listed[VIRTUAL_MACHINE_GROUP]))
        facts = NamespaceFacts(namespace=namespace, observed_at="", machines=tuple(known), groups=groups)
        vms |= {ObjectRef(VIRTUAL_MACHINE, namespace, vm.name): vm for vm in known if vm.recorded}
        for kind, manifests in listed.items():
            for manifest in manifests:
                if not guest_cluster_reason(manifest, every_vm(topology(manifest, facts), facts)):
                    ref = ObjectRef(kind, namespace, manifest.name)
                    objects[ref] = sanitize(_at_version(cluster, ref, manifest, captured.get(ref))).manifest
    return Side(objects=objects, vms=vms, exists=frozenset({*objects, *vms}), is_cluster=True)


def _at_version(cluster: Cluster, ref: ObjectRef, live: Manifest, captured: Manifest | None) -> Manifest:
    if (
        captured is None
        or captured.version == live.version
        or captured.version not in cluster.served_versions(ref.kind)
    ):
        return live
    return cluster.get(ref, version=captured.version)


def _existing(namespace: str, facts: NamespaceFacts) -> set[ObjectRef]:
    named = (
        (VIRTUAL_MACHINE, facts.machines),
        (VIRTUAL_MACHINE_GROUP, facts.groups),
        (VIRTUAL_MACHINE_SERVICE, facts.services),
    )
    return {ObjectRef(kind, namespace, each.name) for kind, entries in named for each in entries}
