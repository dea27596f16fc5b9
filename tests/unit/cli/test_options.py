from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from tests.unit.cli.command_line import HELP
from velero_vmservice.cli import commands
from velero_vmservice.cli.access import NamespaceOption

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


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "--from", "nightly", "--from", "weekly"),
        ("plan", "--from", "latest", "--from", "latest"),
        ("restore", "--resume", "nightly-1", "--resume", "nightly-2"),
        ("drill", "run", "--from", "nightly", "--from", "weekly"),
        ("preflight", "--restore", "new", "--from", "nightly", "--from", "weekly"),
        ("preflight", "--restore", "new", "--restore", "failover", "--from", "nightly"),
        ("registration", "status", "--from", "nightly", "--from", "weekly"),
        ("registration", "trigger", "web-1", "-n", "shop", "--from", "nightly", "--from", "weekly"),
        ("registration", "trigger", "web-1", "-n", "shop", "--backup", "nightly", "--backup", "weekly"),
        ("verify", "--restore", "nightly-1", "--restore", "nightly-2"),
    ],
)
def test_what_a_command_is_about_is_named_once(command: CommandLine, arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "it is given more than once: name one" in ran.err


@pytest.mark.parametrize("reference", ["../../x", "..", "nightly/yesterday", "nightly/20261130T040000Z/x", "/"])
@pytest.mark.parametrize(
    "asking",
    [
        ("captures", "show"),
        ("captures", "verify"),
        ("captures", "diff", "nightly"),
        ("captures", "diff"),
        ("verify",),
        ("drill", "show"),
        ("drill", "list"),
        ("restore", "--from"),
        ("plan", "--from"),
        ("drill", "run", "--from"),
        ("preflight", "--restore", "new", "--from"),
        ("registration", "status", "--from"),
    ],
)
def test_what_can_be_no_capture_is_a_usage_error(command: CommandLine, asking: tuple[str, ...], reference: str) -> None:
    ran = command(*asking, reference)
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.parametrize("asking", [("captures", "show"), ("captures", "verify"), ("verify",), ("drill", "show")])
def test_a_capture_without_a_name_is_a_usage_error(command: CommandLine, asking: tuple[str, ...]) -> None:
    assert command(*asking, "").code == 2


def commands_with_a_namespace() -> Iterator[tuple[str, ...]]:
    def below(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
        for name, each in group.commands.items():
            if isinstance(each, click.Group):
                yield from below(each, *path, name)
            elif any(isinstance(option, NamespaceOption) for option in each.params):
                yield (*path, name)

    yield from below(commands)


@pytest.mark.parametrize("path", list(commands_with_a_namespace()))
def test_an_empty_namespace_is_refused(command: CommandLine, path: tuple[str, ...]) -> None:
    more = ("web-1",) if path[-1] == "trigger" else ()
    ran = command(*path, *more, "-n", "")
    assert (ran.code, ran.out) == (2, "")
    assert "it is empty" in ran.err
