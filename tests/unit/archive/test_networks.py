"""The networks of captured VMs, as a person maps them; those that an earlier release has recorded too."""

from __future__ import annotations

from velero_vmservice.archive.facts import ExpectedVm, VmFacts
from velero_vmservice.archive.networks import recorded_networks


def expected(name: str, **known: object) -> ExpectedVm:
    return ExpectedVm(name=name, facts=VmFacts(name=name, **known))  # type: ignore[arg-type]


def shown(*vms: ExpectedVm) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(network.notation, network.vms) for network in recorded_networks({"shop": vms})]


def test_each_network_is_named_once_with_its_vms_those_that_can_be_mapped_first() -> None:
    web_1 = expected("web-1", interfaces={"eth0": "subnet/b", "eth1": "subnetset/"})
    web_2 = expected("web-2", interfaces={"eth0": "", "eth1": "subnet/b", "eth2": "subnet/a"})
    assert shown(web_2, web_1) == [
        ("subnet/a", ("web-2",)),
        ("subnet/b", ("web-1", "web-2")),
        ("subnetset/", ("web-1",)),
        ("", ("web-2",)),
    ]


def test_a_vm_without_a_network_has_none() -> None:
    assert shown(expected("web-1", interfaces={})) == []


def test_an_earlier_release_has_recorded_named_subnets_and_that_is_not_all() -> None:
    references = {
        "subnets.crd.nsx.vmware.com": ("prod-a",),
        "subnetsets.crd.nsx.vmware.com": ("pool",),
        "storageclasses.storage.k8s.io": ("fast",),
    }
    assert shown(expected("web-1", references=references), ExpectedVm(name="web-2")) == [
        ("subnet/prod-a", ("web-1",)),
        ("subnetset/pool", ("web-1",)),
        (None, ("web-1", "web-2")),
    ]


def test_nodes_of_guest_clusters_are_left_out_as_nothing_registers_them() -> None:
    assert shown(expected("node-1", recorded=False, interfaces={"eth0": "subnet/a"})) == []
