from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.builders import facts, group, m, service, vm
from velero_vmservice.archive.topology import cycle_of, every_vm, guest_cluster_reason, matches, named, topology

NODE = {"capv.vmware.com/cluster.role": "node"}


@pytest.mark.parametrize(
    ("selector", "labels", "want"),
    [
        ({"app": "web"}, {"app": "web", "tier": "front"}, True),
        ({"app": "web", "tier": "front"}, {"app": "web"}, False),
        ({"app": "web"}, {"app": "db"}, False),
        ({"app": "web"}, {}, False),
    ],
)
def test_every_pair_of_a_selector_must_be_there(selector: dict[str, str], labels: dict[str, str], want: bool) -> None:  # noqa: FBT001 - a table
    assert matches(selector, labels) is want


def test_a_service_needs_the_vms_it_selects() -> None:
    known = facts(vm("web-1", labels={"app": "web"}), vm("web-2", labels={"app": "web"}), vm("db-1"))
    connected = topology(m(service("front", {"app": "web"})), known)
    assert connected.needs == ("web-1", "web-2")
    assert connected.selector == {"app": "web"}
    assert [vm.name for vm in connected.machines] == ["web-1", "web-2"]


@pytest.mark.parametrize("selector", [None, {}])
def test_a_service_without_selector_selects_nothing(selector: dict[str, str] | None) -> None:
    assert topology(m(service("front", selector)), facts(vm("web-1"))).needs == ()


def test_a_group_needs_its_direct_members_that_exist_and_names_the_nested_ones() -> None:
    outer = group("outer", ["web-1", "gone"], ["/inner"], parent="top")
    inner = group("inner", ["db-1", "gone-too"], ["/innermost"], parent="outer")
    innermost = group("innermost", ["db-2", "gone-as-well"], parent="inner")
    connected = topology(
        m(outer), facts(outer, inner, innermost, vm("web-1", group="outer"), vm("db-1", group="inner"), vm("db-2"))
    )
    assert connected.needs == ("web-1",)
    assert connected.nested == ("db-1", "db-2")
    assert connected.parent == "top"
    assert [
        (member.kind, member.name, member.order, member.found, member.group_name) for member in connected.members
    ] == [
        ("VirtualMachine", "web-1", 0, True, "outer"),
        ("VirtualMachine", "gone", 0, False, ""),
        ("VirtualMachineGroup", "inner", 1, True, "outer"),
    ]


def test_a_vm_that_cannot_be_registered_again_is_not_waited_for() -> None:
    tier = group("tier", ["web-1", "node"])
    connected = topology(m(tier), facts(tier, vm("web-1", group="tier"), vm("node", group="tier", labels=NODE)))
    assert connected.needs == ("web-1",)
    assert [vm.name for vm in connected.machines] == ["web-1", "node"]


def test_groups_that_contain_each_other_come_to_an_end() -> None:
    a, b = group("a", ["vm-a", "/b"]), group("b", ["vm-b", "/a"])
    assert topology(m(a), facts(a, b, vm("vm-a"), vm("vm-b"))).nested == ("vm-b",)


@dataclass(frozen=True)
class Cycle:
    why: str
    groups: list[dict[str, Any]]
    want: tuple[str, ...]


CYCLES = [
    Cycle(why="none", groups=[group("a", ["/b"]), group("b", ["/c"]), group("c")], want=()),
    Cycle(why="itself", groups=[group("a", ["/a"])], want=("a", "a")),
    Cycle(
        why="over three",
        groups=[group("a", ["/b"]), group("b", ["/c"]), group("c", ["/a"])],
        want=("a", "b", "c", "a"),
    ),
    Cycle(why="one that does not lead back is not a's", groups=[group("a", ["/b"]), group("b", ["/b"])], want=()),
    Cycle(why="a member that does not exist", groups=[group("a", ["/b"])], want=()),
    Cycle(
        why="thirty groups that all contain each other, and none of them a",
        groups=[
            group("a", ["/g0"]),
            *[group(f"g{i}", [f"/g{j}" for j in range(30) if j != i]) for i in range(30)],
        ],
        want=(),
    ),
]


@pytest.mark.parametrize("case", CYCLES, ids=lambda c: c.why)
def test_cycles(case: Cycle) -> None:
    assert cycle_of("a", facts(*case.groups)) == case.want


def owned(kind: str, api: str) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": api, "kind": kind, "name": "tkc", "uid": "1"}]}


@pytest.mark.parametrize(
    ("given", "excerpt"),
    [
        (service("cp", meta=owned("Cluster", "cluster.x-k8s.io/v1beta1")), "owned by Cluster tkc"),
        (service("cp", meta=owned("WCPCluster", "infrastructure.cluster.vmware.com/v1alpha3")), "WCPCluster"),
        (service("cp", meta=owned("VSphereCluster", "vmware.infrastructure.cluster.x-k8s.io/v1beta1")), "VSphere"),
        (service("cp", meta=owned("TanzuKubernetesCluster", "run.tanzu.vmware.com/v1alpha3")), "Tanzu"),
        (group("workers", meta=owned("Cluster", "cluster.x-k8s.io/v1beta1")), "owned by Cluster tkc"),
        (
            service(
                "lb",
                meta={
                    "annotations": {
                        "virtualmachineservice.vmoperator.vmware.com/service.externalTrafficPolicy": "Local"
                    }
                },
            ),
            "cloud provider",
        ),
        (service("mine", meta=owned("Deployment", "apps/v1")), ""),
        (service("mine", meta={"annotations": {"vmoperator.vmware.com/x": "1"}}), ""),
    ],
)
def test_a_guest_clusters_object_is_known_by_owner_or_annotation(given: dict[str, Any], excerpt: str) -> None:
    reason = guest_cluster_reason(m(given), ())
    assert excerpt in reason
    assert bool(reason) is bool(excerpt)


BY_CLOUD_PROVIDER = {
    "annotations": {
        f"virtualmachineservice.vmoperator.vmware.com/service.{name}": "Local"
        for name in ("externalTrafficPolicy", "endpointHealthCheckEnabled", "healthCheckNodePort")
    }
}
WEB, OF_NODES = vm("web-1", labels={"app": "x"}), vm("node", labels={"app": "x", **NODE})


@pytest.mark.parametrize("meta", [{}, BY_CLOUD_PROVIDER], ids=["plain", "annotated"])
@pytest.mark.parametrize(
    ("around", "needs", "theirs"),
    [([OF_NODES], (), True), ([WEB, OF_NODES], ("web-1",), False), ([WEB], ("web-1",), False)],
    ids=["a node", "a VM and a node", "a VM"],
)
def test_a_service_is_a_guest_clusters_if_every_vm_that_it_selects_is_a_node(
    meta: dict[str, Any],
    around: list[dict[str, Any]],
    needs: tuple[str, ...],
    theirs: bool,  # noqa: FBT001 - a table
) -> None:
    given = m(service("lb", {"app": "x"}, meta=meta))
    connected = topology(given, facts(*around))
    assert bool(guest_cluster_reason(given, connected.machines)) is theirs
    assert connected.needs == needs


@pytest.mark.parametrize(
    ("outer", "inner", "theirs"),
    [(["n1"], ["web-1"], False), ([], ["n1"], True), (["n1"], ["n2"], True), (["web-1"], ["n1"], False)],
)
def test_vms_of_nested_groups_count_as_well(outer: list[str], inner: list[str], theirs: bool) -> None:  # noqa: FBT001 - a table
    top = group("top", [*outer, "/inner"])
    known = facts(top, group("inner", inner), vm("n1", labels=NODE), vm("n2", labels=NODE), vm("web-1"))
    connected = topology(m(top), known)
    assert bool(guest_cluster_reason(m(top), every_vm(connected, known))) is theirs


@pytest.mark.parametrize(("members", "theirs"), [(["n1", "n2"], True), (["n1", "web-1"], False), ([], False)])
def test_a_group_is_a_guest_clusters_if_all_its_vms_are(members: list[str], theirs: bool) -> None:  # noqa: FBT001 - a table
    tier = group("tier", members)
    known = facts(tier, vm("n1", labels=NODE), vm("n2", labels=NODE), vm("web-1"))
    assert bool(guest_cluster_reason(m(tier), topology(m(tier), known).machines)) is theirs


def test_a_node_that_is_recorded_on_purpose_is_a_vm_like_any_other() -> None:
    forced = vm(
        "node", labels={"app": "x", **NODE}, meta={"annotations": {"vmoperator.vmware.com/force-enable-backup": ""}}
    )
    given = m(service("lb", {"app": "x"}))
    assert guest_cluster_reason(given, topology(given, facts(forced)).machines) == ""


def test_without_a_capture_the_names_and_the_item_tell() -> None:
    assert named(m(service("front", {"app": "web"})), ["web-1"]).selector == {"app": "web"}
    connected = named(m(group("tier", ["web-1", "gone"], parent="top")), ["web-1"])
    assert (connected.needs, connected.parent) == (("web-1",), "top")
    assert [(member.name, member.found) for member in connected.members] == [("web-1", True), ("gone", False)]
