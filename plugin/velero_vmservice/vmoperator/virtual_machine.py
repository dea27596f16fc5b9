"""What a VirtualMachine of any served version says, read alike at backup and at restore.

The fields moved between v1alpha1 and v1alpha6 (vm-service 4.6); callers need not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import model_validator

from velero_vmservice.kube.manifest import SUBNET, SUBNET_SET, Manifest, mapping, sequence
from velero_vmservice.settings_section import Section
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Iterator


DEFAULT_INTERFACE: Final = "eth0"
"""VM Operator's name of the one interface of a VM that names none."""
MOST_INTERFACES: Final = 10
"""Network cards that a VM of vSphere can have."""
LONGEST_NAME: Final = 253
"""Characters of an object's name in Kubernetes."""


def power_state(vm: Manifest) -> str:
    """Return `PoweredOn`, `PoweredOff`, `Suspended` or '' in today's spelling; v1alpha1 began them in lower case."""
    state = str(vm.status.get("powerState", ""))
    return state[:1].upper() + state[1:]


def addresses(vm: Manifest) -> tuple[str, ...]:
    """Return the primary addresses, v4 first."""
    network = mapping(vm.status.get("network"))
    candidates = (network.get("primaryIP4"), network.get("primaryIP6"), vm.status.get("vmIp"))
    return tuple(str(address) for address in candidates if address)


def volumes(vm: Manifest) -> dict[str, str]:
    """Return the claim behind each volume of `spec.volumes` that has one."""
    return dict(_volumes(vm))


def _volumes(vm: Manifest) -> Iterator[tuple[str, str]]:
    for volume in sequence(vm.spec.get("volumes")):
        claim = mapping(mapping(volume).get("persistentVolumeClaim")).get("claimName")
        if claim:
            yield str(volume.get("name") or claim), str(claim)


def image(vm: Manifest) -> str:
    """Return the name of the image, '' if there is none: `spec.image` since v1alpha3, `spec.imageName` before."""
    return str(mapping(vm.spec.get("image")).get("name") or vm.spec.get("imageName") or "")


def instance_id(vm: Manifest) -> str:
    """Return cloud-init's instance id: the spec's, or the annotation's where the spec names none (guide 8.1.5)."""
    cloud_init = mapping(mapping(vm.spec.get("bootstrap")).get("cloudInit"))
    named = (vm.annotations.get(annotation) for annotation in marks.INSTANCE_ID_ANNOTATIONS)
    return str(cloud_init.get("instanceID") or next(filter(None, named), ""))


def lifecycle_annotations(vm: Manifest) -> dict[str, str]:
    """Return those of the five created-at and upgraded-to annotations that are there (guide 8.1.3)."""
    kept = (*marks.CREATED_AT_ANNOTATIONS, *marks.UPGRADED_TO_ANNOTATIONS)
    return {key: str(vm.annotations[key]) for key in kept if key in vm.annotations}


def user_annotations(vm: Manifest) -> tuple[str, ...]:
    """Return the names, sorted, of the annotations that are the user's."""
    return tuple(sorted(key for key in vm.annotations if is_users(key)))


def is_users(key: str) -> bool:
    """Say whether a label or annotation is the user's, and not the platform's (`policy`)."""
    domain, slash, _ = key.rpartition("/")
    if (domain or key).endswith(marks.PROTECTED):
        return False
    if not slash:
        return not key.startswith(marks.INFRASTRUCTURE_PREFIXES)
    return not any(domain == platform or domain.endswith(f".{platform}") for platform in marks.INFRASTRUCTURE_DOMAINS)


def snapshot_reverted_to(vm: Manifest) -> str:
    """Return the snapshot that the VM is being reverted to; VM Operator empties the field afterwards."""
    reference = mapping(vm.spec.get("currentSnapshot")).get("name")
    return str(vm.spec.get("currentSnapshotName") or reference or "")


def is_recorded(vm: Manifest) -> bool:
    """Say whether VM Operator records the VM for restore (vmprovider_vm.go, label.go)."""
    node = any(label in vm.labels for label in marks.GUEST_CLUSTER_LABELS)
    return not node or marks.FORCE_BACKUP_ANNOTATION in vm.annotations


def bootstrap(vm: Manifest) -> tuple[str, ...]:
    """Return the names of the Secrets and ConfigMaps that the VM is bootstrapped from."""
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


class Subnet(Section):
    """A subnet as RegisterVM's API names it."""

    type: Literal["SUBNET", "SUBNETSET"]
    name: str = ""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.type == "SUBNET" and not self.name:
            raise ValueError("needs a name, for it is a SUBNET; a SUBNETSET without a name is the default one")
        return self

    def __str__(self) -> str:
        kind = "Subnet" if self.type == "SUBNET" else "SubnetSet"
        return f"{kind} {self.name}" if self.name else f"the default {kind}"


def interfaces(vm: Manifest) -> dict[str, Subnet | None]:
    """Return the subnet of each interface by its name; None for a network of another kind.

    A record may list anything, so no more is read than a VM can have.
    """
    network = mapping(vm.spec.get("network"))
    listed = [mapping(interface) for interface in sequence(network.get("interfaces"))[:MOST_INTERFACES]]
    if not listed and not network.get("disabled"):
        listed = [{}]  # VM Operator makes one, on the default network
    return {
        str(interface.get("name") or DEFAULT_INTERFACE)[:LONGEST_NAME]: _subnet(interface.get("network"))
        for interface in listed
    }


def _subnet(reference: Any) -> Subnet | None:
    named = mapping(reference)
    kind, name = str(named.get("kind") or SUBNET_SET.name), str(named.get("name") or "")[:LONGEST_NAME]
    if kind == SUBNET_SET.name:
        return Subnet(type="SUBNETSET", name=name)
    return Subnet(type="SUBNET", name=name) if kind == SUBNET.name and name else None
