"""RegisterVM's network override: which subnet a restored machine's interfaces are moved to.

Guide 7.3.2 and 9.3: only with NSX-VPC and from VCF 9.0 on. A SubnetSet without a name is the namespace's default one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import model_validator

from velero_vmservice.core.foreign_text import one_line
from velero_vmservice.core.generation import Feature, Told
from velero_vmservice.core.manifest import SUBNET, SUBNET_SET, mapping, sequence
from velero_vmservice.core.operation import enumerate_some
from velero_vmservice.core.settings_section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.core.generation import Generation
    from velero_vmservice.core.manifest import Manifest

DEFAULT_INTERFACE: Final = "eth0"
"""VM Operator's name of the one interface of a machine that names none."""

MOST_INTERFACES: Final = 10
"""Network cards that a virtual machine of vSphere can have."""
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


class SubnetMapping(Section):
    """One line of the plan: what was there, and what is to be."""

    current: Subnet
    new: Subnet


NetworkOverride = tuple[SubnetMapping, ...]


def body(override: NetworkOverride) -> dict[str, Any]:
    """Return the override as RegisterVM's API takes it."""
    return {
        "subnet_mappings": [
            {"current_subnet": one.current.model_dump(), "new_subnet": one.new.model_dump()} for one in override
        ]
    }


def refusals(override: NetworkOverride, *, generation: Generation, vpc: bool | None) -> Iterator[str]:
    """Yield why the target cannot be asked for the override; nothing if there is none, or it can."""
    if not override:
        return
    if Told(generation=generation, evidence="").supports(Feature.NETWORK_OVERRIDE) is not True:
        yield (
            f"the settings map subnets, and RegisterVM does so from VCF 9.0 on; this Supervisor is {generation}: take"
            " registration.subnet_mappings out of the settings (guide 7.3.2)"
        )
    if vpc is not True:
        found = "has none" if vpc is False else "cannot be asked for its networks"
        yield (
            f"the settings map subnets, and RegisterVM does so in an NSX-VPC only; the namespace {found}: with VDS or"
            " pre-VPC NSX networking take registration.subnet_mappings out of the settings (guide 7.3.2)"
        )
    twice = sorted({str(one.current) for one in override if [two.current for two in override].count(one.current) > 1})
    if twice:
        yield f"the settings map {twice[0]} twice: leave one mapping of it in registration.subnet_mappings"


def planned(before: Mapping[str, Subnet | None], override: NetworkOverride) -> dict[str, Subnet]:
    """Return where each of a recorded machine's `interfaces` that the override names is to be, by its name."""
    plan = {one.current: one.new for one in override}
    return {name: plan[current] for name, current in before.items() if current in plan}


def unfit(before: Mapping[str, Subnet | None], override: NetworkOverride) -> Iterator[str]:
    """Yield which subnets of the override a recorded machine is not on, where an interface of it stays: a typo, maybe.

    Mappings are for all machines, so one that lacks an interface is no news of a machine whose own are all moved.
    """
    there = set(before.values())
    lacking = [str(one.current) for one in override if one.current not in there]
    if lacking and set(before) - set(planned(before, override)):
        found = enumerate_some([f"{one_line(name)} {_now(before, name)}" for name in before], most=3)
        named = enumerate_some(lacking, most=3)
        yield f"registration.subnet_mappings maps {named}, and none of its interfaces is there (it has: {found})"


def unmoved(plan: Mapping[str, Subnet], after: Mapping[str, Subnet | None]) -> tuple[str, ...]:
    """Compare the `interfaces` after the registration with what was planned; return a sentence for each difference."""
    return tuple(
        f"interface {one_line(name)} is {_now(after, name)}, not on {subnet} as registration.subnet_mappings says:"
        " correct spec.network of the VirtualMachine before it is powered on"
        for name, subnet in plan.items()
        if after.get(name) != subnet
    )


def _now(after: Mapping[str, Subnet | None], name: str) -> str:
    if name not in after:
        return "gone"
    return f"on {one_line(str(after[name]))}" if after[name] else "on a network of another kind"


def interfaces(machine: Manifest) -> dict[str, Subnet | None]:
    """Return the subnet of each interface by its name; None for a network of another kind.

    A record may list anything, so no more is read than a machine can have.
    """
    network = mapping(machine.spec.get("network"))
    listed = [mapping(one) for one in sequence(network.get("interfaces"))[:MOST_INTERFACES]]
    if not listed and not network.get("disabled"):
        listed = [{}]  # VM Operator makes one, on the default network
    return {str(one.get("name") or DEFAULT_INTERFACE)[:LONGEST_NAME]: _subnet(one.get("network")) for one in listed}


def _subnet(reference: Any) -> Subnet | None:
    named = mapping(reference)
    kind, name = str(named.get("kind") or SUBNET_SET.name), str(named.get("name") or "")[:LONGEST_NAME]
    if kind == SUBNET_SET.name:
        return Subnet(type="SUBNETSET", name=name)
    return Subnet(type="SUBNET", name=name) if kind == SUBNET.name and name else None
