"""Whatever ends in the middle, the next poll goes on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.calls import between_calls, freeze_within_poll
from tests.e2e.processes import kill_process
from tests.e2e.scene import GROUPS, RESTORES, SERVICES, Scene
from tests.e2e.self_contained import alone, only_daemon, wait_restarted
from tests.e2e.sidecar import LAUNCHER, Sidecar
from tests.e2e.test_command_line import run
from tests.emulator import machines
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stack import Stack
    from tests.e2e.velero import VeleroServer
    from tests.emulator.supervisor import Supervisor
    from tests.emulator.vadp import RestorePoint

LATE_SECONDS = 6


def waiting_restore(scene: Scene, space: str) -> RestorePoint:
    """Bring a restore to where it waits for VMs."""
    point = scene.lose_and_restore(machines.two_tier("shop", namespace=space))
    scene.wait_described(space, "shop-web-2: not registered yet")
    return point


def assert_restored(scene: Scene, space: str) -> None:
    restore = scene.server.wait_over(RESTORES, space)
    assert restore["status"]["phase"] == "Completed", scene.describe(space)
    assert scene.names(SERVICES, space) == {"shop-web", "shop-db"}
    assert scene.names(GROUPS, space) == scene.grouped("shop", "shop-web", "shop-db")


def test_sidecar_killed_between_two_polls(scene: Scene, space: str) -> None:
    point = waiting_restore(scene, space)

    with between_calls(scene.server):
        scene.sidecar.kill()
    scene.register(point, "shop-web-1", into=space)
    scene.sidecar.start()
    scene.wait_described(space, "1 of 2 complete (VMs)")
    with between_calls(scene.server):
        scene.sidecar.kill()
    scene.sidecar.start()
    scene.register(point, "shop-web-2", "shop-db-1", into=space)

    assert_restored(scene, space)


def test_daemon_killed_within_a_poll(stack: Stack, supervisor: Supervisor) -> None:
    name = "within"
    with alone(stack, supervisor, stack.release.velero, name) as scene, scene.space_of(f"{name}-app") as space:
        point = waiting_restore(scene, space)
        first = only_daemon(scene.server)

        freeze_within_poll(scene.server, first)
        kill_process(first)
        wait_restarted(scene.server, first)
        scene.register(point, "shop-web-1", "shop-web-2", "shop-db-1", into=space)

        scene.wait_restored(space, "PartiallyFailed")
        assert scene.describe(space).count("error reading from server: EOF") == 1
        run(scene, "restore", "--resume", space)
        assert scene.names(SERVICES, space) == {"shop-web", "shop-db"}
        assert scene.names(GROUPS, space) == scene.grouped("shop", "shop-web", "shop-db")


def test_velero_killed_while_waiting_for_plugin_operations(scene: Scene, space: str) -> None:
    point = waiting_restore(scene, space)
    scene.server.wait_phase(RESTORES, space, "WaitingForPluginOperations")

    scene.server.kill()
    wait_until(lambda: not scene.server.plugin_processes(LAUNCHER), 10, "orphaned launchers are gone")
    scene.register(point, "shop-web-1", "shop-web-2", "shop-db-1", into=space)
    scene.server.start()

    assert_restored(scene, space)


def test_sidecar_is_late_when_velero_starts(stack: Stack, supervisor: Supervisor) -> None:
    server = stack.velero(name="late")
    sidecar = Sidecar(server)
    sidecar.start()  # installs the launcher
    sidecar.stop()
    appearance = threading.Timer(LATE_SECONDS, sidecar.start)

    server.start(until_available=False)
    appearance.start()
    try:
        scene = Scene(server=server, sidecar=sidecar, supervisor=supervisor)
        wait_until(lambda: scene.server.phase("backupstoragelocations.velero.io", "default") == "Available", 90, "up")
        assert "velero-plugin-for-vmservice/capture" in server.cli("plugin", "get")
    finally:
        appearance.join()
        server.close()
        sidecar.stop()


@pytest.mark.since_velero("1.16")
def test_parallel_item_workers_capture_everything_once(stack: Stack, supervisor: Supervisor) -> None:
    server = stack.velero(name="workers", flags=["--item-block-worker-count=8"])
    with at_work(server, supervisor) as scene, scene.space_of("workers-app") as space:
        scene.deploy(machines.two_tier("shop", namespace=space, web=6, database=4))

        backup = server.backup("parallel", f"--include-namespaces={space}")

        assert backup["status"]["phase"] == "Completed"
        kinds = [key.split("/")[-3] for key in scene.stored("captures/parallel/") if "/objects/" in key]
        assert sorted(kinds) == ["virtualmachinegroups"] * 3 + ["virtualmachineservices"] * 2
        assert [key for key in scene.stored("captures/parallel/") if key.endswith("/capture.json")]


def test_results_that_came_while_the_bucket_was_renamed_are_stored_once_it_is_back(
    stack: Stack, supervisor: Supervisor
) -> None:
    with at_work(stack.velero(name="renamed"), supervisor) as scene, scene.space_of("renamed-app") as space:
        point = waiting_restore(scene, space)
        # Velero takes a bucket that it cannot see for a restore without operations until its first poll has read them
        # (itemoperationmap, GetOperationsForRestore): the bucket goes when a poll has told what it saw.
        scene.register(point, "shop-web-1", into=space)
        scene.wait_described(space, "1 of 2 complete (VMs)")
        bucket = stack.store.directory / "data" / scene.server.bucket
        elsewhere = bucket.with_name(f"{bucket.name}-elsewhere")
        bucket.rename(elsewhere)
        try:
            scene.register(point, "shop-web-2", "shop-db-1", into=space)
            wait_until(lambda: "result not stored" in scene.sidecar.log.read_text(), 90, "a result is refused")
        finally:
            elsewhere.rename(bucket)

        assert_restored(scene, space)
        results, reports = scene.results(space)
        assert {result["stage"] for result in results.values()} == {"verified"}
        assert len(results) == len(scene.all(SERVICES, space)) + len(scene.all(GROUPS, space))
        assert {key.rpartition("/")[2] for key in reports} == {"report.json", "report.html"}


@contextmanager
def at_work(server: VeleroServer, supervisor: Supervisor) -> Iterator[Scene]:
    """Run a Velero server that was prepared for one test, with our sidecar."""
    sidecar = Sidecar(server)
    sidecar.start()
    try:
        server.start()
        yield Scene(server=server, sidecar=sidecar, supervisor=supervisor)
    finally:
        server.close()
        sidecar.stop()
