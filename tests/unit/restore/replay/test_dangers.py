"""The six facts that can hurt someone, and what the plugin does about each."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import velero_vmservice
from tests.unit.builders import group, obj, restore, service, vm
from tests.unit.restored_vms import restored
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP

if TYPE_CHECKING:
    from tests.unit.world import World

VMOP = "vmoperator.vmware.com"
LOST = {
    "apiVersion": f"{VMOP}/v1alpha5",
    "kind": "VirtualMachineGroup",
    "name": "top",
    "uid": "lost",
    "controller": True,
}
DUMP = {
    "uid": "old",
    "ownerReferences": [LOST],
    "finalizers": [f"{VMOP}/virtualmachinegroup"],
    "annotations": {
        f"{VMOP}.protected/last-updated-power-state-time": "2026-01-01T00:00:00Z",
        f"{VMOP}.protected/apply-power-state-time": "2026-01-01T00:00:00Z",
        f"{VMOP}/conversion": '{"spec":{"powerState":"PoweredOn"}}',
    },
}
GROUPS = [
    group("top", ["/tier"], meta=DUMP, powerState="PoweredOn", nextForcePowerStateSyncTime="2026-01-01T00:00:00Z"),
    group("tier", ["web-1"], parent="top", meta=DUMP, powerState="PoweredOn"),
]
VM = vm("web-1", group="tier")


@pytest.fixture(name="groups")
def _groups(world: World) -> list[Any]:
    """Replay the groups as `kubectl get -o yaml` would have dumped them."""
    items = world.back_up(VM, *GROUPS)
    world.lose(VM, *GROUPS)
    operations = world.replay_all(items)
    world.cluster.seed(vm("web-1", group="tier", uid="new"))
    world.finish(operations)
    return list(world.cluster.list(VIRTUAL_MACHINE_GROUP, "shop"))


READING = {
    "Clock": {"now", "monotonic", "sleep"},
    "Cluster": {
        "account",
        "address",
        "served_versions",
        "plural",
        "resources",
        "serves_group",
        "allowed",
        "get",
        "list",
        "read_all",
    },
    "ObjectStore": {"get", "exists", "list", "folders", "documents", "where", "endpoint", "read_only"},
    "RegisterVm": {"task", "latest"},
    "RegistrationSource": {"name", "observe"},
    "StorageLocations": {"open", "stored_backups"},
    "TcpProbe": {"connect"},
    "VsphereInventory": {"about", "look"},
}
WRITING = {
    "Cluster": {"create", "patch", "event"},
    "ObjectStore": {"put", "replace", "delete"},
    "RegisterVm": {"call"},
}
"""All that can change anything outside; of what a user has nothing can be deleted, for a store holds our documents."""


WITHIN = {
    "Ask",
    "BackupAction",
    "DeleteAction",
    "Hand",
    "ReadRules",
    "Referring",
    "RestoreAction",
    "Stored",
    "Vsphere",
}
"""Protocols that the product itself implements: none of them reaches outside the process."""


def every_port() -> dict[str, set[str]]:
    """Return the methods and properties of each port: every protocol that is declared, but for those within."""
    names = [module.name for module in pkgutil.walk_packages(velero_vmservice.__path__, "velero_vmservice.")]
    ports: dict[str, set[str]] = {}
    for module in [importlib.import_module(name) for name in names if not name.endswith("__main__")]:
        for name, declared in inspect.getmembers(module, inspect.isclass):
            is_protocol = getattr(declared, "_is_protocol", False) and declared.__module__ == module.__name__
            if is_protocol and name not in WITHIN:
                ports[name] = {member for member in vars(declared) if not member.startswith("_")}
    return ports


def test_1_nothing_of_a_users_can_be_deleted_for_no_port_can() -> None:
    known = {port: READING[port] | WRITING.get(port, set()) for port in READING}
    assert every_port() == known, "a new way out of the process: does it read or write, and can it do harm?"


def test_2_no_vm_is_powered_on(groups: list[Any]) -> None:
    assert len(groups) == 2
    for manifest in groups:
        assert not {"powerState", "nextForcePowerStateSyncTime"} & set(manifest.spec)
        assert not manifest.annotations


def test_2_the_captured_power_state_is_kept_as_data(world: World, groups: list[Any]) -> None:
    assert groups
    (key,) = (key for key in world.store.list("captures/") if key.endswith("virtualmachinegroups/shop/top.json"))
    assert world.document(key)["observed"]["power_state"] == "PoweredOn"


def test_3_a_doomed_vm_is_explained_and_no_owner_is_written(world: World) -> None:
    items = world.back_up(VM, GROUPS[1])
    world.lose(VM, GROUPS[1])
    (operation,) = world.replay_all(items)
    world.cluster.seed(vm("web-1", group="tier", uid="new", meta={"ownerReferences": [LOST]}))
    assert "lost VirtualMachineGroup top: Kubernetes will delete it" in world.round([operation])[operation].description
    world.lose(VM)
    for _ in range(3):
        assert "was registered and is gone" in world.round([operation])[operation].description
    assert world.created() == []


def test_4_registervm_is_called_by_one_module_alone() -> None:
    """Behind it are the record before the call, the checks, and the settings or a person who asks for it."""
    package = Path(velero_vmservice.__file__).parent
    callers = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if file.relative_to(package).parts[0] not in ("adapters", "pb") and ".call(" in file.read_text(encoding="utf-8")
    ]
    assert callers == ["registervm/tracker.py"]


def test_4_no_vm_is_registered_unasked(world: World) -> None:
    items = world.back_up(VM, GROUPS[1])
    world.lose(VM, GROUPS[1])
    world.vsphere.vcenter.restore("shop", restored(name="web-1"))
    operations = world.replay_all(items)
    for _ in range(3):
        world.round(operations)
    assert not world.vsphere.vcenter.calls.counts["call"]


@pytest.mark.parametrize("kind", ["Service", "Endpoints"])
def test_5_generated_objects_do_not_come_back_with_dead_addresses(world: World, kind: str) -> None:
    world.cluster.seed(vm("web-1", labels={"app": "web"}, ip="192.0.2.1"), service("front", {"app": "web"}))
    world.vm_operator()
    owner = {"apiVersion": f"{VMOP}/v1alpha5", "kind": "VirtualMachineService", "name": "front", "uid": "1"}
    stored = obj(kind, "front", api="v1", meta={"ownerReferences": [owner]})
    assert world.app.actions.restore["leave"].execute(obj(kind, "front", api="v1"), stored, restore()).skip


def test_6_the_dump_that_kills_vms_comes_back_without_owners(groups: list[Any]) -> None:
    alive = {manifest.uid for manifest in groups}
    for manifest in groups:
        assert {owner.uid for owner in manifest.owners} <= alive  # VM Operator's own, of parents that are there
        assert "finalizers" not in manifest.metadata
        assert manifest.uid != "old"


def test_6_nor_does_the_backups_own_item_when_the_capture_is_gone(world: World) -> None:
    items = world.back_up(VM, *GROUPS)
    world.lose(*GROUPS)
    for key in list(world.store.list("")):
        world.store.delete(key)
    world.finish(world.replay_all(items))
    groups = world.cluster.list(VIRTUAL_MACHINE_GROUP, "shop")
    for manifest in groups:
        assert {owner.uid for owner in manifest.owners} <= {group.uid for group in groups}
        assert not {"finalizers", "annotations"} & set(manifest.metadata)
        assert not {"powerState", "nextForcePowerStateSyncTime"} & set(manifest.spec)


def test_6_nor_by_an_update_of_what_exists(world: World) -> None:
    items = world.back_up(VM, GROUPS[1])
    world.lose(GROUPS[1])
    world.cluster.seed(group("tier", ["other"], parent="top"))
    policy = {"existingResourcePolicy": "update"}
    world.finish(world.replay_all(items, **policy), **policy)
    (live,) = world.cluster.list(VIRTUAL_MACHINE_GROUP, "shop")
    assert not {"ownerReferences", "finalizers", "annotations"} & set(live.metadata)
    assert "powerState" not in live.spec
    assert live.spec["bootOrder"] == GROUPS[1]["spec"]["bootOrder"]
