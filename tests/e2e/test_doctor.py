"""`doctor` on the real stack: a healthy one, a wrong bucket, and the default list of velero-plugin-for-vsphere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.scene import Scene, on_newest_velero
from tests.e2e.test_command_line import run
from velero_vmservice import __version__

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = on_newest_velero

BLOCKED_LIST = "list of velero-plugin-for-vsphere"
WRONG = "storage in location wrong"


def describe_pod(scene: Scene) -> None:
    """Let Velero's Deployment say what `velero install` and `velero plugin add` would have written."""
    images = {
        "velero-plugin-for-vmservice": f"velero-plugin-for-vmservice:{__version__}",
        "velero-plugin-for-vsphere": "vsphereveleroplugin/velero-plugin-for-vsphere:v1.7.0",
    }
    inits = [{"name": name, "image": image} for name, image in images.items()]
    servers = [{"name": "velero", "image": f"velero/velero:v{scene.server.version}", "args": ["server"]}]
    patch = {"spec": {"template": {"spec": {"initContainers": inits, "containers": servers}}}}
    scene.cluster.kubectl(
        "patch", "deployment", "velero", f"--namespace={scene.server.namespace}", f"--patch={json.dumps(patch)}"
    )


def examined(scene: Scene, *, exits: int, settings: Path | None = None) -> dict[str, dict[str, str]]:
    directory = f"--plugins-dir={scene.server.plugins}"
    printed = run(scene, "doctor", "-o", "json", directory, exits=(exits,), settings=settings)
    return {check["name"]: check for check in json.loads(printed)["checks"]}


def not_ok(made: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: check["state"] for name, check in made.items() if check["state"] != "ok"}


def test_a_healthy_installation_has_nothing_to_mend(scene: Scene) -> None:
    describe_pod(scene)
    made = examined(scene, exits=0)
    assert not_ok(made) == {}
    assert made["Velero's version"]["established"] == "Velero 1.18.2"
    assert made["daemon or sidecar"]["established"] == "it answered a launch"
    order = "velero-plugin-for-vmservice comes before velero-plugin-for-vsphere"
    assert made["order of plugins"]["established"] == order
    assert scene.server.phase("backupstoragelocations.velero.io", "default") == "Available"


def test_a_bucket_that_does_not_exist_fails_alone(scene: Scene) -> None:
    describe_pod(scene)
    location = scene.cluster.get("backupstoragelocations.velero.io", "default", namespace=scene.server.namespace)
    spec = {**location["spec"], "default": False, "objectStorage": {"bucket": "no-such-bucket"}}
    metadata = {"name": "wrong", "namespace": scene.server.namespace}
    scene.cluster.create({**location, "metadata": metadata, "spec": spec, "status": {}})
    try:
        made = examined(scene, exits=5)
    finally:
        scene.cluster.kubectl(
            "delete", "backupstoragelocations.velero.io", "wrong", f"--namespace={scene.server.namespace}"
        )
    assert not_ok(made).keys() - {"location wrong"} == {WRONG}
    assert 'bucket "no-such-bucket"' in made[WRONG]["established"]
    assert made[WRONG]["hint"]


def test_the_default_list_is_taken_over_or_by_the_settings_left(scene: Scene, tmp_path: Path) -> None:
    describe_pod(scene)
    scene.server.reset_blocked_resources()
    settings = tmp_path / "settings.yaml"
    settings.write_text("vsphere_plugin: leave\n")
    assert "taken over when the next backup or restore begins" in examined(scene, exits=0)[BLOCKED_LIST]["established"]
    left = examined(scene, exits=0, settings=settings)
    assert not_ok(left) == {BLOCKED_LIST: "warning"}
    assert "virtualmachineservices.vmoperator.vmware.com" in left[BLOCKED_LIST]["established"]
    assert left[BLOCKED_LIST]["hint"] == "set vsphere_plugin: take-over, or back up with --snapshot-volumes=false"


def test_the_api_server_takes_the_job(scene: Scene) -> None:
    describe_pod(scene)
    line = run(scene, "doctor", "--job")
    assert len(line.splitlines()) == 1
    assert "job.batch/velero-vmservice-doctor-" in scene.cluster.kubectl(
        "create", "--dry-run=server", "-f-", stdin=line
    )
