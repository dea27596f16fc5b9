"""Beside velero-plugin-for-vsphere with its default list, as every Supervisor has it, on each Velero in the field."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, SERVICES, Scene, specs
from tests.e2e.sidecar import Sidecar
from tests.e2e.velero import BLOCKED_RESOURCES
from tests.emulator import machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.cluster import Manifest

NAMED_BY_LIST = "virtualmachineservices.vmoperator.vmware.com"
FILTERS: Final = {
    "1.18.2": {},
    "1.15.2": {"excludedResources": ["serviceaccounts"]},
    "1.13.2": {"includedResources": ["services", NAMED_BY_LIST, GROUPS]},
}
"""What a Restore leaves out of a backup that lacks its services: the ServiceAccount that stands for them, or not."""


def blocked_resources(scene: Scene) -> Manifest:
    return scene.cluster.get("configmaps", BLOCKED_RESOURCES, namespace=scene.server.namespace)


@contextmanager
def sidecar_that_leaves_the_list(scene: Scene) -> Iterator[None]:
    """Run the sidecar with another setting for a while."""
    scene.sidecar.stop()
    leaving = Sidecar(scene.server, VMSERVICE_VSPHERE_PLUGIN="leave")
    leaving.start()
    try:
        yield
    finally:
        leaving.stop()
        scene.sidecar.start()
        scene.server.reset_blocked_resources()


def test_whole_application_without_any_flag(scene: Scene, space: str) -> None:
    scene.server.reset_blocked_resources()
    shop = saved(scene, machines.two_tier("shop", namespace=space))  # its backup has to end as Completed
    taken_over = blocked_resources(scene)
    assert NAMED_BY_LIST not in taken_over.get("data", {})
    kept = json.loads(taken_over["metadata"]["annotations"]["velero-plugin-for-vmservice/taken-over"])
    assert kept["keys"][NAMED_BY_LIST] == "true"

    shop.lose()
    scene.server.stop()
    scene.server.start()
    scene.server.reset_blocked_resources()
    scene.start_restore(space)
    scene.wait_described(space, "not registered yet")
    shop.register()
    scene.wait_restored(space)

    assert NAMED_BY_LIST not in blocked_resources(scene).get("data", {})
    assert specs(scene.all(SERVICES, space)) == specs(shop.services)
    assert specs(scene.all(GROUPS, space)) == specs(shop.groups, "powerState")


def test_list_that_is_left_alone_makes_the_backup_partial_and_a_restore_of_it_whole(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    scene.deploy(application)
    point, services = scene.supervisor.back_up(space), scene.all(SERVICES, space)
    scene.server.reset_blocked_resources()
    with sidecar_that_leaves_the_list(scene):
        refused = scene.server.backup(space, f"--include-namespaces={space}")
        silent = scene.server.backup(f"{space}-silent", f"--include-namespaces={space}", "--snapshot-volumes=false")
        logs = scene.server.cli("backup", "logs", space)
        assert blocked_resources(scene)["data"][NAMED_BY_LIST] == "true"

        scene.supervisor.lose(space)
        scene.start_restore(space, **FILTERS[scene.release.velero])
        scene.wait_described(space, f"VirtualMachineService {space}/shop-web")
        scene.register(point, *application.vm_names, into=space)
        scene.wait_restored(space)

    assert refused["status"]["phase"] == "PartiallyFailed"
    assert f"Resource CRD {NAMED_BY_LIST} is blocked in backup" in logs
    assert "velero-plugin-for-vsphere will refuse what is captured" in logs
    assert "set vsphere_plugin: take-over" in logs
    assert silent["status"]["phase"] == "Completed"
    assert specs(scene.all(SERVICES, space)) == specs(services)
    assert {stage for stage, _ in scene.stages(space).values()} == {"verified"}
