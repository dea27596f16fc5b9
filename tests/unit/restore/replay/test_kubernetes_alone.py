"""Whole restores with Kubernetes as the only source: all that it knows of a registration is told, and costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import obj, registration, service, vm, with_policy

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB, claims=["data"]), service("front", WEB)
NO_DATASTORE = registration("restored-a1", error="datastore ds-1 not accessible")
HOUR = 3600


@pytest.fixture(name="operation")
def _operation(world: World) -> str:
    """Lose a VM with its service, and begin a restore."""
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    (operation,) = world.replay_all(items)
    return operation


def again(**rest: Any) -> dict[str, Any]:
    """Return web-1 as RegisterVM brings it."""
    return vm("web-1", **{"uid": "new", "labels": WEB, **rest})


def late(world: World, operation: str) -> Progress:
    """Let the time for registration pass."""
    within = with_policy(registered_within="1h")
    world.polled(operation, **within)
    world.clock.advance(HOUR)
    return world.polled(operation, **within)


def report(world: World) -> dict[str, Any]:
    return world.document("restores/again/20260301T120000Z/report.json")


def test_a_disk_in_error_is_reported_before_a_vm_names_it(world: World, operation: str) -> None:
    world.cluster.seed(NO_DATASTORE)
    noted = "note: disks are being registered for VMs that do not name them yet: its disk cannot be registered"
    description = world.polled(operation).description
    assert description.startswith(f"waiting: web-1: not registered yet | {noted}: datastore ds-1 not accessible")
    error = late(world, operation).error
    assert error.startswith(
        "VirtualMachineService shop/front: the policy's registered-within=1h is over: web-1: not registered yet"
        " | to do: See what keeps disks from being registered: CnsRegisterVolume register-restored-a1 (its datastore:"
        " it is not accessible); then repeat the restore. | "
    )
    assert noted in error
    written = report(world)
    assert "See what keeps disks from being registered" in written["next_steps"][0]
    assert any("datastore ds-1 not accessible" in warning for warning in written["warnings"])


def test_a_disk_that_takes_long_names_the_stage_and_what_to_look_at(world: World, operation: str) -> None:
    disk = registration("restored-a1")
    disk["metadata"]["creationTimestamp"] = "2026-03-01T11:00:00Z"
    world.cluster.seed(disk, again(claims=["restored-a1"]))
    description = world.polled(operation).description
    assert description.startswith("waiting: web-1: registering (register volumes): waits for PVC restored-a1")
    assert "more than 5 minutes, and RegisterVM stands at 80 % meanwhile" in description


def test_an_imported_vm_is_reported_as_such(world: World, operation: str) -> None:
    world.cluster.seed(again(created=False, meta={"annotations": {"vmoperator.vmware.com/imported-vm": ""}}))
    description = world.polled(operation).description
    assert description.startswith("waiting: web-1: registered, but VM Operator has not reconciled it yet")
    assert "has the mark of a VM that was imported from vCenter, not restored" in description


def test_a_note_on_a_named_vm_is_not_repeated(world: World) -> None:
    captured = {"annotations": {"vmoperator.vmware.com/backup-version": "2000"}}
    machine = vm("web-1", labels=WEB, meta=captured)
    items = world.back_up(machine, FRONT)
    world.lose(machine, FRONT)
    (operation,) = world.replay_all(items)
    older = {f"vmoperator.vmware.com/{key}": value for key, value in (("backup-version", "1000"), ("restored-vm", ""))}
    world.cluster.seed(again(meta={"annotations": older}))
    descriptions = [world.polled(operation).description for _ in range(4)]
    assert {description.count("comes from an older restore point") for description in descriptions} <= {0, 1}
    assert "note: web-1 comes from an older restore point" in descriptions[-1]


def test_a_note_that_does_not_concern_every_vm_names_its_vms(world: World) -> None:
    items = world.back_up(VM, vm("web-2", labels=WEB), FRONT)
    world.lose(VM, vm("web-2"), FRONT)
    (operation,) = world.replay_all(items)
    imported = {"annotations": {"vmoperator.vmware.com/imported-vm": ""}}
    world.cluster.seed(again(created=False, meta=imported), NO_DATASTORE)
    description = world.polled(operation).description
    assert "web-1: has the mark of a VM that was imported from vCenter, not restored" in description
    assert "web-2: disks are being registered for VMs that do not name them yet" in description


def test_a_namespace_that_is_no_vsphere_namespace_is_reported_once_with_its_remedy(
    world: World, operation: str
) -> None:
    world.cluster.seed(obj("Namespace", "shop", api="v1", namespace="", meta={"annotations": {}}))
    description = world.polled(operation).description
    assert description.count("is not a vSphere Namespace") == 1
    assert late(world, operation).error.endswith(
        " | to do: Create shop as a vSphere Namespace in vCenter; then repeat the restore."
    )


def test_another_vm_of_that_name_ends_with_what_to_do(world: World, operation: str) -> None:
    world.cluster.seed(again(spec={"instanceUUID": "x"}, status={"biosUUID": "y"}))
    assert " | to do: Restore the right VM; the one that has its name is in the way" in late(world, operation).error


def test_it_costs_no_request(world: World, operation: str) -> None:
    world.cluster.seed(NO_DATASTORE)
    world.polled(operation)
    world.cluster.calls.made.clear()
    world.clock.advance(10)
    world.poll(operation)
    asked_for = [(method, subject) for method, subject in world.cluster.calls.made if subject.endswith(" shop")]
    assert len(set(asked_for)) == len(asked_for)
    assert ("list", "VirtualMachine shop") in asked_for
