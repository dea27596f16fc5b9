"""The applications of the cluster: groups and services that belong together and whose VMs are there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from velero_vmservice.archive import topology
from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, ObjectRef
from velero_vmservice.report.application import components, neighbours
from velero_vmservice.vmoperator.groups import group_facts
from velero_vmservice.vmoperator.virtual_machine import is_recorded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.topology import Topology
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.report.application import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveApplication:
    """Groups and services of a namespace that belong together."""

    name: ObjectRef
    """The outermost group, else the first service, whose name it goes by."""
    objects: Mapping[ObjectRef, Mapping[str, str]] = field(default_factory=dict)
    """Its groups and services, with their labels."""
    created: datetime
    """When the newest of them was made."""
    vms: frozenset[str] = frozenset()
    """Names of the VMs that it needs and that are there."""


def vm_labels(vm: Manifest) -> tuple[str, VmFacts]:
    """Read the metadata of a VM, with its namespace; pure, for `Cluster.read_all`."""
    labels = {str(key): str(value) for key, value in vm.labels.items()}
    return vm.namespace, VmFacts(name=vm.name, labels=labels, recorded=is_recorded(vm))


def live_applications(
    objects: Iterable[Manifest], vms: Iterable[tuple[str, VmFacts]], *, now: datetime
) -> Sequence[LiveApplication]:
    """Return the applications of a cluster that have a VM, by namespace and name; see `connected_objects`."""
    return [application for application in connected_objects(objects, vms, now=now) if application.vms]


def connected_objects(
    objects: Iterable[Manifest], vms: Iterable[tuple[str, VmFacts]], *, now: datetime
) -> Sequence[LiveApplication]:
    """Return the groups and services of a cluster as applications, by namespace and name; some may have no VM.

    Left out are guest clusters' own objects and objects that are being deleted.

    Args:
        objects: the VirtualMachineGroups and VirtualMachineServices of all namespaces.
        vms: the VMs with their namespaces, as `vm_labels` reads them.
        now: stands for a time of creation that an object lacks.
    """
    objects_of, vms_of = defaultdict[str, list[Any]](list), defaultdict[str, list[VmFacts]](list)
    for manifest in objects:
        if not manifest.deleting:
            objects_of[manifest.namespace].append(manifest)
    for namespace, vm in vms:
        vms_of[namespace].append(vm)
    applications = (
        application
        for namespace, manifests in objects_of.items()
        for application in _of_namespace(namespace, manifests, vms_of[namespace], now)
    )
    return sorted(applications, key=lambda application: (application.name.namespace, application.name))


def _of_namespace(
    namespace: str, manifests: Collection[Manifest], vms: Collection[VmFacts], now: datetime
) -> Iterator[LiveApplication]:
    groups = [manifest for manifest in manifests if manifest.kind_name == VIRTUAL_MACHINE_GROUP.name]
    facts = NamespaceFacts(
        namespace=namespace,
        observed_at=now.isoformat(),
        machines=tuple(vms),
        groups=tuple(group_facts(group) for group in groups),
    )
    topologies: dict[ObjectRef, Topology] = {}
    by_ref: dict[ObjectRef, Manifest] = {}
    for manifest in manifests:
        its_topology = topology.topology(manifest, facts)
        if topology.guest_cluster_reason(manifest, topology.every_vm(its_topology, facts)):
            continue
        kind = next(kind for kind in CAPTURED_KINDS if kind.name == manifest.kind_name)
        ref = ObjectRef(kind, namespace, manifest.name)
        topologies[ref], by_ref[ref] = its_topology, manifest
    for refs in connected(topologies):
        yield LiveApplication(
            name=outermost(refs, topologies),
            objects={ref: {str(key): str(text) for key, text in by_ref[ref].labels.items()} for ref in refs},
            created=max(by_ref[ref].created or now for ref in refs),
            vms=frozenset(name for ref in refs for name in topologies[ref].needs),
        )


def connected(topologies: Mapping[ObjectRef, Topology]) -> Iterator[Sequence[ObjectRef]]:
    """Yield the groups and services of each application, sorted."""
    near = neighbours((_part(ref), _related(ref, its_topology)) for ref, its_topology in topologies.items())
    by_part = {_part(ref): ref for ref in topologies}
    for parts in components(near):
        if refs := sorted(by_part[part] for part in parts if part in by_part):
            yield refs


def outermost(refs: Sequence[ObjectRef], topologies: Mapping[ObjectRef, Topology]) -> ObjectRef:
    """Return the object that names an application: a group without a parent, else any group, else a service."""
    groups = [ref for ref in refs if ref.kind == VIRTUAL_MACHINE_GROUP]
    names = {ref.name for ref in groups}
    return next((ref for ref in groups if topologies[ref].parent not in names), (groups or refs)[0])


def _part(ref: ObjectRef) -> Part:
    return (ref.kind.name, ref.namespace, ref.name)


def _related(ref: ObjectRef, its_topology: Topology) -> Iterator[Part]:
    yield from ((member.kind, ref.namespace, member.name) for member in its_topology.members)
    yield from ((VIRTUAL_MACHINE.name, ref.namespace, name) for name in its_topology.needs)
    if its_topology.parent:
        yield (VIRTUAL_MACHINE_GROUP.name, ref.namespace, its_topology.parent)
