"""The self-contained plugin: Velero in a container with nothing but the image's own files, and no sidecar."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.build import binary
from tests.e2e.containers import bundle, contained
from tests.e2e.processes import run_command
from tests.e2e.scene import GROUPS, SERVICES, Scene
from tests.e2e.sidecar import LAUNCHER, Sidecar
from tests.emulator import machines
from tests.rpc.runtimes import daemons
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.e2e.stack import Stack
    from tests.e2e.velero import VeleroServer
    from tests.emulator.supervisor import Supervisor

INIT_USER = 65532
VELERO_USER = 1002
CANNOT_START = "this container may make no executable file in memory"


def install(target: Path, scratch: Path) -> str:
    """Do what the image does as an init container."""
    scratch.mkdir(exist_ok=True)
    command: list[str | Path] = ["/image/velero-plugin-for-vmservice", "run", "install", "/target"]
    image = {"/image": bundle(), "/target": target}
    return run_command(contained(command, {}, scratch=scratch, volumes=image, user=INIT_USER))


@contextlib.contextmanager
def alone(stack: Stack, supervisor: Supervisor, version: str, name: str, **options: Any) -> Iterator[Scene]:
    """Run a Velero server in a container of its own, with our plugin installed and no sidecar."""
    server = stack.velero(version, name=name)
    install(server.plugins, server.directory / "init")

    def container(argv: list[str | Path], environment: Mapping[str, str]) -> list[str | Path]:
        scratch = server.directory / "scratch"
        scratch.mkdir(exist_ok=True)
        return contained(
            argv,
            environment | {"TMPDIR": "/tmp"},
            scratch=scratch,
            writable=[server.plugins],
            readable=[binary(f"velero-{version}"), stack.directory / "cluster", server.credentials],
            user=VELERO_USER,
            **options,
        )

    server.container = container
    try:
        server.start()
        yield Scene(server=server, sidecar=Sidecar(server), supervisor=supervisor)
    finally:
        server.kill()


def only_daemon(server: VeleroServer) -> int:
    (pid,) = daemons(server.plugins)
    return pid


@pytest.mark.parametrize("version", ["1.18.2", "1.15.2"])
def test_application_is_saved_and_restored_without_a_sidecar(
    stack: Stack, supervisor: Supervisor, version: str
) -> None:
    name = f"contained-{version.replace('.', '-')}"
    with alone(stack, supervisor, version, name) as scene, scene.space_of(f"{name}-app") as space:
        first = only_daemon(scene.server)
        point = scene.lose_and_restore(machines.two_tier("shop", namespace=space))
        scene.wait_described(space, "shop-web-2: not registered yet")
        assert only_daemon(scene.server) == first, "every launch used the one that Velero's start had started"

        os.kill(first, signal.SIGKILL)
        wait_until(lambda: daemons(scene.server.plugins) not in ([], [first]), 30, "the daemon is started again")
        scene.register(point, "shop-web-1", "shop-web-2", "shop-db-1", into=space)

        scene.wait_restored(space)
        assert scene.names(SERVICES, space) == {"shop-web", "shop-db"}
        assert scene.names(GROUPS, space) == {"shop", "shop-web", "shop-db"}
        assert {stage for stage, _ in scene.stages(space).values()} == {"verified"}
        log = (scene.server.plugins / f"{LAUNCHER}.log").read_text()
        assert "the daemon was ended by signal 9" in log
        assert log.count('"serving"') == 2


def test_velero_starts_and_saves_the_rest_where_the_daemon_may_not_run(stack: Stack, supervisor: Supervisor) -> None:
    with (
        alone(stack, supervisor, "1.18.2", "denied", memory_files="2") as scene,
        scene.space_of("denied-app") as space,
    ):
        assert CANNOT_START in scene.server.process.log.read_text()
        scene.deploy(machines.two_tier("shop", namespace=space))

        backup = scene.server.backup("denied", f"--include-namespaces={space}")

        assert backup["status"]["phase"] == "PartiallyFailed"
        failed = [line for line in scene.server.cli("backup", "logs", "denied").splitlines() if "level=error" in line]
        assert len([line for line in failed if CANNOT_START in line and "error executing custom action" in line]) == 5
        assert backup["status"]["progress"]["itemsBackedUp"] > 0


def test_install_is_repeatable_and_marks_the_launcher_alone_as_executable(tmp_path: Path) -> None:
    target = tmp_path / "plugins"
    target.mkdir()
    assert "installed" in install(target, tmp_path / "scratch")
    before = {path: path.stat().st_ctime_ns for path in target.rglob("*") if path.is_file()}
    assert "unchanged" in install(target, tmp_path / "scratch")
    after = {path: path.stat().st_ctime_ns for path in target.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} == {"current"}
    assert [path.name for path in after if path.stat().st_mode & 0o111] == [LAUNCHER]
    assert not [path for path in target.rglob("*") if path.is_symlink()]


def test_bundle_stays_small() -> None:
    files = [path for path in bundle().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 120e6
    assert len(files) < 120, "some versions of Velero log each file without an execute bit"
