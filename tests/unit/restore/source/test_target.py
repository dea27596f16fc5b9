"""What another Supervisor means for a restore: its load balancer, its capabilities, its API versions, what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, obj, service, vm, with_policy
from velero_vmservice.kube.manifest import (
    CAPABILITIES,
    STORAGE_CLASS,
    VIRTUAL_MACHINE_CLASS,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    Kind,
)
from velero_vmservice.vmoperator.releases import GROUPS

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
VM = vm("web-1", labels=WEB, group="tier")
TIER, FRONT = group("tier", ["web-1"]), service("front", WEB)
NSX = Kind("crd.nsx.vmware.com", "subnets", "Subnet")
VDS = Kind("netoperator.vmware.com", "networks", "Network")
RESIDUE = {
    "labels": {"service.kubernetes.io/service-proxy-name": "nsx-t", "mine": "1"},
    "annotations": {"ncp/snat": "on", "nsx.vmware.com/hostname": "shop.example.com", "mine": "1"},
}


def lost(world: World, *objects: dict[str, Any]) -> list[str]:
    items = world.back_up(*objects)
    world.lose(*objects)
    world.cluster.calls.made.clear()
    return world.replay_all(items)


def back(world: World) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, group="tier", uid="new"))


def by_name(operations: list[str], polled: dict[str, Progress], *names: str) -> dict[str, Progress]:
    return {name: polled[operation] for name, operation in zip(names, operations, strict=True)}


@pytest.mark.parametrize(
    ("source", "target", "site", "kept"),
    [
        (NSX, VDS, "detect", False),
        (NSX, NSX, "detect", True),
        (NSX, None, "detect", True),
        (None, VDS, "detect", True),
        (NSX, VDS, "same", True),
        (NSX, VDS, "cross", False),
        (None, None, "cross", False),
        (NSX, NSX, "cross", True),
    ],
)
def test_the_fields_of_the_lost_sites_load_balancer_come_off(
    world: World, source: Kind | None, target: Kind | None, site: str, *, kept: bool
) -> None:
    if source:
        world.cluster.serve(source, "v1alpha1")
    operations = lost(world, service("front", {"app": "none"}, meta=RESIDUE))
    for provider in (NSX, VDS):
        world.cluster.serve(provider, *(["v1alpha1"] if provider == target else []))
    (progress,) = world.finish(operations, **with_policy(site=site)).values()
    live = world.live("VirtualMachineService", "front")
    assert ("ncp/snat" in live.annotations) is kept
    assert live.annotations["nsx.vmware.com/hostname"] == "shop.example.com"
    assert (live.annotations["mine"], live.labels["mine"]) == ("1", "1")
    sentence = "left out, as the target does not take it: metadata.annotations[ncp/snat]"
    assert (sentence in progress.description) is not kept
    other = site == "cross" or not kept
    assert ("'shop.example.com', the host name that NSX makes a certificate" in progress.description) is other
    result = world.document("restores/again/20260301T120000Z/virtualmachineservices/shop/front.json")
    assert any(field["path"] == "metadata.annotations[ncp/snat]" for field in result["dropped"]) is not kept


@pytest.mark.parametrize("how", ["capability off", "kind not served"])
def test_without_groups_they_are_blocked_with_the_reason_and_the_services_come_back(world: World, how: str) -> None:
    operations = lost(world, VM, TIER, FRONT)
    if how == "kind not served":
        world.cluster.serve(VIRTUAL_MACHINE_GROUP)
        sentence = "this Supervisor does not serve virtualmachinegroups.vmoperator.vmware.com (VCF 9.0.1 and later do)"
    else:
        world.cluster.serve(CAPABILITIES, "v1alpha1")
        status = {"supervisor": {GROUPS: {"activated": False}}}
        name = "supervisor-capabilities"
        world.cluster.seed(obj("Capabilities", name, api="iaas.vmware.com/v1alpha1", namespace="", status=status))
        sentence = f"{GROUPS} is not activated in Capabilities supervisor-capabilities"
    back(world)
    polled = by_name(operations, world.finish(operations), "tier", "front")
    assert sentence in polled["tier"].error
    assert "services are restored without it" in polled["tier"].error
    assert polled["front"].error == ""
    assert world.created() == ["VirtualMachineService shop/front"]


def test_a_target_that_serves_only_what_is_too_old_is_refused_in_the_guides_words(world: World) -> None:
    operations = lost(world, VM, FRONT)
    world.cluster.serve(VIRTUAL_MACHINE_SERVICE, "v1alpha1")
    back(world)
    (progress,) = world.finish(operations).values()
    assert "API versions older than v1alpha2 cannot be restored (guide 7.1.2" in progress.error
    assert "VCenterWcpWorkloadRegisterVMConvertUnstructuredToVMTypeFailed" in progress.error
    assert "serves VirtualMachineService at v1alpha1 only" in progress.error
    assert world.created() == []


@pytest.mark.parametrize(
    ("served", "version", "noted"),
    [
        (("v1alpha1", "v1alpha2"), "v1alpha2", False),
        (("v1alpha4",), "v1alpha4", False),
        (("v1alpha4", "v1alpha5", "v1alpha6"), "v1alpha5", False),
        (("v1alpha6",), "v1alpha6", True),
    ],
)
def test_the_version_is_the_captured_one_or_the_newest_that_is_served(
    world: World, served: tuple[str, ...], version: str, *, noted: bool
) -> None:
    operations = lost(world, VM, FRONT)
    world.cluster.serve(VIRTUAL_MACHINE_SERVICE, *served)
    back(world)
    written: list[str] = []
    world.cluster.admit = lambda manifest: written.append(manifest.version)
    (progress,) = world.finish(operations).values()
    assert set(written) == {version}
    assert progress.error == ""
    report = world.document("restores/again/20260301T120000Z/report.json")
    assert ["says nothing of later versions" in note for note in report["notes"]] == [True] * noted
    assert not any("the guide names" in warning for warning in report["warnings"])
    assert not [event.message for event in world.cluster.events if event.warning]


def test_fields_that_the_target_does_not_know_are_left_out_and_named(world: World) -> None:
    world.cluster.serve(VIRTUAL_MACHINE_SERVICE, "v1alpha6")
    operations = lost(world, service("front", {"app": "none"}, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"))
    world.cluster.serve(VIRTUAL_MACHINE_SERVICE, "v1alpha4")
    (progress,) = world.finish(operations).values()
    assert "left out, as the target does not take it: spec.ipFamilies, spec.ipFamilyPolicy" in progress.description
    assert not {"ipFamilies", "ipFamilyPolicy"} & set(world.live("VirtualMachineService", "front").spec)


def test_definitions_that_are_away_are_waited_for(world: World) -> None:
    operations = lost(world, VM, FRONT)
    world.cluster.serve(VIRTUAL_MACHINE_SERVICE)
    back(world)
    for _ in range(3):
        progress = world.round(operations)[operations[0]]
        assert "serves no version of VirtualMachineService" in progress.description
        assert not progress.completed
    world.cluster.serve(VIRTUAL_MACHINE_SERVICE, "v1alpha5")
    world.finish(operations)


def test_a_missing_reference_is_named_and_not_waited_for(world: World) -> None:
    world.cluster.serve(VIRTUAL_MACHINE_CLASS, "v1alpha5")
    world.cluster.serve(STORAGE_CLASS, "v1")
    refers = {"className": "guaranteed-small", "storageClass": "gold"}
    operations = lost(world, vm("web-1", labels=WEB, spec=refers), FRONT)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", spec=refers))
    (progress,) = world.finish(operations).values()
    assert progress.error == ""
    assert (
        "web-1 refers to VirtualMachineClass guaranteed-small, which is not in namespace shop" in progress.description
    )
    assert "web-1 refers to StorageClass gold, which the cluster does not have" in progress.description
    report = world.document("restores/again/20260301T120000Z/report.json")
    assert any("VirtualMachineClass guaranteed-small" in warning for warning in report["warnings"])


def test_another_vm_of_the_name_blocks_until_a_person_has_acted(world: World) -> None:
    operations = lost(world, VM, TIER, FRONT)
    world.cluster.seed(
        vm(
            "web-1",
            labels=WEB,
            group="tier",
            uid="new",
            spec={"instanceUUID": "x"},
            status={"biosUUID": "y"},
        )
    )
    for _ in range(4):
        polled = by_name(operations, world.round(operations), "tier", "front")
    assert world.created() == []
    for progress in polled.values():
        assert progress.description.startswith("waiting: blocked: web-1: is another VM of that name (instance UUID x")
    back(world)
    assert {progress.error for progress in world.finish(operations).values()} == {""}


def test_a_snapshot_revert_is_waited_for_and_then_explained(world: World) -> None:
    operations = lost(world, VM, FRONT)
    in_progress = {"annotations": {"vmoperator.vmware.com/snapshot-revert-in-progress": ""}}
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", meta=in_progress))
    description = world.round(operations)[operations[0]].description
    assert "is being reverted to a snapshot" in description
    assert "call RegisterVM for it" in description
    conditions = [
        {"type": "VirtualMachineCreated", "status": "True"},
        {"type": "VirtualMachineSnapshotRevertSucceeded", "status": "True"},
        {"type": "VirtualMachineBackupUpToDate", "status": "False", "reason": "VirtualMachineBackupPaused"},
    ]
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"conditions": conditions}))
    description = world.round(operations)[operations[0]].description
    assert "after a revert nothing registers it by itself, so call RegisterVM for it" in description
    assert world.created() == []
    back(world)
    world.finish(operations)
