"""The self-contained plugin: Velero in a container with nothing but the image's own files, and no sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.e2e.containers import bundle
from tests.e2e.scene import GROUPS, RESTORES, SERVICES
from tests.e2e.self_contained import alone, install_bundle, save_and_restore
from tests.e2e.sidecar import LAUNCHER
from tests.emulator import machines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.stack import Stack
    from tests.emulator.supervisor import Supervisor


def test_application_is_saved_and_restored_without_a_sidecar(stack: Stack, supervisor: Supervisor) -> None:
    name = "contained"
    with alone(stack, supervisor, stack.release.velero, name) as scene, scene.space_of(f"{name}-app") as space:
        save_and_restore(scene, space)


DENIALS: Final = {
    "1.18.2": ({"memory_files": "2"}, "this container may make no executable file in memory"),
    "1.15.2": ({"denied": "memfd_create"}, "this container may make no executable file in memory"),
    "1.13.2": ({"denied": "execveat"}, "this container may execute no file in memory"),
}
"""What a container forbids and what is said then; another thing with each Velero, as Velero has no part in it."""


def test_velero_starts_saves_the_rest_and_restores_nothing_where_the_daemon_may_not_run(
    stack: Stack, supervisor: Supervisor
) -> None:
    name, (denial, cause) = "denied", DENIALS[stack.release.velero]
    with (
        alone(stack, supervisor, stack.release.velero, name, **denial) as scene,
        scene.space_of(f"{name}-app") as space,
    ):
        assert scene.server.process.log.read_text().count(cause) == 1
        scene.deploy(machines.two_tier("shop", namespace=space))

        backup = scene.server.backup(name, f"--include-namespaces={space}")

        assert backup["status"]["phase"] == "PartiallyFailed"
        failed = [line for line in scene.server.cli("backup", "logs", name).splitlines() if "level=error" in line]
        objects = len(scene.all(SERVICES, space)) + len(scene.all(GROUPS, space))
        refused = [line for line in failed if cause in line and "error executing custom action" in line]
        assert len(refused) == objects
        assert backup["status"]["progress"]["itemsBackedUp"] > 0

        scene.server.cli(
            "restore", "create", name, f"--from-backup={name}", f"--namespace-mappings={space}:{space}-copy"
        )
        restore = scene.server.wait_over(RESTORES, name)
        assert (restore["status"]["phase"], restore["status"]["errors"]) == ("PartiallyFailed", 1)
        assert cause in scene.describe(name)
        assert not scene.cluster.exists("namespaces", f"{space}-copy")


def test_install_is_repeatable_and_marks_the_launcher_alone_as_executable(tmp_path: Path) -> None:
    target = tmp_path / "plugins"
    target.mkdir()
    assert "installed" in install_bundle(target, tmp_path / "scratch")
    before = {path: path.stat().st_ctime_ns for path in target.rglob("*") if path.is_file()}
    assert "unchanged" in install_bundle(target, tmp_path / "scratch")
    after = {path: path.stat().st_ctime_ns for path in target.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} == {"current"}
    assert [path.name for path in after if path.stat().st_mode & 0o111] == [LAUNCHER]
    assert not [path for path in target.rglob("*") if path.is_symlink()]


def test_bundle_stays_small() -> None:
    files = [path for path in bundle().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 120e6
    assert len(files) < 120, "some versions of Velero log each file without an execute bit"
