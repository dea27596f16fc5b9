"""Velero in a container with nothing but the files of the plugins volume, and no sidecar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.build import binary
from tests.e2e.calls import between_calls
from tests.e2e.containers import bundle, contained
from tests.e2e.processes import kill_process, run_command
from tests.e2e.scene import GROUPS, SERVICES, Scene
from tests.e2e.sidecar import LAUNCHER, Sidecar
from tests.emulator import machines
from tests.rpc.runtimes import daemons
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.image import Image
    from tests.e2e.stack import Stack
    from tests.e2e.velero import VeleroServer
    from tests.emulator.supervisor import Supervisor

INIT_USER = 65532
VELERO_USER = 1002

Installer = Callable[[Path, Path], str]
"""Fills a plugins volume; the second path is an empty folder for its `/tmp`."""


def install_bundle(target: Path, scratch: Path) -> str:
    """Do what the image does as an init container, with the bundle alone."""
    scratch.mkdir(exist_ok=True)
    command: list[str | Path] = ["/image/velero-plugin-for-vmservice", "run", "install", "/target"]
    files = {"/image": bundle(), "/target": target}
    return run_command(contained(command, {}, scratch=scratch, volumes=files, user=INIT_USER))


def installer_of(image: Image) -> Installer:
    """Return what runs the image as the init container that `velero plugin add` makes of it."""

    def install(target: Path, scratch: Path) -> str:
        scratch.mkdir(exist_ok=True)
        command: list[str | Path] = [*image.entrypoint, *image.config["Cmd"]]
        volumes = {"/target": target}
        return run_command(
            contained(command, image.environment, scratch=scratch, image=image.rootfs, volumes=volumes, user=image.user)
        )

    return install


@contextlib.contextmanager
def alone(
    stack: Stack,
    supervisor: Supervisor,
    version: str,
    name: str,
    *,
    install: Installer = install_bundle,
    **options: Any,
) -> Iterator[Scene]:
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
    """Return the daemon that serves a server's plugins volume."""
    (pid,) = daemons(server.plugins)
    return pid


def wait_restarted(server: VeleroServer, killed: int) -> None:
    """Wait until another daemon serves after one was killed."""
    wait_until(lambda: daemons(server.plugins) not in ([], [killed]), 30, "the daemon is started again")


def save_and_restore(scene: Scene, space: str) -> None:
    """Save an application, lose it and restore it, while the daemon is killed in between."""
    first = only_daemon(scene.server)
    point = scene.lose_and_restore(machines.two_tier("shop", namespace=space))
    scene.wait_described(space, "shop-web-2: not registered yet")
    assert only_daemon(scene.server) == first, "every launch used the one that Velero's start had started"

    with between_calls(scene.server):
        kill_process(first)
    wait_restarted(scene.server, first)
    scene.register(point, "shop-web-1", "shop-web-2", "shop-db-1", into=space)

    scene.wait_restored(space)
    assert scene.names(SERVICES, space) == {"shop-web", "shop-db"}
    assert scene.names(GROUPS, space) == scene.grouped("shop", "shop-web", "shop-db")
    results, reports = scene.results(space)
    assert {result["stage"] for result in results.values()} == {"verified"}
    assert any(key.endswith(".html") and b"shop-web" in page for key, page in reports.items())
    log = (scene.server.plugins / f"{LAUNCHER}.log").read_text()
    assert "the daemon was ended by signal 9" in log
    assert log.count('"serving"') == 2
