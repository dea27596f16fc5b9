"""The image itself: what is in it, and that Velero's init container and the sidecar run it as it is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from tests.e2e.containers import contained
from tests.e2e.image import Image, image
from tests.e2e.processes import CommandFailedError, run_command
from tests.e2e.scene import SERVICES, Scene
from tests.e2e.self_contained import alone, installer_of, save_and_restore
from tests.e2e.sidecar import LAUNCHER, Sidecar
from tests.emulator import machines
from tests.tools.markdown import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.stack import Stack
    from tests.emulator.supervisor import Supervisor

LABELS = ("title", "description", "version", "revision", "licenses")
MOST_BYTES, MOST_COPIED = 200e6, 120e6


@pytest.fixture(name="built", scope="module")
def _built() -> Image:
    return image()


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def modules(built: Image) -> zipfile.ZipFile:
    (archive,) = built.rootfs.rglob("lib/python3*.zip")
    return zipfile.ZipFile(archive)


def test_the_image_says_what_it_is_and_runs_as_a_number(built: Image) -> None:
    labels = {
        name.rpartition(".")[2]: value for name, value in built.config["Labels"].items() if "opencontainers" in name
    }
    version = next(
        line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
    )
    assert (labels["title"], labels["version"], labels["licenses"]) == (LAUNCHER, version, "Apache-2.0")
    assert len(labels["revision"]) == 40
    user, _, group = built.config["User"].partition(":")
    assert user.isdecimal()
    assert group.isdecimal()
    assert user != "0"


def test_the_image_holds_no_program_but_the_launcher_and_the_loader(built: Image) -> None:
    programs = [path.name for path in files_of(built.rootfs) if path.stat().st_mode & 0o111]
    assert sorted(programs) == ["loader", LAUNCHER]
    with pytest.raises(CommandFailedError, match="sh"):
        run_in(built, ["sh", "-c", "exit 0"], built.rootfs / "plugin", Path("/tmp"))


def test_all_modules_are_compiled(built: Image) -> None:
    with modules(built) as archive:
        names = archive.namelist()
    assert "velero_vmservice/cli/__init__.pyc" in names
    beside = [path.relative_to(built.rootfs).as_posix() for path in files_of(built.rootfs)]
    assert [name for name in [*names, *beside] if name.endswith(".py")] == []


def test_the_image_is_small(built: Image) -> None:
    sizes = {path: path.stat().st_size for path in files_of(built.rootfs)}
    assert sum(sizes.values()) < MOST_BYTES
    assert sum(size for path, size in sizes.items() if "plugin" in path.relative_to(built.rootfs).parts) < MOST_COPIED
    assert built.archive.stat().st_size < MOST_COPIED


def test_each_distribution_of_the_image_is_listed_as_a_component(built: Image) -> None:
    components = json.loads(built.components.read_text())["components"]
    with modules(built) as archive:
        folders = {PurePosixPath(name).parts[0] for name in archive.namelist() if ".dist-info/" in name}
    distributions = {canonicalize_name(folder.partition("-")[0]) for folder in folders}
    listed = {part["name"] for part in components if part["purl"].startswith("pkg:pypi/")}
    assert distributions - listed == {canonicalize_name(LAUNCHER)}
    assert listed <= distributions
    others = {part["name"] for part in components} - listed
    assert others >= {"python", "libc6"}


def run_in(built: Image, command: list[str | Path], plugins: Path, scratch: Path) -> str:
    scratch.mkdir(exist_ok=True)
    container = contained(
        command,
        built.environment,
        scratch=scratch,
        image=built.rootfs,
        volumes={"/plugins": plugins},
        user=built.user,
    )
    return run_command(container)


def test_init_container_of_the_image_makes_velero_work_without_a_sidecar(
    stack: Stack, supervisor: Supervisor, built: Image
) -> None:
    name = "image-init"
    install = installer_of(built)
    with (
        alone(stack, supervisor, stack.release.velero, name, install=install) as scene,
        scene.space_of(f"{name}-app") as space,
    ):
        save_and_restore(scene, space)


def test_sidecar_of_the_image_serves_velero(stack: Stack, supervisor: Supervisor, built: Image) -> None:
    server = stack.velero(name="image-sidecar")
    scratch = server.directory / "sidecar"
    scratch.mkdir()

    def container(argv: list[str | Path], environment: Mapping[str, str]) -> list[str | Path]:
        return contained(
            argv,
            environment | built.environment,
            scratch=scratch,
            image=built.rootfs,
            writable=[server.plugins],
            readable=[server.plugin_kubeconfig.parent, server.credentials],
            user=built.user,
        )

    sidecar = Sidecar(server, command=built.entrypoint, container=container)
    probe: list[str | Path] = [*built.entrypoint, "probe"]
    with pytest.raises(CommandFailedError, match="exit 3"):
        run_in(built, probe, server.plugins, server.directory / "probe")
    sidecar.start()
    try:
        run_in(built, probe, server.plugins, server.directory / "probe")
        server.start()
        scene = Scene(server=server, sidecar=sidecar, supervisor=supervisor)
        with scene.space_of("image-sidecar-app") as space:
            point = scene.lose_and_restore(machines.two_tier("shop", namespace=space))
            scene.register(point, "shop-web-1", "shop-web-2", "shop-db-1", into=space)
            scene.wait_restored(space)
            assert scene.names(SERVICES, space) == {"shop-web", "shop-db"}
            assert {stage for stage, _ in scene.stages(space).values()} == {"verified"}
    finally:
        server.close()
        sidecar.stop()
