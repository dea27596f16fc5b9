"""References of a VM: its bootstrap objects, and objects that a restore does not recreate.

The latter are its class, storage policy, resource policy and networks. RegisterVM brings back only the VM, its
bootstrap objects and its disks (guide 10.2). A missing object in the target namespace is reported, but not waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from velero_vmservice.kube.manifest import (
    NETWORK,
    STORAGE_CLASS,
    SUBNET,
    SUBNET_SET,
    VIRTUAL_MACHINE_CLASS,
    VIRTUAL_MACHINE_SET_RESOURCE_POLICY,
    VIRTUAL_NETWORK,
    Kind,
    Manifest,
    mapping,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence


NETWORK_KINDS: Final = (SUBNET, SUBNET_SET, VIRTUAL_NETWORK, NETWORK)
PROVIDERS_NETWORK: Final = "networks"
"""A network whose kind the VM leaves to the network provider: recorded, and never looked up."""
LEGACY_NETWORK_TYPES: Final = {
    "nsx-t": VIRTUAL_NETWORK,
    "vsphere-distributed": NETWORK,
    "nsx-t-subnet": SUBNET,
    "nsx-t-subnetset": SUBNET_SET,
}
"""v1alpha1's `networkType` of an interface."""

CONSEQUENCES: Final[Mapping[Kind, str]] = {
    VIRTUAL_MACHINE_CLASS: "power-on may fail; assign the VM class to the namespace",
    STORAGE_CLASS: "its disks cannot be placed; assign the storage policy to the namespace",
    VIRTUAL_MACHINE_SET_RESOURCE_POLICY: "VM Operator cannot reconcile the VM; create the policy again",
    SUBNET: "its interface gets no network; create it again",
    SUBNET_SET: "its interface gets no network; create it again",
    VIRTUAL_NETWORK: "its interface gets no network; create it again",
    NETWORK: "its interface gets no network; assign the network to the namespace",
}
"""The effect of a missing object, and the remedy. The keys are the kinds to list in a target namespace."""

_SHOWN: Final = 3


class Referring(Protocol):
    """A VM in a capture, with its references."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def references(self) -> Mapping[str, Sequence[str]]:
        """Names of the referenced objects, by `resource.group`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingReference:
    """An object that VMs name and that does not exist."""

    kind: Kind
    name: str
    machines: tuple[str, ...]
    message: str


def references(vm: Manifest) -> dict[str, tuple[str, ...]]:
    """Return the names that a VirtualMachine refers to, sorted, by `resource.group`."""
    by_resource: dict[str, set[str]] = {}
    for resource, name in _references(vm):
        if name:
            by_resource.setdefault(resource, set()).add(str(name))
    return {resource: tuple(sorted(names)) for resource, names in sorted(by_resource.items())}


def referred_kinds(vms: Iterable[Referring]) -> frozenset[Kind]:
    """Return the kinds that VMs refer to and that are listed in a target namespace."""
    named = {resource for vm in vms for resource in vm.references}
    return frozenset(kind for kind in CONSEQUENCES if kind.resource in named)


def _references(vm: Manifest) -> Iterator[tuple[str, object]]:
    spec = vm.spec
    yield VIRTUAL_MACHINE_CLASS.resource, spec.get("className")
    yield STORAGE_CLASS.resource, spec.get("storageClass")
    for volume in sequence(spec.get("volumes")):
        claim = mapping(mapping(volume).get("persistentVolumeClaim"))
        yield STORAGE_CLASS.resource, mapping(claim.get("instanceVolumeClaim")).get("storageClass")
    policy_name = mapping(spec.get("reserved")).get("resourcePolicyName") or spec.get("resourcePolicyName")
    yield VIRTUAL_MACHINE_SET_RESOURCE_POLICY.resource, policy_name
    for interface in sequence(mapping(spec.get("network")).get("interfaces")):
        network = mapping(mapping(interface).get("network"))
        kind = next((known for known in NETWORK_KINDS if known.name == network.get("kind")), None)
        yield kind.resource if kind else PROVIDERS_NETWORK, network.get("name")
    for interface in map(mapping, sequence(spec.get("networkInterfaces"))):
        kind = LEGACY_NETWORK_TYPES.get(str(interface.get("networkType")))
        yield kind.resource if kind else PROVIDERS_NETWORK, interface.get("networkName")


def missing_references(
    vms: Iterable[Referring], present: Mapping[Kind, Collection[str]], *, namespace: str
) -> tuple[MissingReference, ...]:
    """Return the references of VMs that are missing in the target namespace, by kind and name.

    `present` maps each kind that could be listed to the names of its objects; other kinds are passed over.
    """
    users: dict[tuple[Kind, str], list[str]] = {}
    for vm in vms:
        for kind, names in present.items():
            for name in vm.references.get(kind.resource, ()):
                if name not in names:
                    users.setdefault((kind, name), []).append(vm.name)
    return tuple(
        MissingReference(kind=kind, name=name, machines=tuple(who), message=message(kind.name, name, who, namespace))
        for (kind, name), who in sorted(users.items())
    )


def message(kind: str, name: str, vms: Sequence[str], namespace: str) -> str:
    """Say which VMs refer to a missing object, the effect, and the remedy."""
    who = ", ".join(vms[:_SHOWN])
    if len(vms) > _SHOWN:
        who += f" and {len(vms) - _SHOWN} more"
    verb = "refers" if len(vms) == 1 else "refer"
    where = (
        "which the cluster does not have" if kind == STORAGE_CLASS.name else f"which is not in namespace {namespace}"
    )
    what_follows = next((text for known, text in CONSEQUENCES.items() if known.name == kind), "the VM may not work")
    return f"{who} {verb} to {kind} {name}, {where}: the restore does not recreate it, {what_follows}"


def bootstrap(vm: Manifest) -> tuple[str, ...]:
    """Return the names of the Secrets and ConfigMaps for the VM's bootstrap."""
    return tuple(sorted({*_bootstrap_references(vm.spec.get("bootstrap")), *_legacy_bootstrap(vm)}))


def _bootstrap_references(value: object) -> Iterator[str]:
    """Yield every `{name, key}` selector below `spec.bootstrap` (vmprovider_utils.go)."""
    ahead = [value]
    while ahead:
        node = ahead.pop()
        if isinstance(node, list):
            ahead += node
        if not isinstance(node, dict):
            continue
        if isinstance(node.get("name"), str) and isinstance(node.get("key"), str):
            yield node["name"]
        if isinstance(node.get("rawProperties"), str):
            yield node["rawProperties"]
        ahead += node.values()


def _legacy_bootstrap(vm: Manifest) -> Iterator[str]:
    """Yield v1alpha1's `spec.vmMetadata` references."""
    metadata = mapping(vm.spec.get("vmMetadata"))
    for key in ("secretName", "configMapName"):
        if metadata.get(key):
            yield str(metadata[key])
