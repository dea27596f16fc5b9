"""Groups own their machines: a group that comes back with a dead owner takes them with it (VM Operator, real GC)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.e2e.scene import GROUPS, RESTORES, VMS
from tests.e2e.waiting import wait_until
from tests.supervisor import machines

if TYPE_CHECKING:
    from tests.e2e.cluster import Cluster
    from tests.e2e.scene import Scene

DEAD = "00000000-dead-4000-8000-000000000000"


def collector_has_passed(cluster: Cluster, namespace: str) -> None:
    """Wait until the garbage collector has taken an object whose owner never existed: it has seen all before it."""
    canary = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "canary",
            "namespace": namespace,
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": DEAD}],
        },
    }
    cluster.create(canary)
    wait_until(lambda: not cluster.exists("configmaps", "canary", namespace=namespace), 60, "garbage is collected")


def test_nested_groups_come_back_clean_and_every_machine_lives(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space, root="estate", power="PoweredOn")
    scene.deploy(application)
    forced = {"spec": {"nextForcePowerStateSyncTime": "2026-01-01T00:00:00Z"}}
    scene.cluster.kubectl("patch", GROUPS, "shop", "-n", space, "--type=merge", "-p", json.dumps(forced))
    before = {one["metadata"]["name"]: one for one in scene.all(GROUPS, space)}
    assert before["shop-web"]["metadata"]["ownerReferences"]
    assert any("protected" in key for one in before.values() for key in one["metadata"].get("annotations", {}))
    point = scene.supervisor.back_up(space)
    assert scene.server.backup(space, f"--include-namespaces={space}")["status"]["phase"] == "Completed"
    scene.supervisor.lose(space)

    scene.register(point, *application.machine_names, into=space)
    registered = scene.uids(VMS, space)
    scene.server.cli("restore", "create", space, f"--from-backup={space}")
    restore = scene.server.wait_over(RESTORES, space)
    assert restore["status"]["phase"] == "Completed", scene.describe(space)
    groups = scene.uids(GROUPS, space)
    collector_has_passed(scene.cluster, space)

    assert scene.uids(VMS, space) == registered
    assert scene.uids(GROUPS, space) == groups
    assert set(groups) == {"estate", "shop", "shop-web", "shop-db"}
    for group in scene.all(GROUPS, space):
        assert "powerState" not in group["spec"]
        assert "nextForcePowerStateSyncTime" not in group["spec"]
        owners = {one["uid"] for one in group["metadata"].get("ownerReferences", [])}
        assert owners <= set(groups.values())
    assert {vm["status"]["powerState"] for vm in scene.all(VMS, space)} == {"PoweredOff"}


def test_manual_procedure_loses_machines(scene: Scene, space: str) -> None:
    """What the README warns of: the same application, its groups dumped and applied as the guide's section 10.4 says."""
    application = machines.two_tier("shop", namespace=space, root="estate", power="PoweredOn")
    scene.deploy(application)
    point = scene.supervisor.back_up(space)
    dump = [_as_kubectl_applies_it(one) for one in scene.all(GROUPS, space)]
    scene.supervisor.lose(space)
    scene.register(point, *application.machine_names, into=space)
    registered = scene.uids(VMS, space)
    assert len(registered) == len(application.machine_names)

    scene.cluster.apply(*dump)

    wait_until(lambda: len(scene.uids(VMS, space)) < len(registered), 60, "machines are lost")


def _as_kubectl_applies_it(group: dict[str, Any]) -> dict[str, Any]:
    """`kubectl apply` refuses a dump's uid and resourceVersion, so a user takes just these two off."""
    metadata = {key: value for key, value in group["metadata"].items() if key not in ("uid", "resourceVersion")}
    return {**group, "metadata": metadata}
