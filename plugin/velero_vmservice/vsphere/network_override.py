"""RegisterVM's network override: which subnet a restored VM's interfaces are moved to.

Guide 7.3.2 and 9.3: only with NSX-VPC and from VCF 9.0 on. A SubnetSet without a name is the namespace's default one.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from velero_vmservice.settings_section import Section
from velero_vmservice.text import enumerate_some, one_line
from velero_vmservice.vmoperator.releases import Feature, SupervisorRelease
from velero_vmservice.vmoperator.virtual_machine import Subnet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.vmoperator.releases import Generation


class SubnetMapping(Section):
    """One line of the plan: what was there, and what is to be."""

    current: Subnet
    new: Subnet


NetworkOverride = tuple[SubnetMapping, ...]


def body(override: NetworkOverride) -> dict[str, Any]:
    """Return the override as RegisterVM's API takes it."""
    return {
        "subnet_mappings": [
            {"current_subnet": asdict(mapping.current), "new_subnet": asdict(mapping.new)} for mapping in override
        ]
    }


def refusals(override: NetworkOverride, *, generation: Generation, vpc: bool | None) -> Iterator[str]:
    """Yield why the target cannot be asked for the override; nothing if there is none, or it can."""
    if not override:
        return
    if SupervisorRelease(generation=generation, evidence="").supports(Feature.NETWORK_OVERRIDE) is not True:
        yield (
            f"the settings map subnets, and RegisterVM does so from VCF 9.0 on; this Supervisor is {generation}: take"
            " registration.subnet_mappings out of the settings (guide 7.3.2)"
        )
    if vpc is not True:
        networking = "has none" if vpc is False else "cannot be asked for its networks"
        yield (
            f"the settings map subnets, and RegisterVM does so in an NSX-VPC only; the namespace {networking}: with VDS"
            " or pre-VPC NSX networking take registration.subnet_mappings out of the settings (guide 7.3.2)"
        )
    current = [mapping.current for mapping in override]
    twice = sorted({str(subnet) for subnet in current if current.count(subnet) > 1})
    if twice:
        yield f"the settings map {twice[0]} twice: leave one mapping of it in registration.subnet_mappings"


def planned(before: Mapping[str, Subnet | None], override: NetworkOverride) -> dict[str, Subnet]:
    """Return where each of a recorded VM's `interfaces` that the override names is to be, by its name."""
    plan = {mapping.current: mapping.new for mapping in override}
    return {name: plan[current] for name, current in before.items() if current in plan}


def unfit(before: Mapping[str, Subnet | None], override: NetworkOverride) -> Iterator[str]:
    """Yield which subnets of the override a recorded VM is not on, where an interface of it stays: a typo, maybe.

    Mappings are for all VMs, so one that lacks an interface is no news of a VM whose own are all moved.
    """
    current = set(before.values())
    lacking = [str(mapping.current) for mapping in override if mapping.current not in current]
    if lacking and set(before) - set(planned(before, override)):
        interfaces = enumerate_some([f"{one_line(name)} {_now(before, name)}" for name in before], most=3)
        mapped = enumerate_some(lacking, most=3)
        yield f"registration.subnet_mappings maps {mapped}, and none of its interfaces is there (it has: {interfaces})"


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
