"""What the documents tell a reader to type is what the command line takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.tools.documented_commands import commands
from velero_vmservice import cli

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENTED = {" ".join(arguments): document for document, arguments in commands("velero-vmservice")}
ANY_COMMAND = "-v COMMAND"
OF_THE_IMAGE = "probe"
"""Answered by the launcher, which is `velero-vmservice` in the image, before it starts Python."""


def is_taken(arguments: Sequence[str]) -> bool:
    """Say whether a command has these subcommands and options; it is asked for its help instead of being run."""
    value = ["value"] if arguments[-1].startswith("-") else []
    return CliRunner().invoke(cli.commands, [*arguments, *value, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    "command",
    sorted(command for command in DOCUMENTED if command != ANY_COMMAND and command.split()[0] != OF_THE_IMAGE),
)
def test_a_documented_command_is_one(command: str) -> None:
    assert is_taken(command.split()), DOCUMENTED[command]


@pytest.mark.parametrize("command", ["registr status", "plan nightly --namespace-map a:b", "restore --resum nightly"])
def test_a_command_that_there_is_not_is_seen(command: str) -> None:
    assert not is_taken(command.split())


def test_the_documents_show_every_command_that_a_person_runs() -> None:
    shown = {command.split()[0] for command in DOCUMENTED}
    assert {"plan", "restore", "report", "registration"} <= shown
