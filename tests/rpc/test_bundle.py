"""The runtime is copied whole, over older ones and beside those in use."""

from __future__ import annotations

import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.rpc.bundle import CURRENT, RUNTIMES, digest, install_bundle
from velero_vmservice.rpc.launcher import InstallOutcome
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from pathlib import Path


def make_runtime(folder: Path, content: bytes = b"modules") -> Path:
    making = folder / RUNTIMES / "making"
    (making / "lib").mkdir(parents=True)
    (making / "loader").write_bytes(b"\x7fELF")
    (making / "loader").chmod(0o755)  # as in the image
    (making / "lib" / "python.zip").write_bytes(content)
    return making.rename(making.with_name(digest(making)))


@pytest.fixture(name="runtime")
def _runtime(tmp_path: Path) -> Path:
    return make_runtime(tmp_path / "image")


@pytest.fixture(name="target")
def _target(tmp_path: Path) -> Path:
    target = tmp_path / "target"
    target.mkdir()
    return target


def current(target: Path) -> str:
    return (target / RUNTIMES / CURRENT).read_text().strip()


def content(target: Path) -> set[str]:
    return {path.name for path in (target / RUNTIMES).iterdir()}


def test_runtime_and_launcher_are_installed_without_an_execute_bit_too_many(runtime: Path, target: Path) -> None:
    assert install_bundle(target, runtime=runtime) is InstallOutcome.INSTALLED
    copy = target / RUNTIMES / current(target)
    assert copy.name == runtime.name == digest(copy)
    executable = [path for path in target.rglob("*") if path.is_file() and path.stat().st_mode & 0o111]
    assert executable == [target / PLUGIN_NAME]
    assert install_bundle(target, runtime=runtime) is InstallOutcome.UNCHANGED


def test_another_user_can_read_the_copy_whatever_the_mask(runtime: Path, target: Path) -> None:
    before = os.umask(0o077)
    try:
        install_bundle(target, runtime=runtime)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in target.rglob("*")}
    assert modes == {0o755, 0o644}


def test_an_older_runtime_is_replaced_and_removed(runtime: Path, target: Path, tmp_path: Path) -> None:
    install_bundle(target, runtime=make_runtime(tmp_path / "older", b"older"))
    assert install_bundle(target, runtime=runtime) is InstallOutcome.INSTALLED
    assert content(target) == {CURRENT, runtime.name}


def test_a_runtime_in_use_stays_until_it_is_not(runtime: Path, target: Path, tmp_path: Path) -> None:
    older = make_runtime(tmp_path / "older", b"older")
    install_bundle(target, runtime=older)
    held = os.open(target / RUNTIMES / older.name, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)  # as a process that runs from it does
    install_bundle(target, runtime=runtime)
    assert current(target) == runtime.name
    assert content(target) == {CURRENT, older.name, runtime.name}
    os.close(held)
    install_bundle(target, runtime=runtime)
    assert content(target) == {CURRENT, runtime.name}


@pytest.mark.parametrize("damage", ["changed", "missing", "executable"])
def test_a_damaged_copy_is_made_anew(runtime: Path, target: Path, damage: str) -> None:
    install_bundle(target, runtime=runtime)
    copy = target / RUNTIMES / runtime.name
    match damage:
        case "changed":
            (copy / "loader").write_bytes(b"half")
        case "missing":
            (copy / "lib" / "python.zip").unlink()
        case _:
            (copy / "loader").chmod(0o755)
    assert install_bundle(target, runtime=runtime) is InstallOutcome.INSTALLED
    assert digest(copy) == runtime.name
    assert not (copy / "loader").stat().st_mode & 0o111


def test_the_remains_of_an_interrupted_installation_are_removed(runtime: Path, target: Path) -> None:
    (target / RUNTIMES / "making-half" / "lib").mkdir(parents=True)
    install_bundle(target, runtime=runtime)
    assert content(target) == {CURRENT, runtime.name}


def test_installers_may_race(runtime: Path, target: Path) -> None:
    with ThreadPoolExecutor(8) as installers:
        list(installers.map(lambda _: install_bundle(target, runtime=runtime), range(32)))
    assert content(target) == {CURRENT, runtime.name}
    assert digest(target / RUNTIMES / runtime.name) == runtime.name


def test_an_image_that_is_not_what_its_name_says_is_not_installed(runtime: Path, target: Path) -> None:
    (runtime / "loader").write_bytes(b"other")
    with pytest.raises(InvalidSettings, match="does not match the digest in its name"):
        install_bundle(target, runtime=runtime)
    assert not (target / PLUGIN_NAME).exists()


def test_a_process_that_runs_from_no_bundle_says_so(target: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"no runtime to copy.*install-launcher"):
        install_bundle(target)
    assert list(target.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_explained(runtime: Path, target: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"No such file or directory.*mount Velero's plugins volume"):
        install_bundle(target / "absent", runtime=runtime)
