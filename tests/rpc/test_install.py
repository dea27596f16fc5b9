from __future__ import annotations

import os
import platform
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.rpc import launcher
from velero_vmservice.rpc.launcher import InstallOutcome, install_launcher
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from pathlib import Path


def test_the_launcher_of_this_vm_is_executable_and_whole(tmp_path: Path) -> None:
    assert install_launcher(tmp_path) is InstallOutcome.INSTALLED
    installed = tmp_path / PLUGIN_NAME
    assert stat.S_IMODE(installed.stat().st_mode) == 0o755
    assert installed.read_bytes().startswith(b"\x7fELF")
    assert list(tmp_path.iterdir()) == [installed]


def test_an_identical_one_is_left_alone(tmp_path: Path) -> None:
    install_launcher(tmp_path)
    before = (tmp_path / PLUGIN_NAME).stat()
    assert install_launcher(tmp_path) is InstallOutcome.UNCHANGED
    after = (tmp_path / PLUGIN_NAME).stat()
    assert (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)


@pytest.mark.parametrize(("content", "mode"), [(b"an older release", 0o755), (None, 0o644), (None, 0o600)])
def test_another_release_or_an_interrupted_installation_is_replaced(
    tmp_path: Path, content: bytes | None, mode: int
) -> None:
    install_launcher(tmp_path)
    installed = tmp_path / PLUGIN_NAME
    right = installed.read_bytes()
    if content is not None:
        installed.write_bytes(content)
    installed.chmod(mode)
    assert install_launcher(tmp_path) is InstallOutcome.INSTALLED
    assert installed.read_bytes() == right
    assert stat.S_IMODE(installed.stat().st_mode) == 0o755


def test_a_running_launcher_can_be_replaced(plugins: Path) -> None:
    running = os.open(plugins / PLUGIN_NAME, os.O_RDONLY)
    (plugins / PLUGIN_NAME).chmod(0o700)
    assert install_launcher(plugins) is InstallOutcome.INSTALLED
    assert os.fstat(running).st_nlink == 0, "a new file, not the old one rewritten"
    os.close(running)


def test_installers_may_race(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as installers:
        list(installers.map(install_launcher, [tmp_path] * 64))
    assert stat.S_IMODE((tmp_path / PLUGIN_NAME).stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == [PLUGIN_NAME]


def test_both_architectures_are_built_and_static() -> None:
    machines = {"amd64": 62, "arm64": 183}
    for architecture, number in machines.items():
        binary = (launcher._BUILT / architecture).read_bytes()
        assert int.from_bytes(binary[18:20], "little") == number
        assert b"/ld-" not in binary
        assert not (launcher._BUILT / architecture).stat().st_mode & 0o111
        assert len(binary) < 40_000


def test_a_directory_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"No such file or directory.*writable for the sidecar's user"):
        install_launcher(tmp_path / "absent")
    (tmp_path / PLUGIN_NAME).mkdir()
    with pytest.raises(InvalidSettings, match="cannot be installed into"):
        install_launcher(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [PLUGIN_NAME]


def test_a_vm_without_a_launcher_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(InvalidSettings, match=r"riscv64.*amd64 or arm64"):
        install_launcher(tmp_path)


def test_an_installation_without_launchers_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for built in (tmp_path / "absent", tmp_path / "file"):
        monkeypatch.setattr(launcher, "_BUILT", built)
        with pytest.raises(InvalidSettings, match=r"this installation has no launcher for \w+ \(.*directory\)"):
            install_launcher(tmp_path)
