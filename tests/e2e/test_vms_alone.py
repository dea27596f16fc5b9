"""VMs that belong to no group and no service, through Velero: listed in the seal, waited for, reported on, purged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.emulator import machines
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.scene import Scene


def test_namespace_with_only_vms_is_waited_for_and_reported_on(scene: Scene, space: str) -> None:
    names = ["vm-1", "vm-2"]
    application = machines.Application(
        namespace=space,
        secrets=(),
        claims=(),
        machines=[machines.virtual_machine(name, namespace=space) for name in names],
        groups=(),
        services=(),
    )
    point = scene.back_up(application)
    wait_until(lambda: any(key.endswith("/capture.json") for key in scene.stored(f"captures/{space}/")), 30, "sealed")
    seal = next(key for key in scene.stored(f"captures/{space}/") if key.endswith("/capture.json"))
    index = json.loads(scene.server.store.read(scene.server.bucket, seal))
    assert index["without_application"] == [f"{space}/{name}" for name in names]
    assert list(index["vadp"]["machines"]) == index["without_application"]

    scene.supervisor.lose(space)
    scene.start_restore(space)
    scene.wait_described(space, "not registered yet")
    scene.register(point, *names, into=space)
    scene.wait_restored(space)

    assert scene.stages(space) == {"VirtualMachines ": ("verified", "every VM is registered")}
    _, reports = scene.results(space)
    report = json.loads(next(body for key, body in reports.items() if key.endswith(".json")))
    assert [vm["name"] for vm in report["machines"]] == names

    scene.server.delete_backup(space)
    wait_until(lambda: not scene.stored(f"captures/{space}/"), 30, "facts and seal are gone")
