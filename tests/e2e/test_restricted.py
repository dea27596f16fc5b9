"""One object of each restricted kind: backup and restore end Completed, and the Supervisor's own do not come back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e import crds
from tests.e2e.scene import VMS
from tests.emulator import machines
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.scene import Scene


def test_restricted_resources_neither_fail_backup_nor_restore(scene: Scene, space: str) -> None:
    namespace = scene.cluster.namespace(space)
    everything = crds.one_of_each_restricted_kind(namespace, scene.release)
    scene.cluster.create(*everything)
    cluster_scoped = ",".join(kind.resource for kind in crds.restricted_kinds() if not kind.namespaced)

    backup = scene.server.backup(
        space, f"--include-namespaces={space}", f"--include-cluster-scoped-resources={cluster_scoped}"
    )

    assert backup["status"]["phase"] == "Completed", scene.server.cli("backup", "logs", space)
    seal = next(key for key in scene.stored(f"captures/{space}/") if key.endswith("/capture.json"))
    withheld = json.loads(scene.server.store.read(scene.server.bucket, seal))["withheld"]
    ours = {"virtualmachineservices.vmoperator.vmware.com", "virtualmachinegroups.vmoperator.vmware.com"}
    assert set(withheld) == {kind.resource for kind in crds.restricted_kinds()} - ours

    for manifest in everything:
        if manifest["kind"] != "VirtualMachine":
            resource = f"{manifest['kind']}.{manifest['apiVersion'].partition('/')[0]}".lower()
            where = [f"--namespace={space}"] if "namespace" in manifest["metadata"] else []
            scene.cluster.kubectl("delete", resource, manifest["metadata"]["name"], "--wait=false", *where)
    restore = scene.server.restore(space, f"--from-backup={space}")

    assert restore["status"]["phase"] == "Completed", scene.describe(space)
    assert restore["status"].get("errors", 0) == 0
    logs = scene.server.cli("restore", "logs", space)
    for resource in set(withheld) - {VMS}:
        assert f"Attempting to restore {resource}" not in logs


def test_backup_of_vms_alone_is_counted_and_sealed(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    scene.deploy(application)

    backup = scene.server.backup(space, f"--include-namespaces={space}", f"--include-resources={VMS}")

    assert backup["status"]["phase"] == "Completed", scene.server.cli("backup", "logs", space)
    wait_until(lambda: any(key.endswith("/capture.json") for key in scene.stored(f"captures/{space}/")), 30, "sealed")
    seal = next(key for key in scene.stored(f"captures/{space}/") if key.endswith("/capture.json"))
    index = json.loads(scene.server.store.read(scene.server.bucket, seal))
    assert index["withheld"] == {VMS: len(application.vm_names)}
    assert [namespace["key"].rpartition("/")[2] for namespace in index["namespaces"]] == [f"{space}.json"]
