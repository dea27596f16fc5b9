"""What `version` and `completion` print, and that each command shows examples which can be run."""

from __future__ import annotations

import json
import shlex
import threading
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import ShellComplete

from tests.unit.builders import backup
from tests.unit.captures.scene import WithoutVelero
from tests.unit.cli.command_line import HELP
from tests.unit.cli.test_access import LEAVES
from tests.unit.doctor.deployments import deployment
from tests.unit.world import World
from velero_vmservice import __version__, cli
from velero_vmservice.adapters import in_time
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.errors import Unavailable
from velero_vmservice.kube.manifest import DEPLOYMENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = World()
    world.cluster.serve(DEPLOYMENT, "v1")
    world.cluster.seed(backup(), deployment())
    command.connects_to(world.start)
    return world


@pytest.mark.usefixtures("world")
def test_versions_are_those_of_the_images(command: CommandLine) -> None:
    ran = command("version", "-o", "json")
    versions = json.loads(ran.out)
    assert (ran.code, versions["client"]) == (0, __version__)
    assert versions["velero"] == "v1.18.2"
    assert command("version").rows[0] == ["COMPONENT", "VERSION"]


def test_a_deployment_that_is_not_there_is_not_found(command: CommandLine) -> None:
    world = World()
    world.cluster.serve(DEPLOYMENT, "v1")
    command.connects_to(world.start)
    ran = command("version", "-o", "json")
    assert (ran.code, json.loads(ran.out)) == (
        0,
        {"client": __version__, "plugin": "not found", "velero": "not found"},
    )


def test_a_cluster_that_is_away_leaves_the_clients_version(world: World, command: CommandLine) -> None:
    world.cluster.calls.fail("get", Unavailable("the API server does not answer"), on="Deployment")
    ran = command("version")
    assert ran.code == 1
    assert ["client", __version__] in ran.rows
    assert ["velero", "unknown"] in ran.rows
    assert "the API server does not answer" in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(command: CommandLine, shell: str) -> None:
    ran = command("completion", shell)
    assert ran.code == 0
    assert "_VELERO_VMSERVICE_COMPLETE" in ran.out


def test_a_shell_that_is_not_known_is_wrong_usage(command: CommandLine) -> None:
    assert command("completion", "csh").code == 2


def completed(arguments: list[str], typed: str) -> list[str]:
    shell = ShellComplete(cli.commands, {}, "velero-vmservice", "_VELERO_VMSERVICE_COMPLETE")
    return [item.value for item in shell.get_completions(arguments, typed)]


def test_names_are_completed_as_the_cluster_has_them(world: World) -> None:
    assert world.app
    assert completed(["plan"], "nig") == ["nightly"]
    assert completed(["plan"], "x") == []


def test_a_cluster_that_is_away_completes_nothing_and_is_silent(
    command: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise Unavailable("the API server does not answer")

    command.patch.setattr(kubernetes, "connect", refuse)
    assert completed(["plan"], "") == []
    assert capsys.readouterr() == ("", "")


@pytest.fixture(name="buckets")
def _buckets(command: CommandLine) -> WithoutVelero:
    """Two captures of one job, and a context with a namespace; the settings' bucket is all that there is."""
    world = WithoutVelero()
    for version in ("1700000000000", "1800000000000"):
        world.take(version, restore_point=version[:2])
    command.connects_to(world.start)
    command.patch.setattr("velero_vmservice.configured.load", lambda **_: world.settings)
    return world


@pytest.mark.parametrize(
    ("arguments", "typed", "offered"),
    [
        (["restore", "--from"], "", ["latest", "match", "nightly"]),
        (["plan", "--from"], "m", ["match"]),
        (["preflight", "--restore", "new", "--from"], "", ["latest", "nightly"]),
        (["registration", "trigger", "--from"], "ni", ["nightly"]),
        (["captures", "show"], "", ["nightly"]),
        (["captures", "show"], "other/", []),
        (["verify"], "", ["nightly"]),
        (["report", "show"], "ni", ["nightly"]),
        (["captures", "list", "--vadp-job"], "", ["nightly"]),
        (["restore", "--policy"], "power=", ["power=leave", "power=captured", "power=on"]),
        (["restore", "--policy"], "registered", ["registered-within="]),
        (["captures", "list", "-o"], "", ["table", "wide", "json", "yaml", "name"]),
        (["preflight", "--restore"], "in", ["in-place"]),
        (["captures", "list", "-n"], "sh", ["shop"]),
    ],
)
def test_captures_jobs_namespaces_and_values_are_completed(
    buckets: WithoutVelero, arguments: list[str], typed: str, offered: list[str]
) -> None:
    assert buckets.app
    assert completed(arguments, typed) == offered


def test_the_times_of_a_capture_are_completed_once_its_name_is_typed(buckets: WithoutVelero) -> None:
    listed = [str(capture.ref) for capture in buckets.app.catalogue.list().captures]
    assert completed(["restore", "--from"], "nightly/") == sorted(listed)


def test_a_bucket_that_is_away_or_slow_completes_nothing_and_is_silent(
    buckets: WithoutVelero, command: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    buckets.store.calls.fail("list", Unavailable("the bucket does not answer"))
    assert completed(["captures", "show"], "") == []
    command.patch.setattr(in_time, "SECONDS", 0.01)
    answered = threading.Event()
    assert in_time.in_time(lambda: ["late"] * answered.wait()) == ()
    answered.set()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", LEAVES)
def test_every_help_has_examples_that_can_be_parsed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    help_text = LEAVES[name].get_help(
        click.Context(LEAVES[name], info_name=name, max_content_width=300, help_option_names=HELP)
    )
    _, heading, block = help_text.partition("  Examples:\n")
    assert heading
    assert "Options of every command" in block
    lines = [line.removeprefix("    velero-vmservice ") for line in block.partition("\n\n")[0].splitlines()]
    examples = [line.partition("|")[0].partition(">")[0] for line in lines]
    assert examples
    for example in examples:
        parse(shlex.split(example))


def parse(arguments: list[str]) -> None:
    """Parse a command line down to its last command; a file that is not there may be missing."""
    command: click.Command = cli.commands
    context: click.Context | None = None
    try:
        while isinstance(command, click.Group):
            context = command.make_context(command.name, arguments, parent=context)
            _, found_command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
            assert found_command is not None
            command = found_command
        command.make_context(command.name, arguments, parent=context)
    except click.BadParameter as error:
        if not isinstance(error.param.type if error.param else None, click.Path | click.File):
            raise
