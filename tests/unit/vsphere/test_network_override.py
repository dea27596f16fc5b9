from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.builders import m, vm
from velero_vmservice.registervm.policy import TriggerPolicy
from velero_vmservice.vmoperator.releases import Generation
from velero_vmservice.vmoperator.virtual_machine import LONGEST_NAME, MOST_INTERFACES, Subnet, interfaces
from velero_vmservice.vsphere.network_override import (
    ChosenOverride,
    Origin,
    SubnetMapping,
    body,
    planned,
    refusals,
    unfit,
    unmatched,
)

PROD = SubnetMapping(current=Subnet(type="SUBNET", name="prod-a"), new=Subnet(type="SUBNET", name="dr-a"))
DEFAULT = SubnetMapping(current=Subnet(type="SUBNETSET"), new=Subnet(type="SUBNETSET", name="dr-default"))


def test_the_call_carries_the_guides_own_example() -> None:
    assert body((PROD, DEFAULT)) == {
        "subnet_mappings": [
            {
                "current_subnet": {"type": "SUBNET", "name": "prod-a"},
                "new_subnet": {"type": "SUBNET", "name": "dr-a"},
            },
            {
                "current_subnet": {"type": "SUBNETSET", "name": ""},
                "new_subnet": {"type": "SUBNETSET", "name": "dr-default"},
            },
        ]
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"current": {"type": "SUBNET"}, "new": {"type": "SUBNET", "name": "x"}},
        {"current": {"type": "SUBNET", "name": "x"}, "new": {"type": "SUBNET", "name": ""}},
        {"current": {"type": "VLAN", "name": "x"}, "new": {"type": "SUBNET", "name": "x"}},
        {"current": {"type": "SUBNET", "name": "x"}},
        {"current": {"type": "SUBNET", "name": "x"}, "new": {"type": "SUBNET", "name": "x"}, "mode": "fast"},
    ],
)
def test_a_mapping_that_says_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TriggerPolicy.model_validate({"mode": "trigger", "subnet_mappings": [wrong]})


def test_a_vm_with_no_interface_listed_is_on_the_default_subnet_set() -> None:
    assert planned(interfaces(m(vm("web-1"))), (PROD, DEFAULT)) == {"eth0": DEFAULT.new}
    assert planned(interfaces(m(vm("web-1", spec={"network": {"disabled": True}}))), (PROD, DEFAULT)) == {}


def test_hostile_interfaces_are_kept_up_to_the_number_a_vm_can_have() -> None:
    network = {"interfaces": [{"name": f"{n}-" + "x" * 9_000, "network": {"name": "y" * 9_000}} for n in range(500)]}
    by_interface = interfaces(m(vm("web-1", spec={"network": network})))
    assert len(by_interface) == MOST_INTERFACES
    assert {len(name) for name in by_interface} == {LONGEST_NAME}
    assert {len(override.name) for override in by_interface.values() if override} == {LONGEST_NAME}


def test_a_mapping_of_other_vms_is_no_news_of_one_whose_interfaces_are_all_moved() -> None:
    a, b = Subnet(type="SUBNET", name="prod-a"), Subnet(type="SUBNET", name="prod-b")
    both, prod = ChosenOverride(mappings=(PROD, DEFAULT)), ChosenOverride(mappings=(PROD,))
    assert list(unfit({"eth0": a}, both)) == []
    assert list(unfit({"eth0": a, "eth1": b}, prod)) == []
    assert list(unfit({}, prod)) == []
    (note,) = unfit({"eth0": a, "eth1": b, "eth2": None}, both)
    assert note == (
        "registration.subnet_mappings maps the default SubnetSet, and none of its interfaces is there (it has: eth0 on"
        " Subnet prod-a; eth1 on Subnet prod-b; eth2 on a network of another kind)"
    )


def test_a_subnet_that_is_mapped_twice_is_refused() -> None:
    other = SubnetMapping(current=PROD.current, new=DEFAULT.new)
    sound, twice = ChosenOverride(mappings=(PROD, DEFAULT)), ChosenOverride(mappings=(PROD, other))
    assert list(refusals(sound, generation=Generation.VCF_9, vpc=True)) == []
    (refusal,) = refusals(twice, generation=Generation.VCF_9, vpc=True)
    assert refusal.startswith("the settings map Subnet prod-a twice")


def test_no_mapping_needs_no_support() -> None:
    assert list(refusals(ChosenOverride(), generation=Generation.VSPHERE_8_U3, vpc=None)) == []


def test_a_refusal_names_the_place_where_the_mappings_stand() -> None:
    own = ChosenOverride(mappings=(PROD,), origin=Origin.RESTORE)
    release, networking = refusals(own, generation=Generation.VSPHERE_8_U3, vpc=False)
    assert release == (
        "the restore maps subnets, and RegisterVM does so from VCF 9.0 on; this Supervisor is vSphere 8.0 U3: leave the"
        " restore's network-override out (guide 7.3.2)"
    )
    assert networking == (
        "the restore maps subnets, and RegisterVM does so in an NSX-VPC only; the namespace has none: with VDS or"
        " pre-VPC NSX networking leave the restore's network-override out (guide 7.3.2)"
    )


def test_a_mapping_of_no_recorded_network_is_named_with_those_that_are() -> None:
    own = ChosenOverride(mappings=(PROD, DEFAULT), origin=Origin.RESTORE)
    assert unmatched(own, {"subnet/prod-a", "subnetset/"}) == ""
    assert unmatched(own, {"subnet/prod-b", "subnetset/"}) == (
        "the restore's network-override maps subnet/prod-a, and no VM was on it at the backup; recorded are:"
        " subnet/prod-b; subnetset/"
    )
    assert unmatched(own, ()).endswith(
        "maps subnet/prod-a, subnetset/, and no VM was on it at the backup; recorded are: none"
    )
