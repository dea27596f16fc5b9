"""Expectations: guide 10.2, and the fields of each served version's VirtualMachine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import m, machine, vm
from velero_vmservice.kube.manifest import (
    STORAGE_CLASS,
    SUBNET,
    SUBNET_SET,
    VIRTUAL_MACHINE_CLASS,
    VIRTUAL_MACHINE_SET_RESOURCE_POLICY,
    Kind,
)
from velero_vmservice.vmoperator import references

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CLASS = VIRTUAL_MACHINE_CLASS.resource
NSX = "crd.nsx.vmware.com/v1alpha1"

READ = [
    ("nothing", {}, {}),
    ("a VM class", {"className": "best-effort-small"}, {CLASS: ("best-effort-small",)}),
    ("a storage class", {"storageClass": "vsan"}, {STORAGE_CLASS.resource: ("vsan",)}),
    (
        "storage classes of instance volumes, each once",
        {
            "storageClass": "vsan",
            "volumes": [
                {"name": "a", "persistentVolumeClaim": {"instanceVolumeClaim": {"storageClass": "nvme"}}},
                {"name": "b", "persistentVolumeClaim": {"instanceVolumeClaim": {"storageClass": "vsan"}}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
            ],
        },
        {STORAGE_CLASS.resource: ("nvme", "vsan")},
    ),
    (
        "a resource policy",
        {"reserved": {"resourcePolicyName": "spread"}},
        {VIRTUAL_MACHINE_SET_RESOURCE_POLICY.resource: ("spread",)},
    ),
    (
        "a resource policy of v1alpha1",
        {"resourcePolicyName": "spread"},
        {VIRTUAL_MACHINE_SET_RESOURCE_POLICY.resource: ("spread",)},
    ),
    (
        "networks by kind, and one whose kind is the provider's",
        {
            "network": {
                "interfaces": [
                    {"name": "eth0", "network": {"apiVersion": NSX, "kind": "SubnetSet", "name": "public"}},
                    {"name": "eth1", "network": {"apiVersion": NSX, "kind": "Subnet", "name": "backend"}},
                    {"name": "eth2", "network": {"name": "workload"}},
                    {"name": "eth3"},
                ]
            }
        },
        {SUBNET_SET.resource: ("public",), SUBNET.resource: ("backend",), "networks": ("workload",)},
    ),
    (
        "networks of v1alpha1",
        {"networkInterfaces": [{"networkName": "vn", "networkType": "nsx-t"}, {"networkName": "pg"}]},
        {"virtualnetworks.vmware.com": ("vn",), "networks": ("pg",)},
    ),
    ("malformed entries", {"volumes": [None], "network": {"interfaces": [None]}, "networkInterfaces": "x"}, {}),
]


@pytest.mark.parametrize(("why", "spec", "want"), READ, ids=[why for why, *_ in READ])
def test_a_vms_references_are_read(why: str, spec: dict[str, Any], want: dict[str, Any]) -> None:
    assert references.references(m(vm("web-1", spec=spec))) == want, why


def missing(
    present: Mapping[Kind, Collection[str]], *machines: Any, namespace: str = "shop"
) -> tuple[references.MissingReference, ...]:
    return references.missing_references(machines, present, namespace=namespace)


WEB = machine(name="shop-web-1", references={CLASS: ("best-effort-small",), STORAGE_CLASS.resource: ("vsan",)})


def test_a_missing_object_is_named_with_the_vm_the_namespace_and_what_follows() -> None:
    (reference,) = missing({VIRTUAL_MACHINE_CLASS: {"best-effort-large"}}, WEB)
    assert (reference.kind, reference.name, reference.machines) == (
        VIRTUAL_MACHINE_CLASS,
        "best-effort-small",
        ("shop-web-1",),
    )
    assert reference.message == (
        "shop-web-1 refers to VirtualMachineClass best-effort-small, which is not in namespace shop:"
        " the restore does not recreate it, power-on may fail; assign the VM class to the namespace"
    )


@pytest.mark.parametrize(
    ("why", "present"),
    [
        ("everything is there", {VIRTUAL_MACHINE_CLASS: {"best-effort-small"}, STORAGE_CLASS: {"vsan"}}),
        ("no kind could be listed", {}),
        ("no VM refers to the kind that could be", {SUBNET: ()}),
    ],
)
def test_nothing_is_missing(why: str, present: Mapping[Kind, Collection[str]]) -> None:
    assert missing(present, WEB) == (), why


def test_an_object_that_many_vms_need_is_one_finding() -> None:
    machines = [machine(name=f"web-{number}", references=WEB.references) for number in range(1, 6)]
    storage, klass = missing({VIRTUAL_MACHINE_CLASS: (), STORAGE_CLASS: ()}, *machines, namespace="shop-dr")
    assert klass.message.startswith("web-1, web-2, web-3 and 2 more refer to VirtualMachineClass")
    assert "namespace shop-dr" in klass.message
    assert len(klass.machines) == 5
    assert "which the cluster does not have" in storage.message


@pytest.mark.parametrize("kind", references.CONSEQUENCES, ids=lambda kind: kind.name)
def test_every_kind_to_be_listed_says_what_follows(kind: Kind) -> None:
    (reference,) = missing({kind: ()}, machine(references={kind.resource: ("x",)}))
    assert references.CONSEQUENCES[kind] in reference.message


def test_facts_of_an_older_writer_refer_to_nothing() -> None:
    assert missing({VIRTUAL_MACHINE_CLASS: ()}, machine(name="web-1")) == ()
