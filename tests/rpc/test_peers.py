"""Who talks to whom over the control socket: each side looks at the other one's user.

Only root can start processes of other users; a run as any other user sees that its own are let through.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import wait_until
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOREIGN_SIDECAR = 8
VELERO, SIDECAR, VOLUME_GROUP = 65534, 65533, 65532
IS_ROOT = os.geteuid() == 0

ANSWERING = """
import contextlib, os, socket, sys
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen()
while True:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.recv(4096)
        connection.sendall(b"1|2|unix|/handshake|grpc\\n")
"""


def of(user: int, *groups: int) -> dict[str, Any]:
    return {"user": user, "group": user, "extra_groups": list(groups)} if IS_ROOT else {}


@contextmanager
def answered_by(plugins: Path, user: int) -> Iterator[None]:
    """Let another user's process answer at the control socket."""
    plugins.chmod(0o777)
    control = plugins / "control.sock"
    server = subprocess.Popen([sys.executable, "-S", "-c", ANSWERING, control, str(user)])
    try:
        wait_until(lambda: control.is_socket() and control.stat().st_mode & 0o777 == 0o666, 10, "the control socket")
        yield
    finally:
        server.kill()
        server.wait()


def launched(launcher: Path, user: int, *groups: int) -> tuple[int, bytes, bytes]:
    ran = subprocess.run([launcher], capture_output=True, timeout=20, check=False, **of(user, *groups))
    return ran.returncode, ran.stdout, ran.stderr


def test_a_launcher_takes_no_handshake_from_another_user(plugins: Path, impatient_launcher: Path) -> None:
    with answered_by(plugins, SIDECAR):
        code, out, log = launched(impatient_launcher, VELERO)
    if IS_ROOT:
        assert (code, out) == (FOREIGN_SIDECAR, b"")
        assert "another user's process listens there" in json.loads(log)["@message"]
    else:
        assert (code, out) == (0, b"1|2|unix|/handshake|grpc\n")


@pytest.mark.parametrize(
    ("velero", "sidecar", "owner"), [(VELERO, VELERO, 0), (VELERO, 0, SIDECAR), (VELERO, SIDECAR, SIDECAR)]
)
def test_a_launcher_takes_it_from_its_own_user_from_root_and_from_its_file_s_owner(
    plugins: Path, velero: int, sidecar: int, owner: int
) -> None:
    if IS_ROOT:
        os.chown(plugins / PLUGIN_NAME, owner, owner)
    with answered_by(plugins, sidecar):
        code, out, _ = launched(plugins / PLUGIN_NAME, velero)
    assert (code, out) == (0, b"1|2|unix|/handshake|grpc\n")


@pytest.mark.parametrize(
    ("group_access", "groups"),
    [(False, ()), (False, (VOLUME_GROUP,)), (True, ()), (True, (VOLUME_GROUP,))],
)
def test_a_sidecar_serves_its_own_user_root_and_where_asked_the_volume_s_group(
    plugins: Path, serving: Callable[..., Any], own_log: io.StringIO, group_access: Any, groups: Any
) -> None:
    served = group_access and bool(groups)
    plugins.chmod(0o755)
    if IS_ROOT:
        os.chown(plugins, 0, VOLUME_GROUP)
    with serving(plugins, group_access=group_access):
        (plugins / "control.sock").chmod(0o666)  # as if the kernel did not look
        launcher = subprocess.Popen(
            [plugins / PLUGIN_NAME], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **of(VELERO, *groups)
        )
        with launcher:
            assert launcher.stdout is not None
            if served or not IS_ROOT:
                assert launcher.stdout.readline().startswith(b"1|2|unix|")
            else:
                wait_until(lambda: "launch refused" in own_log.getvalue(), 10, "the refusal")
            launcher.kill()
            assert launcher.stdout.read() == b""
    refused = "launch refused" in own_log.getvalue()
    assert refused is (IS_ROOT and not served)
    assert not refused or f"its user is {VELERO}" in own_log.getvalue()


@pytest.mark.parametrize(
    "name",
    ['with "quotes"', "back\\slash", "bell\a and tab\t", "\N{LATIN SMALL LETTER U WITH DIAERESIS}ber", "new\nline"],
)
def test_an_error_is_a_line_of_json_whatever_the_directory_s_name(
    tmp_path: Path, impatient_launcher: Path, name: str
) -> None:
    directory = tmp_path.parent / name
    directory.mkdir()
    launcher = directory / PLUGIN_NAME
    shutil.copy2(impatient_launcher, launcher)
    ran = subprocess.run([launcher], capture_output=True, timeout=20, check=False)
    shutil.rmtree(directory)
    assert ran.stderr.count(b"\n") == 1
    shown = json.loads(ran.stderr)["@message"].encode("latin-1").decode()
    assert f"{directory}/control.sock: there is no such socket" in shown
