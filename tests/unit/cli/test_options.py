from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from tests.unit.cli.command_line import HELP
from velero_vmservice.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.command_line import CommandLine


@pytest.mark.parametrize("verb", ["plan", "restore"])
@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("powr=on", "--policy powr: unknown policy; did you mean power?"),
        ("power=maybe", "--policy power: power has to be 'leave', 'captured' or 'on'"),
        ("verified-within=soon", "--policy verified-within: verified-within has to be a duration such as 90s or 12h"),
    ],
)
def test_a_wrong_policy_is_a_usage_error_of_the_option(
    command: CommandLine, verb: str, option: str, sentence: str
) -> None:
    ran = command(verb, "nightly", "--policy", option)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert "annotation" not in ran.err
    assert len(ran.err.splitlines()) <= 2


def helps(command: click.Command, *path: str) -> Iterator[tuple[str, str]]:
    with click.Context(command, info_name=path[-1] if path else "velero-vmservice", help_option_names=HELP) as context:
        yield " ".join(path), command.get_help(context)
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from helps(each, *path, name)


def test_each_example_of_a_help_stands_on_a_line_of_its_own() -> None:
    examples = [line for _, text in helps(commands) for line in text.splitlines() if line.startswith("    velero-vm")]
    assert [path for path, text in helps(commands) if "\\b" in text] == []
    assert "    velero-vmservice restore --resume nightly-2" in examples
