"""The command line beside a real Velero: plan before, go on after, read the report."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.e2e.saved import saved
from tests.e2e.scene import BACKUPS, GROUPS, RESTORES, SERVICES, VMS, Scene, specs
from tests.emulator import machines
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def run(scene: Scene, *arguments: str, exits: Collection[int] = (0,), settings: Path | None = None) -> str:
    """Run a command as an administrator would, with the sidecar's own environment; return what it prints."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(scene.cluster.kubeconfig),
        "VMSERVICE_VELERO_NAMESPACE": scene.server.namespace,
        "AWS_SHARED_CREDENTIALS_FILE": str(scene.server.credentials),
        **({"VMSERVICE_SETTINGS": str(settings)} if settings else {}),
    }
    command = [sys.executable, "-m", "velero_vmservice.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in exits, f"{arguments} exited with {done.returncode}: {done.stdout}\n{done.stderr}"
    return done.stdout or done.stderr


def planned(scene: Scene, *arguments: str, exits: Collection[int] = (0,)) -> dict[str, tuple[str, str]]:
    """Return the action and reason of each object's plan."""
    plan = json.loads(run(scene, "plan", *arguments, "-o", "json", exits=exits))
    return {
        f"{planned_object['kind']} {planned_object['name']}": (planned_object["action"], planned_object["reason"])
        for planned_object in plan["objects"]
    }


def test_plan_says_what_a_restore_would_do_and_writes_nothing(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    point = scene.back_up(application)

    assert {action for action, _ in planned(scene, space).values()} == {"skip-identical"}
    scene.supervisor.lose(space)
    waiting = planned(scene, space)
    assert waiting["VirtualMachineService shop-web"][0] == "wait"
    assert "shop-web-1: not registered yet" in waiting["VirtualMachineService shop-web"][1]
    scene.register(point, *application.vm_names, into=space)
    wait_until(lambda: {action for action, _ in planned(scene, space).values()} == {"create"}, 60, "all may be created")
    assert "create" in run(scene, "plan", space)
    assert scene.names(GROUPS, space) == set()
    assert scene.names(SERVICES, space) == set()
    unknown = run(scene, "plan", space, "--policy", "power=always", exits=(2,))
    assert "power has to be 'leave', 'captured' or 'on'" in unknown
    assert "Traceback" not in unknown


def test_plan_names_what_a_person_has_to_move(scene: Scene, space: str) -> None:
    scene.back_up(machines.two_tier("shop", namespace=space))
    scene.cluster.kubectl(
        "patch", "virtualmachineservice", "shop-web", f"--namespace={space}", "--type=merge",
        '--patch={"spec":{"ports":[{"name":"http","protocol":"TCP","port":81,"targetPort":8080}]}}',
    )  # fmt: skip

    assert planned(scene, space)["VirtualMachineService shop-web"][0] == "retain"
    assert planned(scene, space, "--policy", "conflict=update")["VirtualMachineService shop-web"][0] == "update"
    refused = planned(scene, space, "--policy", "conflict=fail", exits=(3,))
    assert refused["VirtualMachineService shop-web"][0] == "conflict"
    assert "spec.ports" in refused["VirtualMachineService shop-web"][1]


def test_restore_that_velero_gave_up_is_resumed_and_reported(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    point = scene.lose_and_restore(application, "--item-operation-timeout=10s")
    assert scene.server.wait_over(RESTORES, space)["status"]["phase"] == "PartiallyFailed"
    assert "itemOperationTimeout" in run(scene, "report", space)
    scene.register(point, *application.vm_names, into=space)
    uids = scene.uids(VMS, space)

    output = run(scene, "restore", "--resume", space)

    assert "VirtualMachineService " + f"{space}/shop-web: verified" in output
    assert scene.names(GROUPS, space) == scene.grouped("shop", "shop-web", "shop-db")
    assert scene.names(SERVICES, space) == {"shop-web", "shop-db"}
    assert scene.uids(VMS, space) == uids
    shows_it = re.search(r"\(velero-vmservice (report [^)]+)\)", output)
    assert shows_it is not None, output
    command = shlex.split(shows_it[1])
    assert json.loads(run(scene, *command, "-o", "json"))["outcome"] == "verified"
    assert run(scene, *command, "-o", "html").startswith("<!doctype html>")
    again = run(scene, "restore", "--resume", space)
    assert "was there already, as captured" in again


def test_restore_that_velero_ended_without_its_backup_object_is_resumed(scene: Scene, space: str) -> None:
    shop = saved(scene, machines.two_tier("shop", namespace=space))
    shop.lose()
    scene.start_restore(space)
    scene.wait_described(space, "not registered yet")
    scene.cluster.kubectl("delete", BACKUPS, space, f"--namespace={scene.server.namespace}")
    scene.wait_restored(space, "PartiallyFailed")
    shop.register()

    run(scene, "restore", "--resume", space, "--yes")

    assert specs(scene.all(SERVICES, space)) == specs(shop.services)
    assert specs(scene.all(GROUPS, space)) == specs(shop.groups, "powerState")


def test_status_shows_each_vm_until_all_are_registered(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    point = scene.lose_and_restore(application, "--item-operation-timeout=10s")

    lost = json.loads(run(scene, "registration", "status", space, "-o", "json", exits=(4,)))
    assert {vm["name"]: vm["state"] for vm in lost["machines"]} == dict.fromkeys(application.vm_names, "absent")
    assert (lost["ready"], lost["sources"]) == (0, ["kubernetes"])
    first, *others = application.vm_names
    scene.register(point, first, into=space)
    wait_until(
        lambda: f"{space}/{first}  ready" in run(scene, "registration", "status", space, "--vm", first, exits=(0, 4)),
        60,
        f"{first} is ready",
    )
    assert "absent" in run(scene, "registration", "status", "--restore", space, exits=(4,))
    scene.register(point, *others, into=space)
    watched = run(scene, "registration", "status", "--restore", space, "--watch", "--interval", "1")
    assert watched.splitlines()[-1] == "3 of 3 VMs are ready"


def test_trigger_without_a_vcenter_says_what_to_set_up(scene: Scene) -> None:
    output = run(scene, "registration", "trigger", "--restore", "any", "-n", "any", "web-1", exits=(1,))
    assert "no vCenter is set up\nhint: set vcenter.server" in output
    assert "Traceback" not in output
