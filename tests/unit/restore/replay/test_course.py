"""The whole course: backup, loss, VMs that come back one after another, replay, verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, claim, group, service, vm, vsphere_namespace
from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.kube.manifest import Manifest

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from tests.unit.world import World

WEB = {"app": "web"}
VMS = [
    vm("web-1", labels=WEB, group="web", power="PoweredOn", claims=["web-1-data"]),
    vm("web-2", labels=WEB, group="web", power="PoweredOn"),
    vm("db-1", labels={"app": "db"}, group="db", power="PoweredOn"),
]
OBJECTS = [
    group("app", ["/db"], ["/web"], powerState="PoweredOn"),
    group("db", ["db-1"], parent="app"),
    group("web", ["web-1", "web-2"], parent="app"),
    service("back", {"app": "db"}, type="ClusterIP", clusterIp="10.0.0.7"),
    service("front", WEB),
]


@pytest.fixture(name="items")
def _items(world: World) -> list[dict[str, Any]]:
    items = world.back_up(*VMS, *OBJECTS, claim("web-1-data"))
    world.lose(*VMS, *OBJECTS)
    world.cluster.calls.made.clear()
    return items


def registered(given: dict[str, Any], namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """Return the VM as RegisterVM brings it: a new UID, powered off, its disks under other names."""
    name, labels = given["metadata"]["name"], given["metadata"]["labels"]
    disks = [f"restored-{number}" for number, _ in enumerate(given["spec"].get("volumes", []))]
    new = vm(
        name,
        labels=labels,
        group=given["spec"]["groupName"],
        claims=disks,
        namespace=namespace,
        uid=f"new-{name}",
        meta={"annotations": {"vmoperator.vmware.com/restored-vm": ""}},
    )
    claims = [claim(disk) for disk in disks]
    for pvc in claims:
        pvc["metadata"]["namespace"] = namespace
    return [new, *claims]


def as_captured(live: Manifest) -> dict[str, Any]:
    """Return a live object without what the API server and Velero's labels add."""
    return dict(sanitize(live).manifest.content)


def test_vms_come_back_one_after_another(world: World, items: list[dict[str, Any]]) -> None:
    operations = world.replay_all(items)
    db, app, web = (
        next(o for o, item in zip(operations, items, strict=True) if item["metadata"]["name"] == n)
        for n in ("db", "app", "web")
    )
    front = operations[-1]

    polled = world.round(operations)
    assert world.created() == ["VirtualMachineGroup shop/app"]  # no VMs of its own
    assert polled[db].description == "waiting: db-1: not registered yet"
    assert (polled[web].done, polled[web].total, polled[web].units) == (0, 2, "VMs")
    assert not polled[app].completed

    world.cluster.seed(*registered(VMS[2]))
    polled = world.round(operations)
    assert "looking once more" in polled[db].description
    polled = world.round(operations)
    assert world.created()[1:] == ["VirtualMachineGroup shop/db", "VirtualMachineService shop/back"]
    polled = world.round(operations)
    assert polled[db].completed
    assert (polled[db].done, polled[db].total, polled[db].error) == (1, 1, "")

    world.cluster.seed(*registered(VMS[0]))
    polled = world.round(operations)
    polled = world.round(operations)
    assert (polled[web].done, polled[web].total) == (1, 2)
    assert polled[front].description == "waiting: web-2: not registered yet"
    assert len(world.created()) == 3

    world.cluster.seed(*registered(VMS[1]))
    last = world.finish(operations)
    assert world.created()[3:] == ["VirtualMachineGroup shop/web", "VirtualMachineService shop/front"]
    assert {progress.error for progress in last.values()} == {""}


def test_objects_equal_the_captured_ones(world: World, items: list[dict[str, Any]]) -> None:
    world.cluster.seed(*[manifest for machine in VMS for manifest in registered(machine)])
    world.finish(world.replay_all(items))
    for given in OBJECTS:
        live = world.live(given["kind"], given["metadata"]["name"])
        assert as_captured(live) == sanitize(Manifest(given)).manifest.content
        assert live.labels["velero.io/backup-name"] == "nightly"
        assert live.labels["velero.io/restore-name"] == "again"
        assert not {"velero-plugin-for-vmservice/capture"} & set(live.annotations)


def test_another_namespace(world: World, items: list[dict[str, Any]]) -> None:
    world.cluster.seed(vsphere_namespace("shop-dr"))
    world.cluster.seed(*[manifest for machine in VMS for manifest in registered(machine, "shop-dr")])
    mapped = {"namespaceMapping": {"shop": "shop-dr"}}
    world.finish(world.replay_all(items, **mapped), **mapped)
    for given in OBJECTS:
        name = given["metadata"]["name"]
        assert world.exists(given["kind"], name, "shop-dr")
        assert not world.exists(given["kind"], name)
    assert world.live("VirtualMachineGroup", "web", "shop-dr").spec["groupName"] == "app"


def test_the_end_says_that_vms_are_off_and_how_to_go_on(world: World, items: list[dict[str, Any]]) -> None:
    world.cluster.seed(*[manifest for machine in VMS for manifest in registered(machine)])
    last = list(world.finish(world.replay_all(items)).values())
    descriptions = "\n".join(progress.description for progress in last)
    assert "2 of 2 VMs are not powered on" in descriptions
    assert descriptions.count("kubectl") == 1
    assert "kubectl -n shop patch virtualmachinegroup app --type merge" in descriptions
    assert (
        "patch virtualmachinegroup web" not in descriptions
    )  # its own boot order would be kept, the application's not
    assert "endpoints: none, as expected" in descriptions
    assert all(progress.description.startswith("verified") for progress in last)


def test_vms_that_lived_on_are_enough_at_once(world: World) -> None:
    items = world.back_up(vm("web-1", labels=WEB), service("front", WEB))
    world.lose(service("front"))
    world.cluster.seed(
        vm("web-1", labels={**WEB, "edited": "since"}, claims=["new-disk"], power="PoweredOn", ip="192.0.2.1")
    )
    operations = world.replay_all(items)
    world.round(operations)
    assert world.created() == ["VirtualMachineService shop/front"]
    (last,) = world.finish(operations).values()
    assert "endpoints: web-1" in last.description


def test_dry_run_comes_before_each_create(world: World, items: list[dict[str, Any]]) -> None:
    world.cluster.seed(*[manifest for machine in VMS for manifest in registered(machine)])
    world.finish(world.replay_all(items))
    writes = [call for call in world.cluster.calls.made if "create" in call[0] or "patch" in call[0]]
    created = [at for at, (method, _) in enumerate(writes) if method == "create"]
    assert len(created) == len(OBJECTS)
    assert [writes[at - 1] for at in created] == [("dry-run create", writes[at][1]) for at in created]


def test_changed_labels_are_reported_and_the_service_is_there(
    world: World, log: LogCapture, items: list[dict[str, Any]]
) -> None:
    for machine in VMS:
        world.cluster.seed(*registered(machine))
    world.cluster.seed(vm("web-2", labels={"app": "other"}, group="", uid="new-web-2"))
    operations = world.replay_all(items)
    last = world.finish(operations)
    assert "web-2 is not selected: its label app is other, not web" in last[operations[-1]].description
    reason = "web-2 is not a member: its spec.groupName is empty, not web"
    assert any(reason in progress.description for progress in last.values())
    assert any(entry["warnings"] for entry in log.entries if entry["event"] == "replayed")
