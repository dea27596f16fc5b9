"""RegisterVM's network override: the new subnets of a restored VM's interfaces.

Guide 7.3.2 and 9.3: only with NSX-VPC and from VCF 9.0 on. A SubnetSet without a name is the namespace's default one.
The settings map subnets for every restore; the mappings of a restore replace those of the settings.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, PlainSerializer, TypeAdapter, ValidationError

from velero_vmservice.settings_section import Section
from velero_vmservice.text import enumerate_some, one_line
from velero_vmservice.vmoperator.releases import Feature, SupervisorRelease
from velero_vmservice.vmoperator.virtual_machine import LONGEST_NAME, Subnet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.vmoperator.releases import Generation

NONE: Final = "none"
"""A restore's value for no override although the settings have one."""
FORM: Final = (
    "OLD=NEW, each a subnet/NAME or a subnetset/NAME (a NAME alone is a subnet, subnetset/ is the default SubnetSet)"
)
_NAME: Final = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?")
_SEPARATORS: Final = re.compile(r"[,\s]+")
_TYPES: Final[Mapping[str, Literal["SUBNET", "SUBNETSET"]]] = {"subnet": "SUBNET", "subnetset": "SUBNETSET"}


class SubnetMapping(Section):
    """One line of the plan: the old and the new subnet."""

    current: Subnet
    new: Subnet


NetworkOverride = tuple[SubnetMapping, ...]
_OVERRIDE: Final = TypeAdapter(NetworkOverride)


def spell(override: NetworkOverride) -> str:
    """Return an override in the notation of a restore's annotation."""
    return ",".join(f"{mapping.current.notation}={mapping.new.notation}" for mapping in override) or NONE


def read_override(text: str) -> NetworkOverride:
    """Read mappings that are separated by commas or blanks; raises `ValueError` with the wrong one.

    Blanks are allowed because `velero restore create --annotations` begins another annotation at each comma.
    """
    if text.strip() == NONE:
        return ()
    override = tuple(_read_mapping(entry) for entry in _SEPARATORS.split(text.strip()))
    if mapped_twice(override):
        raise ValueError("maps one subnet twice")
    return override


def _read_mapping(text: str) -> SubnetMapping:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ValueError(f"has a mapping that is not of the form {FORM}")
    current = _read_subnet(old, "SUBNET")
    return SubnetMapping(current=current, new=_read_subnet(new, current.type))


def _read_subnet(text: str, default: Literal["SUBNET", "SUBNETSET"]) -> Subnet:
    kind, slash, name = text.rpartition("/")
    subnet_type = _TYPES.get(kind.lower()) if slash else default
    if subnet_type is None or len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise ValueError(f"has a mapping that names neither a subnet nor a SubnetSet: {FORM}")
    if subnet_type == "SUBNET" and not name:
        raise ValueError(f"has a mapping that lacks the name of the subnet: {FORM}")
    return Subnet(type=subnet_type, name=name)


def _value(value: Any) -> Any:
    return read_override(value) if isinstance(value, str) else value


RestoreOverride = Annotated[
    NetworkOverride | None,
    BeforeValidator(_value),
    PlainSerializer(lambda override: None if override is None else spell(override), return_type=str | None),
]
"""The mappings of one restore as its annotation spells them; None leaves them to the settings."""


class Origin(StrEnum):
    """The place of an override's mappings, as a phrase for sentences."""

    SETTINGS = "registration.subnet_mappings"
    RESTORE = "the restore's network-override"

    @property
    def remedy(self) -> str:
        """How to remove them."""
        return f"take {self} out of the settings" if self is Origin.SETTINGS else f"leave {self} out"

    @property
    def maps(self) -> str:
        """The beginning of a sentence about the mappings."""
        return "the settings map" if self is Origin.SETTINGS else "the restore maps"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenOverride:
    """The override of a call, and its origin."""

    mappings: NetworkOverride = ()
    origin: Origin = Origin.SETTINGS


def body(override: NetworkOverride) -> dict[str, Any]:
    """Return the override in the form of RegisterVM's API."""
    return {
        "subnet_mappings": [
            {"current_subnet": asdict(mapping.current), "new_subnet": asdict(mapping.new)} for mapping in override
        ]
    }


def dump(override: NetworkOverride) -> str:
    """Return the override in the form of the record of a call."""
    return _OVERRIDE.dump_json(override).decode()


def load(text: str) -> NetworkOverride:
    """Read an override that `dump` wrote; raises `ValueError`."""
    try:
        return _OVERRIDE.validate_json(text)
    except ValidationError as error:
        raise ValueError("the recorded network override cannot be read") from error


def mapped_twice(override: NetworkOverride) -> str:
    """Return a subnet that the override maps more than once; '' if there is none."""
    current = [mapping.current for mapping in override]
    return next(iter(sorted({str(subnet) for subnet in current if current.count(subnet) > 1})), "")


def refusals(chosen: ChosenOverride, *, generation: Generation, vpc: bool | None) -> Iterator[str]:
    """Yield reasons why the target does not support the override; none if there is no override."""
    if not chosen.mappings:
        return
    maps, remedy = chosen.origin.maps, chosen.origin.remedy
    if SupervisorRelease(generation=generation, evidence="").supports(Feature.NETWORK_OVERRIDE) is not True:
        yield (
            f"{maps} subnets, and RegisterVM does so from VCF 9.0 on; this Supervisor is {generation}: {remedy} (guide"
            " 7.3.2)"
        )
    if vpc is not True:
        networking = "has none" if vpc is False else "cannot be asked for its networks"
        yield (
            f"{maps} subnets, and RegisterVM does so in an NSX-VPC only; the namespace {networking}: with VDS or"
            f" pre-VPC NSX networking {remedy} (guide 7.3.2)"
        )
    if twice := mapped_twice(chosen.mappings):
        yield f"{maps} {twice} twice: leave one mapping of it in {chosen.origin}"


def planned(before: Mapping[str, Subnet | None], override: NetworkOverride) -> dict[str, Subnet]:
    """Return the new subnet of each of a recorded VM's `interfaces` that the override moves, by its name."""
    plan = {mapping.current: mapping.new for mapping in override}
    return {name: plan[current] for name, current in before.items() if current in plan}


def unfit(before: Mapping[str, Subnet | None], chosen: ChosenOverride) -> Iterator[str]:
    """Yield mappings that fit no interface of a recorded VM while an interface of it stays: maybe a typo.

    Mappings are for all VMs, so an unused mapping is normal for a VM whose interfaces are all moved.
    """
    current = set(before.values())
    lacking = [str(mapping.current) for mapping in chosen.mappings if mapping.current not in current]
    if lacking and set(before) - set(planned(before, chosen.mappings)):
        interfaces = enumerate_some([f"{one_line(name)} {_now(before, name)}" for name in before], most=3)
        mapped = enumerate_some(lacking, most=3)
        yield f"{chosen.origin} maps {mapped}, and none of its interfaces is there (it has: {interfaces})"


def unmatched(chosen: ChosenOverride, recorded: Collection[str]) -> str:
    """Say which mappings fit none of the networks in the records of a restore's VMs; '' if each fits one.

    `recorded` holds the `Subnet.notation` of each.
    """
    mapped = [mapping.current.notation for mapping in chosen.mappings]
    lacking = [notation for notation in mapped if notation not in recorded]
    if not lacking:
        return ""
    known = enumerate_some(sorted(recorded), most=5) if recorded else "none"
    return f"{chosen.origin} maps {', '.join(lacking)}, and no VM was on it at the backup; recorded are: {known}"


def unmoved(plan: Mapping[str, Subnet], after: Mapping[str, Subnet | None]) -> tuple[str, ...]:
    """Compare the `interfaces` after the registration with the plan; return a sentence for each difference."""
    return tuple(
        f"interface {one_line(name)} is {_now(after, name)}, not on {subnet} as the network override says: correct"
        " spec.network of the VirtualMachine before it is powered on"
        for name, subnet in plan.items()
        if after.get(name) != subnet
    )


def _now(after: Mapping[str, Subnet | None], name: str) -> str:
    if name not in after:
        return "gone"
    return f"on {one_line(str(after[name]))}" if after[name] else "on a network of another kind"
