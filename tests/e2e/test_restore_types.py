"""Every way in which RegisterVM brings a VM back, driven through a restore of Velero; guide 6 and 8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.saved import saved
from tests.e2e.scene import SERVICES, VMS, Scene, specs
from tests.emulator import machines, vadp
from tests.emulator.vm_operator.records import BACKUP_VERSION
from tests.emulator.wcp.register_steps import State
from tests.waiting import wait_until
from velero_vmservice.report.model import Report
from velero_vmservice.report.stage import Outcome
from velero_vmservice.supervisor.readiness import RestoreType
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.saved import Saved
    from tests.emulator.wcp.vcenter import VsphereVm

IN_FRONT: Final = ("VirtualMachineService", "Endpoints", "Service")
"""What is lost while every VM is still there."""
DATABASE: Final = "shop-db-1"


@pytest.fixture(name="shop")
def _shop(scene: Scene, space: str) -> Saved:
    return saved(scene, machines.two_tier("shop", namespace=space))


def report_of(shop: Saved) -> Report:
    _, reports = shop.scene.results(shop.namespace)
    return next(Report.model_validate_json(body) for key, body in reports.items() if key.endswith(".json"))


def restore_types(report: Report) -> dict[str, str]:
    return {vm.name: vm.restore_type for vm in report.machines}


def deviations(report: Report) -> dict[str, list[str]]:
    return {vm.name: [deviation.attribute for deviation in vm.deviations] for vm in report.machines if vm.deviations}


def backup_versions(shop: Saved) -> Mapping[str, str]:
    vms = shop.scene.all(VMS, shop.namespace)
    return {vm["metadata"]["name"]: vm["metadata"]["annotations"].get(BACKUP_VERSION, "") for vm in vms}


def live_vm(shop: Saved, name: str) -> VsphereVm:
    vms = shop.scene.supervisor.vcenter.machines()
    return next(vm for vm in vms if (vm.folder, vm.name) == (shop.namespace, name))


def test_vms_restored_in_place_are_waited_for_until_they_are_registered_again(shop: Saved) -> None:
    scene, space = shop.scene, shop.namespace
    before, uids = backup_versions(shop), scene.uids(VMS, space)
    for name in before:  # VM Operator records a newer version, so that the one in the backup is the older
        scene.cluster.kubectl("label", VMS, name, "since=backup", f"--namespace={space}")
    wait_until(lambda: not before.items() & backup_versions(shop).items(), 60, "every VM has a newer record")
    scene.supervisor.lose(space, kinds=IN_FRONT)
    vcenter = scene.supervisor.vcenter
    restored = [vadp.restore(vcenter, shop.point.of(name), in_place=True) for name in before]
    scene.server.cli("restore", "create", space, f"--from-backup={space}")
    scene.wait_described(space, "not registered")
    assert scene.names(SERVICES, space) == set()

    for vm in restored:
        assert scene.supervisor.wcp.register(vm.moid).finish() is State.SUCCEEDED

    scene.wait_restored(space)
    assert specs(scene.all(SERVICES, space)) == specs(shop.services)
    assert scene.uids(VMS, space) == uids
    report = report_of(shop)
    assert restore_types(report) == dict.fromkeys(before, RestoreType.EXISTING)
    assert deviations(report) == {}
    assert report.outcome is Outcome.VERIFIED


def test_a_disk_only_restore_is_waited_for_until_the_new_disks_are_bound(shop: Saved) -> None:
    scene, space = shop.scene, shop.namespace
    scene.supervisor.lose(space, kinds=IN_FRONT)
    moid = live_vm(shop, DATABASE).moid
    vadp.restore_disks(scene.supervisor.vcenter, moid, "data")
    task = scene.supervisor.wcp.register(moid, lazy_claims=True)
    assert task.finish() is State.SUCCEEDED
    scene.server.cli("restore", "create", space, f"--from-backup={space}")
    scene.wait_described(space, next(iter(task.claims.values())))
    assert "shop-db" not in scene.names(SERVICES, space)

    task.bind_claims()

    scene.wait_restored(space)
    assert specs(scene.all(SERVICES, space)) == specs(shop.services)
    report = report_of(shop)
    types = restore_types(report)
    assert types.pop(DATABASE) == RestoreType.DISK_ONLY
    assert set(types.values()) == {RestoreType.NEVER_LOST}
    assert deviations(report) == {}


@pytest.fixture(name="another_vcenter")
def _another_vcenter(scene: Scene) -> Iterator[None]:
    """The Supervisor is managed by another vCenter than the one that the VMs were backed up on."""
    vcenter = scene.supervisor.vcenter
    known, vcenter.uuid = vcenter.uuid, "another-vcenter"
    yield
    vcenter.uuid = known


def test_after_a_failover_every_vm_is_reported_as_failed_over_and_its_image_is_named(
    shop: Saved, request: pytest.FixtureRequest
) -> None:
    scene, space = shop.scene, shop.namespace
    shop.lose()
    request.getfixturevalue("another_vcenter")
    scene.server.cli("restore", "create", space, f"--from-backup={space}")
    scene.wait_described(space, "not registered yet")

    shop.register()

    scene.wait_restored(space)
    assert specs(scene.all(SERVICES, space)) == specs(shop.services)
    assert not any(vm["spec"].get("image") for vm in scene.all(VMS, space))
    report = report_of(shop)
    assert set(restore_types(report).values()) == {RestoreType.FAILOVER}
    assert deviations(report) == {}
    assert all(any("image" in note for note in vm.notes) for vm in report.machines)


@pytest.mark.since_velero("1.16")  # whose `restore create` has `--annotations`
def test_a_policy_on_the_command_line_of_velero_is_in_effect(shop: Saved) -> None:
    scene, space = shop.scene, shop.namespace
    shop.lose()
    policy = f"--annotations={PLUGIN_NAME}/power=on,{PLUGIN_NAME}/label-mismatch=fail"
    scene.server.cli("restore", "create", space, f"--from-backup={space}", policy)
    scene.wait_described(space, "not registered yet")

    shop.register()

    scene.wait_restored(space, deadline=120)
    policies = report_of(shop).policy
    assert (policies["power"], policies["label-mismatch"]) == ("on", "fail")
    assert {vm["status"]["powerState"] for vm in scene.all(VMS, space)} == {"PoweredOn"}
