"""The chart on a real API server: accepted there, and its rights are all that the plugin needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e import audit, crds
from tests.e2e.chart import NAMESPACE, OVERLAY, VARIANTS, Installation, rendered
from tests.e2e.saved import Saved
from tests.e2e.scene import BACKUPS, GROUPS, SERVICES, Scene, specs
from tests.e2e.sidecar import Sidecar
from tests.e2e.velero import BLOCKED_RESOURCES, VSPHERE_PLUGIN
from tests.emulator import machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.cluster import Manifest
    from tests.e2e.stack import Stack
    from tests.emulator.supervisor import Supervisor

pytestmark = pytest.mark.newest_release

SCHEDULES = "schedules.velero.io"
SPACE = "charted"
SCHEDULE = (f"schedules.nightly.namespaces={{{SPACE}}}", "schedules.nightly.paused=true")
"""Whoever wants a backup of it asks for it."""


@pytest.fixture(scope="module")
def charted(stack: Stack, supervisor: Supervisor) -> Iterator[tuple[Installation, Scene]]:
    """The chart beside a Velero and velero-plugin-for-vsphere; the sidecar has the account that the chart makes."""
    server = stack.velero(name="charted-velero", charted=False)
    chart = Installation(cluster=stack.cluster, namespace=server.namespace)
    chart.upgrade(*SCHEDULE)
    server.plugin_kubeconfig = chart.kubeconfig()
    server.add_plugin(VSPHERE_PLUGIN)
    server.reset_blocked_resources()
    sidecar = Sidecar(server)
    sidecar.start()
    try:
        server.start()
        yield chart, Scene(server=server, sidecar=sidecar, supervisor=supervisor)
    finally:
        server.close()
        sidecar.stop()
        supervisor.lose(SPACE)


def saved_by_schedule(scene: Scene) -> Saved:
    """Deploy an application, and have the chart's Schedule back it up."""
    shop = machines.two_tier("shop", namespace=SPACE)
    scene.deploy(shop)
    point = scene.supervisor.back_up(SPACE)
    backup = scene.server.backup(SPACE, "--from-schedule=nightly")
    assert backup["status"]["phase"] == "Completed", scene.server.cli("backup", "logs", SPACE)
    groups, services = scene.all(GROUPS, SPACE), scene.all(SERVICES, SPACE)
    return Saved(scene=scene, application=shop, point=point, groups=groups, services=services)


def restored(lost: Saved, name: str) -> None:
    """Restore an application under a name, its VMs too, and see that it is as it was."""
    scene = lost.scene
    scene.start_restore(name, backup=SPACE, policy={"power": "captured"})
    scene.wait_described(name, "not registered yet")
    lost.register()
    scene.wait_restored(name)
    assert specs(scene.all(GROUPS, SPACE)) == specs(lost.groups)
    assert specs(scene.all(SERVICES, SPACE)) == specs(lost.services)
    assert {stage for stage, _ in scene.stages(name).values()} == {"verified"}


def pod_of_overlay() -> Manifest:
    """A Deployment with what the overlay adds to the pod of the official chart, and what that has already."""
    overlay: dict[str, Any] = yaml.safe_load(OVERLAY.read_text(encoding="utf-8"))
    own = [{"name": name, "emptyDir": {}} for name in ("plugins", "cloud-credentials")]
    spec = {
        "containers": [{"name": "velero", "image": "velero/velero"}],
        "initContainers": overlay["initContainers"],
        "volumes": [*own, *overlay["extraVolumes"]],
        "securityContext": overlay["podSecurityContext"],
    }
    labels = {"name": "velero"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "overlay", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def test_the_api_server_accepts_every_variant_and_the_overlay(stack: Stack) -> None:
    stack.cluster.namespace(NAMESPACE)
    stack.cluster.install(crds.load("prometheus-operator"))
    for manifests in (*(rendered(f"--values={variant}") for variant in VARIANTS), [pod_of_overlay()]):
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        command = ("create", "--dry-run=server", "--validate=strict", "--output=name", "--filename=-")
        accepted = stack.cluster.kubectl(*command, stdin=items)
        assert len(accepted.splitlines()) == len(manifests)


def test_whole_story_needs_no_other_right_and_the_captures_stay(charted: tuple[Installation, Scene]) -> None:
    chart, scene = charted
    shop = saved_by_schedule(scene)
    listed = scene.cluster.get("configmaps", BLOCKED_RESOURCES, namespace=scene.server.namespace)
    assert SERVICES not in listed.get("data", {})  # taken over
    shop.lose()
    restored(shop, f"{SPACE}-1")
    refused = audit.refused(scene.cluster, chart.user)
    assert set(refused) == {f"list /api/v1/namespaces/{SPACE}/{plural}" for plural in ("secrets", "configmaps")}
    captures = scene.stored("captures/")
    assert captures

    chart.upgrade(*SCHEDULE, "rbac.bootstrapObjects=true")
    shop.lose()
    restored(shop, f"{SPACE}-2")
    assert audit.refused(scene.cluster, chart.user) == refused  # and nothing since

    chart.uninstall()
    assert not scene.cluster.exists(SCHEDULES, "nightly", namespace=scene.server.namespace)
    backup = scene.cluster.get(BACKUPS, SPACE, namespace=scene.server.namespace)
    assert "ownerReferences" not in backup["metadata"]
    assert scene.stored("captures/") == captures
