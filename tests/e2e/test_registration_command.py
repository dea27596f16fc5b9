"""RegisterVM by command on real Velero and a simulated vCenter, by an administrator who asks more than once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.e2e.test_command_line import run
from tests.emulator import machines
from velero_vmservice.supervisor.namespace_state import FOLDER_ANNOTATION

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.scene import Scene
    from tests.e2e.vcenter import VCenterSimulator


def settings(vcenter: VCenterSimulator, directory: Path) -> Path:
    """Write what an administrator would, and return where; the mode stays observe."""
    password, file = directory / "password", directory / "settings.yaml"
    password.write_text(f"{vcenter.password}\n")
    outputs = {
        "registration": {"sources": ["kubernetes", "vcenter"]},
        "vcenter": {
            "server": vcenter.server,
            "user": vcenter.user,
            "password_file": str(password),
            "ca_file": str(vcenter.ca_file),
        },
    }
    file.write_text(json.dumps(outputs))
    return file


def test_trigger_calls_once_however_often_it_is_run(
    scene: Scene, space: str, vcenter: VCenterSimulator, tmp_path: Path
) -> None:
    application = machines.two_tier("shop", namespace=space)
    point = scene.lose_and_restore(application, "--item-operation-timeout=10s")
    name, other, *_ = application.vm_names
    saved = point.of(name, namespace=space)
    moid = vcenter.restore(
        name,
        folder=space,
        bios_uuid=saved.bios_uuid,
        instance_uuid=saved.instance_uuid,
        extra_config=saved.extra_config,
    )
    folder = vcenter.folder(space)._GetMoId()
    scene.cluster.kubectl("annotate", "namespace", space, f"{FOLDER_ANNOTATION}={folder}", "--overwrite")
    file = settings(vcenter, tmp_path)
    command = ("registration", "trigger", "--restore", space, "-n", space, "--yes")

    refused = run(scene, *command, other, settings=file, exits=(4,))
    assert f"{space}/{other}: absent: RegisterVM is not called: vCenter has no VM" in refused
    with ThreadPoolExecutor() as both:  # two administrators at the same moment
        outputs = list(both.map(lambda _: run(scene, *command, name, settings=file, exits=(0, 4)), range(2)))
    assert any(f"of {moid} runs" in output for output in outputs)
    assert "attempt 1 is " in run(scene, *command, name, settings=file, exits=(4,))
    assert vcenter.calls(moid) == 1
    vcenter.destroy(moid)
