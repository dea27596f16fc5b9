"""Settings in a ConfigMap of Velero's namespace, the only place for them on a Supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.saved import saved
from tests.emulator import machines

if TYPE_CHECKING:
    from tests.e2e.scene import Scene

LABELS = {"velero.io/plugin-config": "", "velero-plugin-for-vmservice": "BackupItemAction"}


def test_change_holds_for_the_restore_that_begins_next(scene: Scene, space: str) -> None:
    shop = saved(scene, machines.two_tier("shop", namespace=space))
    before, after = f"{space}-before", f"{space}-after"
    scene.start_restore(before, backup=shop.namespace)
    scene.wait_restored(before)

    metadata = {"name": "vmservice", "namespace": scene.server.namespace, "labels": LABELS}
    data = {"settings.yaml": "restore: {mode: strict}\n"}
    scene.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    try:
        scene.start_restore(after, backup=shop.namespace)
        scene.wait_restored(after)
    finally:
        scene.cluster.kubectl("delete", "configmap", "vmservice", f"--namespace={scene.server.namespace}")

    assert "mode=best-effort" in scene.server.cli("restore", "logs", before)
    assert "mode=strict" in scene.server.cli("restore", "logs", after)
