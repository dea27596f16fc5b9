"""docs/walkthroughs.md, command by command: each way in which RegisterVM brings VMs back (guide 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, SERVICES, VMS, Scene, on_newest_velero, specs
from tests.e2e.walkthrough import Walkthrough
from tests.emulator import machines, vadp
from tests.emulator.vm_operator.records import BACKUP_VERSION
from tests.emulator.wcp.register_steps import State
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.saved import Saved

DATABASE: Final = "shop-db-1"


@pytest.fixture(name="shop")
def _shop(scene: Scene, space: str) -> Saved:
    return saved(scene, machines.two_tier("shop", namespace=space))


def walkthrough(shop: Saved, heading: str) -> Walkthrough:
    return Walkthrough(shop.scene, heading, namespace=shop.namespace)


def backup_versions(shop: Saved) -> Mapping[str, str]:
    metadata = [vm["metadata"] for vm in shop.scene.all(VMS, shop.namespace)]
    return {vm["name"]: vm["annotations"].get(BACKUP_VERSION, "") for vm in metadata}


@on_newest_velero
def test_restore_to_new(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    scene.deploy(application)
    point, services, groups = scene.supervisor.back_up(space), scene.all(SERVICES, space), scene.all(GROUPS, space)
    backup = Walkthrough(scene, "The backup", namespace=space)
    backup.next()
    backup.end()
    scene.supervisor.lose(space)
    page = Walkthrough(scene, "Restore to new", namespace=space)

    page.next()
    page.next()
    first, *others = application.vm_names
    scene.register(point, first, into=space)
    page.next()
    scene.register(point, *others, into=space)
    page.next()
    assert specs(scene.all(SERVICES, space)) == specs(services)
    assert specs(scene.all(GROUPS, space)) == specs(groups, "powerState")
    page.next()
    page.end()

    assert {vm["status"]["powerState"] for vm in scene.all(VMS, space)} == {"PoweredOn"}


@on_newest_velero
def test_restore_in_place(shop: Saved) -> None:
    scene, space = shop.scene, shop.namespace
    before = backup_versions(shop)
    for name in before:  # VM Operator records a newer version, so that the one in the backup is the older
        scene.cluster.kubectl("label", VMS, name, "since=backup", f"--namespace={space}")
    wait_until(lambda: not before.items() & backup_versions(shop).items(), 60, "every VM has a newer record")
    scene.cluster.kubectl("delete", SERVICES, "shop-web", f"--namespace={space}")
    vcenter = scene.supervisor.vcenter
    restored = [vadp.restore(vcenter, shop.point.of(name), in_place=True) for name in before]
    page = walkthrough(shop, "Restore in place")

    page.next()
    for vm in restored:
        assert scene.supervisor.wcp.register(vm.moid).finish() is State.SUCCEEDED
    page.next()
    page.end()

    assert specs(scene.all(SERVICES, space)) == specs(shop.services)


@on_newest_velero
def test_disk_only_restore(shop: Saved) -> None:
    vcenter = shop.scene.supervisor.vcenter
    moid = next(vm.moid for vm in vcenter.machines() if (vm.folder, vm.name) == (shop.namespace, DATABASE))
    vadp.restore_disks(vcenter, moid, "data")
    task = shop.scene.supervisor.wcp.register(moid, lazy_claims=True)
    assert task.finish() is State.SUCCEEDED
    page = walkthrough(shop, "Disk-only restore")

    page.next()
    task.bind_claims()
    page.next()
    page.end()


@pytest.fixture(name="another_vcenter")
def _another_vcenter(scene: Scene) -> Iterator[None]:
    """The Supervisor is managed by another vCenter than the one that the VMs were backed up on."""
    vcenter = scene.supervisor.vcenter
    known, vcenter.uuid = vcenter.uuid, "another-vcenter"
    yield
    vcenter.uuid = known


@on_newest_velero
def test_failover(shop: Saved, request: pytest.FixtureRequest) -> None:
    shop.lose()
    request.getfixturevalue("another_vcenter")
    page = walkthrough(shop, "Failover")

    page.next()
    shop.register()
    page.next()
    page.end()

    assert specs(shop.scene.all(SERVICES, shop.namespace)) == specs(shop.services)
