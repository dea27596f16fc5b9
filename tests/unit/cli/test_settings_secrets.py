"""No command prints what a setting holds, however wrong it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine

CANARY = "S3cretCanary"
COMMANDS = (
    ("plan", "nightly"),
    ("restore", "nightly"),
    ("report", "nightly"),
    ("registration", "status", "nightly"),
    ("registration", "trigger", "web-1", "--restore", "nightly", "-n", "shop"),
    ("serve", "--plugins-dir", "/"),
)


@pytest.mark.parametrize("command_line", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "written",
    [
        "vcenter: {server: vc, user: u, password: !%s}",
        "vcenter: {server: vc, user: u, password: *%s}",
        "vcenter: {server: vc, user: u, password:%s}",
        "vcenter:\n  server: vc\n\tpassword: %s",
        "vcenter: {server: 'https://u:%s@vc', user: u, password: %s}",
        "vcenter: %s",
        "password: %s",
        "bucket: {name: a, url: 'https://u:%s@s3'}",
        "log_level: %s",
    ],
)
def test_no_command_tells_a_password(
    command: CommandLine, tmp_path: Path, command_line: tuple[str, ...], written: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(written.replace("%s", CANARY))
    command.patch.setenv("VMSERVICE_SETTINGS", str(file))
    ran = command(*command_line)
    assert ran.code != 0
    assert str(file) in ran.err
    assert CANARY not in ran.out + ran.err
