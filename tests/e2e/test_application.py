"""An application is backed up, lost and restored, by a real Velero on a real API server with garbage collection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.scene import BACKUPS, GROUPS, RESTORES, SERVICES, VMS, specs
from tests.emulator import machines
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.scene import Scene

ACTIONS = {
    "velero-plugin-for-vmservice/capture": "BackupItemActionV2",
    "velero-plugin-for-vmservice/withhold": "BackupItemActionV2",
    "velero-plugin-for-vmservice/replay": "RestoreItemActionV2",
    "velero-plugin-for-vmservice/pods": "RestoreItemActionV2",
    "velero-plugin-for-vmservice/vms": "RestoreItemActionV2",
    "velero-plugin-for-vmservice/leave": "RestoreItemActionV2",
    "velero-plugin-for-vmservice/purge": "DeleteItemAction",
}
MAPPED = "-b"


def test_every_action_is_listed(scene: Scene) -> None:
    lines = [line.split() for line in scene.server.cli("plugin", "get").splitlines()]
    listed = {line[0]: line[1] for line in lines if line and line[0].startswith("velero-plugin-for-vmservice/")}
    assert listed == ACTIONS


@pytest.mark.parametrize("suffix", ["", MAPPED], ids=["same namespace", "mapped namespace"])
def test_application_comes_back(scene: Scene, space: str, suffix: str) -> None:
    source, target = f"{space}{len(suffix)}", f"{space}{len(suffix)}{suffix}"
    application = machines.two_tier("shop", namespace=source)
    point = scene.back_up(application)
    groups, services = scene.all(GROUPS, source), scene.all(SERVICES, source)
    if suffix:
        scene.supervisor.cluster.create(machines.namespace(target))
    else:
        scene.supervisor.lose(source)

    flags = [f"--namespace-mappings={source}:{target}"] if suffix else []
    scene.server.cli("restore", "create", source, f"--from-backup={source}", *flags)
    scene.wait_described(source, "shop-web-2: not registered yet")
    assert scene.names(SERVICES, target) == set()
    for name in application.vm_names:
        scene.register(point, name, into=target)
    restore = scene.server.wait_over(RESTORES, source)

    assert restore["status"]["phase"] == "Completed", scene.describe(source)
    assert specs(scene.all(GROUPS, target)) == specs(groups, "powerState")
    assert specs(scene.all(SERVICES, target)) == specs(services, "clusterIp")
    for manifest in (*scene.all(GROUPS, target), *scene.all(SERVICES, target)):
        assert manifest["metadata"]["labels"]["velero.io/restore-name"] == source
        assert not any("velero" in key for key in manifest["metadata"].get("annotations", {}))
    assert {vm["status"]["powerState"] for vm in scene.all(VMS, target)} == {"PoweredOff"}
    assert all(
        claim["metadata"]["name"].startswith("restored-") for claim in scene.all("persistentvolumeclaims", target)
    )
    described = scene.describe(source)
    assert "VMs are not powered on" in described
    powered = "virtualmachinegroup shop" if scene.release.groups else "virtualmachine shop-web-1"
    assert f"kubectl -n {target} patch {powered} --type merge" in described
    assert "replay deferred until the VMs are registered" in scene.server.cli("restore", "logs", source)
    results, reports = scene.results(source)
    assert len(results) == len(groups) + len(services)
    assert {key.rpartition("/")[2] for key in reports} == {"report.json", "report.html"}
    assert f"/report.html (velero-vmservice report {source})" in " ".join(described.split())


def test_schedule_fires_and_deletion_removes_the_capture(scene: Scene, space: str) -> None:
    scene.cluster.create(
        {
            "apiVersion": "velero.io/v1",
            "kind": "Schedule",
            "metadata": {
                "name": space,
                "namespace": scene.server.namespace,
                "annotations": {  # Velero copies them onto the Schedule's Backups
                    "velero-plugin-for-vmservice/vadp-job": "nightly",
                    "velero-plugin-for-vmservice/vadp-restore-point": "rp-7",
                },
            },
            "spec": {
                "schedule": "@every 1s",
                "template": {"includedNamespaces": [space]},
                "paused": True,
            },
        }
    )
    scene.deploy(machines.two_tier("shop", namespace=space))
    # Velero looks at a schedule once a minute, and at once when it is changed: it is due by now.
    scene.server.cli("schedule", "unpause", space)

    def fired() -> list[str]:
        every = scene.all(BACKUPS, scene.server.namespace)
        return [backup["metadata"]["name"] for backup in every if backup["metadata"]["name"].startswith(space)]

    wait_until(lambda: bool(fired()), 120, "the schedule fires")
    scene.server.cli("schedule", "pause", space)
    name = fired()[0]
    assert scene.server.wait_over(BACKUPS, name)["status"]["phase"] == "Completed"
    seal = next(key for key in scene.stored(f"captures/{name}/") if key.endswith("/capture.json"))
    index = json.loads(scene.server.store.read(scene.server.bucket, seal))
    assert index["vadp"]["job"] == "nightly"
    assert index["vadp"]["restore_point"] == "rp-7"
    assert set(index["vadp"]["machines"]) == {f"{space}/{vm}" for vm in scene.names(VMS, space)}

    scene.server.delete_backup(name)

    assert scene.stored(f"captures/{name}/") == []


def test_service_deleted_while_its_vms_live_is_replayed_at_once(scene: Scene, space: str) -> None:
    scene.back_up(machines.two_tier("shop", namespace=space))
    scene.cluster.kubectl("annotate", "vm", "--all", "example.com/edited=since", f"--namespace={space}")
    scene.supervisor.lose(space, kinds=["VirtualMachineService"])
    before = scene.uids(VMS, space), scene.uids(GROUPS, space)

    restore = scene.server.restore(space, f"--from-backup={space}")

    assert restore["status"]["phase"] == "Completed", scene.describe(space)
    assert scene.names(SERVICES, space) == {"shop-web", "shop-db"}
    assert (scene.uids(VMS, space), scene.uids(GROUPS, space)) == before
    assert "endpoints: shop-web-1, shop-web-2" in scene.describe(space)


def test_same_restore_twice_changes_nothing(scene: Scene, space: str) -> None:
    scene.back_up(machines.two_tier("shop", namespace=space))
    scene.supervisor.lose(space, kinds=["VirtualMachineService"])
    scene.server.restore(f"{space}-1", f"--from-backup={space}")
    versions = {
        name: manifest for kind in (GROUPS, SERVICES) for name, manifest in specs(scene.all(kind, space)).items()
    }
    uids = scene.uids(GROUPS, space), scene.uids(SERVICES, space)

    restore = scene.server.restore(f"{space}-2", f"--from-backup={space}")

    assert restore["status"]["phase"] == "Completed"
    assert (scene.uids(GROUPS, space), scene.uids(SERVICES, space)) == uids
    assert {
        name: manifest for kind in (GROUPS, SERVICES) for name, manifest in specs(scene.all(kind, space)).items()
    } == versions
    assert "was there already, as captured" in scene.describe(f"{space}-2")


def test_vm_that_never_registers_is_named_and_the_restore_ends_cleanly(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    point = scene.lose_and_restore(application, "--item-operation-timeout=25s")
    scene.register(point, "shop-web-1", "shop-db-1", into=space)

    scene.wait_described(space, "shop-web-2: not registered yet")
    restore = scene.server.wait_over(RESTORES, space)

    assert restore["status"]["phase"] == "PartiallyFailed"
    assert scene.names(SERVICES, space) == {"shop-db"}
    assert scene.names(GROUPS, space) == scene.grouped("shop", "shop-db")
    web = scene.results(space)[0]["VirtualMachineService shop-web"]
    assert web["stage"] == "cancelled"
    assert "shop-web-2: not registered yet" in web["reason"]
    assert "Repeat the restore" in web["reason"]

    scene.register(point, "shop-web-2", into=space)
    again = scene.server.restore(f"{space}-again", f"--from-backup={space}")

    assert again["status"]["phase"] == "Completed", scene.describe(f"{space}-again")
    assert scene.names(SERVICES, space) == {"shop-db", "shop-web"}


def test_restore_into_a_namespace_that_vcenter_did_not_make_says_so(scene: Scene, space: str) -> None:
    scene.back_up(machines.two_tier("shop", namespace=space))

    mapping = f"--namespace-mappings={space}:{space}-plain"
    scene.server.cli("restore", "create", space, f"--from-backup={space}", mapping, "--item-operation-timeout=15s")

    scene.wait_described(space, f"the namespace {space}-plain is not a vSphere Namespace")
    assert scene.server.wait_over(RESTORES, space)["status"]["phase"] == "PartiallyFailed"
    assert scene.names(SERVICES, f"{space}-plain") == set()
