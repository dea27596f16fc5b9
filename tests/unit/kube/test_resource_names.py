"""Names of resources, resolved as kubectl's and Velero's discovery do."""

from __future__ import annotations

import pytest

from velero_vmservice.kube.manifest import SERVICE, VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, Kind
from velero_vmservice.kube.names import VM_OPERATOR_RESOURCES, NamedResource, full_name

OTHERS = (
    NamedResource(kind=SERVICE, singular="service", short_names=("svc",)),
    NamedResource(kind=Kind("kubevirt.example.com", "virtualmachines", "VirtualMachine"), short_names=("vm", "vms")),
)
SERVICES, GROUPS = VIRTUAL_MACHINE_SERVICE.resource, VIRTUAL_MACHINE_GROUP.resource


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("virtualmachineservices", SERVICES),
        ("virtualmachineservice", SERVICES),
        ("VirtualMachineServices", SERVICES),
        ("vmservice", SERVICES),
        ("vmservice.vmoperator.vmware.com", SERVICES),
        ("vmg", GROUPS),
        ("VMG", "VMG"),
        ("vmg.vmoperator", GROUPS),
        ("vmg.example.com", "vmg.example.com"),
        ("virtualmachinegroups.vmoperator.vmware.com", GROUPS),
        ("virtualmachinegroups.other", "virtualmachinegroups.other"),
        ("svc", "services"),
        ("services", "services"),
        ("virtualmachines", "virtualmachines.kubevirt.example.com"),
        ("vm", "virtualmachines.kubevirt.example.com"),
        ("vm.vmoperator.vmware.com", "virtualmachines.vmoperator.vmware.com"),
        ("nothing", "nothing"),
        ("virtualmachine*", "virtualmachine*"),
        ("", ""),
    ],
)
def test_a_name_stands_for_the_first_resource_that_has_it(name: str, want: str) -> None:
    assert full_name(name, (*OTHERS, *VM_OPERATOR_RESOURCES)) == want
