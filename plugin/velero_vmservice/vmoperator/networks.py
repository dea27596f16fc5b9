"""The subnets of a VirtualMachine's interfaces, as its specification names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import model_validator

from velero_vmservice.kube.manifest import SUBNET, SUBNET_SET, mapping, sequence
from velero_vmservice.settings_section import Section

if TYPE_CHECKING:
    from velero_vmservice.kube.manifest import Manifest

DEFAULT_INTERFACE: Final = "eth0"
"""VM Operator's name of the one interface of a VM that names none."""

MOST_INTERFACES: Final = 10
"""Network cards that a VM of vSphere can have."""

LONGEST_NAME: Final = 253
"""Characters of an object's name in Kubernetes."""


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
