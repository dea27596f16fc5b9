"""The networks that captured VMs were on, so that a person can map them to others (guide 9.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import SUBNET, SUBNET_SET
from velero_vmservice.vmoperator.virtual_machine import Subnet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from velero_vmservice.archive.facts import ExpectedVm, VmFacts

OF_ANOTHER_KIND: Final = ""
"""Stands for a network that is neither a subnet nor a SubnetSet, and that RegisterVM does not map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedNetwork:
    """A network, and the VMs of a namespace that were on it."""

    namespace: str
    """Where the VMs come back."""
    notation: str | None
    """`Subnet.notation`, `OF_ANOTHER_KIND`, or None where the capture does not say what an interface was on."""
    vms: tuple[str, ...]


def recorded_networks(vms: Mapping[str, Iterable[ExpectedVm]]) -> tuple[RecordedNetwork, ...]:
    """Return the networks that VMs were on at the backup, by the namespace that the VMs come back in.

    A capture of an earlier release names subnets and SubnetSets, but not which VMs were on the default one.
    """
    on_network: dict[tuple[str, str | None], set[str]] = {}
    for namespace, expected_vms in vms.items():
        for vm in expected_vms:
            if not vm.is_node:
                for notation in _notations(vm.facts):
                    on_network.setdefault((namespace, notation), set()).add(vm.name)
    networks = [
        RecordedNetwork(namespace=namespace, notation=notation, vms=tuple(sorted(names)))
        for (namespace, notation), names in on_network.items()
    ]
    networks.sort(key=lambda network: (network.namespace, not network.notation, network.notation or ""))
    return tuple(networks)


def _notations(facts: VmFacts | None) -> Iterator[str | None]:
    if facts is not None and facts.interfaces is not None:
        yield from facts.interfaces.values()
        return
    yield None
    if facts is not None:
        for name in facts.references.get(SUBNET.resource, ()):
            yield Subnet(type="SUBNET", name=name).notation
        for name in facts.references.get(SUBNET_SET.resource, ()):
            yield Subnet(type="SUBNETSET", name=name).notation
