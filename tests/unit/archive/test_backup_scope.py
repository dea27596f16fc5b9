from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import facts, group, service, vm
from velero_vmservice.archive.backup_scope import held_vms, not_captured, selected, vms_by_filters
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP

WEB = {"app": "web"}
NODE = {"capv.vmware.com/cluster.role": "node"}
VMS, GROUPS = "virtualmachines.vmoperator.vmware.com", "virtualmachinegroups.vmoperator.vmware.com"
GROUP, SERVICE = "VirtualMachineGroup", "VirtualMachineService"


@pytest.mark.parametrize(
    ("spec", "takes"),
    [
        ({}, (True, True)),
        ({"labelSelector": {"matchLabels": WEB}}, (True, False)),
        ({"includedResources": [VMS]}, (True, False)),
        ({"includedNamespaceScopedResources": [GROUPS]}, (False, True)),
        ({"excludedNamespaceScopedResources": [GROUPS]}, (True, False)),
        ({"includedNamespaceScopedResources": ["vmg"]}, (False, True)),
        ({"excludedNamespaceScopedResources": ["vmg"]}, (True, False)),
        ({"excludedNamespaceScopedResources": ["*"]}, (False, False)),
        ({"includedResources": ["VirtualMachine"]}, (True, False)),
        ({"includedClusterScopedResources": ["*"]}, (True, True)),
        ({"excludedClusterScopedResources": ["*"]}, (True, True)),
        ({"includedNamespaces": ["{shop,crm}"], "excludedResources": ["vm"]}, (False, True)),
        ({"includeClusterResources": False, "excludedNamespaceScopedResources": [GROUPS]}, (True, True)),
        ({"includedNamespaces": ["bank"]}, (False, False)),
    ],
)
def test_filters_of_a_backup(spec: dict[str, Any], takes: tuple[bool, bool]) -> None:
    assert (
        selected(spec, VIRTUAL_MACHINE, "shop", "web-1", WEB),
        selected(spec, VIRTUAL_MACHINE_GROUP, "shop", "tier", {}),
    ) == takes


def test_an_object_that_velero_excludes_by_label_is_not_captured() -> None:
    excluded = vm("web-2", labels={"velero.io/exclude-from-backup": "true"})
    assert list(vms_by_filters({}, facts(vm("web-1"), excluded, vm("node", labels=NODE)))) == ["web-1"]


KNOWN = facts(
    vm("web-1", labels=WEB, group="tier"),
    vm("db-1", group="inner"),
    vm("stray", group="tier"),
    vm("alone"),
    vm("node", labels={**WEB, **NODE}),
    group("tier", ["web-1", "/inner"]),
    group("inner", ["db-1"], parent="tier"),
    group("workers", ["node"]),
    service("front", WEB),
    service("headless"),
)


@pytest.mark.parametrize(
    ("captured", "vms", "want"),
    [
        ((), (), []),
        ((), ("alone", "node"), []),
        ((), ("web-1",), [(GROUP, "tier", ("web-1",)), (SERVICE, "front", ("web-1",))]),
        (((GROUP, "tier"),), ("web-1", "db-1"), [(GROUP, "inner", ("db-1",)), (SERVICE, "front", ("web-1",))]),
        (((GROUP, "inner"), (SERVICE, "front")), ("db-1",), [(GROUP, "tier", ("db-1",))]),
        (((GROUP, "inner"), (GROUP, "tier")), ("db-1",), []),
        ((), ("stray",), [(GROUP, "tier", ("stray",))]),
    ],
    ids=[
        "no VM",
        "a VM without an application, a node",
        "a group and a service",
        "a nested group",
        "the parent of a captured group",
        "all",
        "a group that only the VM names",
    ],
)
def test_objects_that_a_backup_leaves_out_are_named_by_its_vms(
    captured: tuple[tuple[str, str], ...], vms: tuple[str, ...], want: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert [(left_out.kind, left_out.name, left_out.vms) for left_out in not_captured(KNOWN, captured, vms)] == want


def test_groups_that_contain_each_other_and_one_that_is_deleted_come_to_an_end() -> None:
    loop = facts(
        group("a", ["/b"]),
        group("b", ["/a", "web-1"]),
        group("gone", ["web-1"], meta={"deletionTimestamp": "2026-03-01T11:00:00Z"}),
        vm("web-1"),
    )
    assert [left_out.name for left_out in not_captured(loop, (), ["web-1"])] == ["a", "b"]


def test_the_vms_of_a_backup_are_those_of_its_objects_and_those_that_velero_chose() -> None:
    held = held_vms(
        {"shop": KNOWN},
        captured=[(GROUP, "shop", "tier"), (SERVICE, "shop", "front")],
        needed={"shop/web-1": "7"},
        nested=["shop/db-1", "shop/node"],
        chosen=["shop/alone", "shop/web-1", "shop/node", "bank/teller"],
    )
    assert list(held.machines) == ["bank/teller", "shop/alone", "shop/db-1", "shop/web-1"]
    assert held.without_application == ("bank/teller", "shop/alone", "shop/db-1")
    assert [(left_out.name, left_out.vms) for left_out in held.not_captured] == [("inner", ("db-1",))]
