"""Which cluster and settings a command works with: options of every command, as kubectl has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from tests.unit.builders import backup, obj
from tests.unit.world import World
from velero_vmservice import app, cli
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.cli.access import NamespaceOption, is_namespace
from velero_vmservice.settings.access import LoginChoice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine
    from velero_vmservice.app import App
    from velero_vmservice.settings.reading import Settings


def leaves(group: click.Group = cli.commands, *above: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *above, name)
        else:
            yield " ".join((*above, name)), command


LEAVES = dict(leaves())


class Reached:
    """What commands connect to, and how they were asked to log in and configured."""

    def __init__(self, command: CommandLine) -> None:
        self.world = World()
        self.world.cluster.seed(backup(), obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="dr"))
        self.logins: list[LoginChoice] = []
        self.settings: list[Settings] = []
        command.connects_to(self.world.start)
        command.patch.delenv("VELERO_NAMESPACE")
        command.patch.setattr(app, "connect", self._connect)
        command.patch.setattr(kubernetes, "connect", self._log_in)

    def _connect(self, settings: Settings, *, login: LoginChoice) -> App:
        self.settings.append(settings)
        self.logins.append(login)
        return self.world.start()

    def _log_in(self, *, login: LoginChoice, **_: Any) -> Any:
        self.logins.append(login)
        return self.world.cluster


@pytest.fixture(name="reached")
def _reached(command: CommandLine) -> Reached:
    return Reached(command)


@pytest.fixture(name="kubeconfig")
def _kubeconfig(command: CommandLine, tmp_path: Path) -> Path:
    """A kubeconfig of two contexts, which no variable names."""
    entries = {
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in ("prod", "dr")],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.invalid"}} for name in ("prod", "dr")],
        "users": [{"name": "me", "user": {"token": "S3cretCanary"}}],
    }
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump({"current-context": "prod", **entries}))
    command.patch.delenv("KUBECONFIG", raising=False)
    command.patch.setenv("HOME", str(tmp_path / "nobody"))
    return file


@pytest.mark.parametrize(
    "arguments",
    [
        ("--context", "dr", "--kubeconfig=f", "registration", "status", "nightly"),
        ("registration", "--context", "dr", "--kubeconfig", "f", "status", "nightly"),
        ("registration", "status", "--kubeconfig", "f", "nightly", "--context=dr"),
        ("--context", "prod", "--kubeconfig", "f", "registration", "status", "nightly", "--context", "dr"),
    ],
)
def test_an_option_stands_before_or_after_the_command_and_the_last_one_counts(
    reached: Reached, command: CommandLine, arguments: tuple[str, ...]
) -> None:
    command(*arguments)
    assert set(reached.logins) == {LoginChoice(kubeconfig="f", context="dr")}


@pytest.mark.parametrize("arguments", [("plan", "a"), ("report", "list"), ("prune",), ("doctor", "--cluster-only")])
def test_every_connection_is_the_one_that_was_chosen(
    reached: Reached, command: CommandLine, arguments: tuple[str, ...]
) -> None:
    command(*arguments, "--context", "dr")
    assert len(reached.logins) == 2
    assert set(reached.logins) == {LoginChoice(context="dr")}
    command(*arguments)
    assert reached.logins[2:] == [LoginChoice()] * 2


def test_a_context_that_there_is_not_is_an_error_that_names_those_there_are(
    command: CommandLine, kubeconfig: Path
) -> None:
    ran = command("plan", "nightly", "--kubeconfig", str(kubeconfig), "--context", "produ")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        f"velero-vmservice: cannot log in to Kubernetes with kubeconfig {kubeconfig}: it has no context produ",
        "hint: choose one of its contexts with --context: dr, prod",
    ]


def test_a_kubeconfig_that_there_is_not_is_an_error(command: CommandLine, kubeconfig: Path) -> None:
    missing = kubeconfig.with_name("none")
    ran = command("--kubeconfig", str(missing), "prune")
    assert (ran.code, ran.out) == (1, "")
    first, hint = ran.err.splitlines()
    assert first == f"velero-vmservice: cannot log in to Kubernetes with kubeconfig {missing}: there is no such file"
    assert hint.endswith("name a file that is there in --kubeconfig or KUBECONFIG")


@pytest.mark.parametrize("option", ["--kubeconfig", "--context", "--settings", "--velero-namespace"])
def test_an_empty_value_is_wrong_usage(command: CommandLine, option: str) -> None:
    ran = command("plan", "nightly", option, "")
    assert (ran.code, ran.out) == (2, "")
    assert option in ran.err


def test_a_settings_file_comes_before_that_of_the_environment(
    reached: Reached, command: CommandLine, tmp_path: Path
) -> None:
    chosen, other = tmp_path / "chosen.yaml", tmp_path / "other.yaml"
    chosen.write_text("kubernetes_timeout_seconds: 7")
    other.write_text("kubernetes_timeout_seconds: 8")
    command.patch.setenv("VMSERVICE_SETTINGS", str(other))
    command("report", "list", "--settings", str(chosen))
    assert [settings.kubernetes_timeout_seconds for settings in reached.settings] == [7.0]


@pytest.mark.parametrize("name", ["none.yaml", ""])
def test_a_settings_file_that_there_is_not_is_an_error(command: CommandLine, tmp_path: Path, name: str) -> None:
    ran = command("plan", "nightly", "--settings", str(tmp_path / name))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f'velero-vmservice: --settings names no file: "{tmp_path / name}"')


def test_veleros_namespace_comes_before_all_that_would_be_found(reached: Reached, command: CommandLine) -> None:
    command("prune")
    command.patch.setenv("VMSERVICE_VELERO_NAMESPACE", "of-the-environment")
    command("prune")
    command("prune", "--velero-namespace", "chosen")
    namespaces = [settings.velero_namespace for settings in reached.settings]
    assert namespaces == ["dr", "of-the-environment", "chosen"]


def test_a_name_that_no_namespace_has_is_refused_by_the_name_of_the_option(command: CommandLine) -> None:
    ran = command("plan", "nightly", "--velero-namespace", "Not_A_Name")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(
        "velero-vmservice: --velero-namespace: velero_namespace has to be the name of a namespace"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("-n", "shop", "registration", "explain", "dhcp"),
        ("registration", "--namespace", "shop", "explain", "dhcp"),
        ("-n", "other", "registration", "explain", "dhcp", "-n", "shop"),
    ],
)
def test_a_namespace_stands_before_or_after_the_command(command: CommandLine, arguments: tuple[str, ...]) -> None:
    assert command(*arguments).out == command("registration", "explain", "dhcp", "-n", "shop").out


@pytest.mark.parametrize(
    "arguments", [("capture",), ("preflight",), ("registration", "trigger", "web-1", "--backup", "nightly")]
)
def test_a_command_that_needs_a_namespace_takes_that_of_the_context(
    reached: Reached, command: CommandLine, kubeconfig: Path, arguments: tuple[str, ...]
) -> None:
    entries = yaml.safe_load(kubeconfig.read_text())
    entries["contexts"][1]["context"]["namespace"] = "shop"
    kubeconfig.write_text(yaml.safe_dump(entries))
    ran = command(*arguments, "--kubeconfig", str(kubeconfig), "--context", "dr")
    assert "note: namespace shop, of the kubeconfig's context\n" in ran.err
    assert set(reached.logins) == {LoginChoice(kubeconfig=str(kubeconfig), context="dr")}
    without = command(*arguments, "--kubeconfig", str(kubeconfig))
    assert without.code == 2
    assert "no namespace is named, and the kubeconfig's context has none" in without.err


@pytest.mark.parametrize("arguments", [("-n", "shop", "prune"), ("prune", "-n", "shop")])
def test_a_namespace_is_refused_by_a_command_that_takes_none(command: CommandLine, arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "velero-vmservice: prune takes no namespace",
        "hint: velero-vmservice prune --help",
    ]


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_takes_the_options_and_its_namespace_may_stand_before_it(name: str) -> None:
    options = [option for option in LEAVES[name].params if isinstance(option, click.Option)]
    accepted = {spelling for option in options for spelling in option.opts}
    assert accepted >= {"--kubeconfig", "--context", "--settings", "--velero-namespace", "-n"}
    (of_namespace,) = [option for option in options if is_namespace(option)]
    assert isinstance(of_namespace, NamespaceOption) or of_namespace.hidden
