"""How far a long look is, on a terminal and nowhere else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests.unit.builders import vsphere_namespace
from tests.unit.captures.scene import WithoutVelero
from velero_vmservice.cli.views import progress

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

LOOKS = [
    (("coverage",), "reading captures"),
    (("match",), "reading captures"),
    (("drill", "run", "--into", "drill"), "trying objects"),
]


@pytest.fixture(name="world")
def _world(command: CommandLine) -> WithoutVelero:
    world = WithoutVelero()
    world.cluster.seed(vsphere_namespace("drill"))
    world.take("1700000000000")
    command.connects_to(world.start)
    return world


def on_a_terminal(command: CommandLine) -> None:
    terminal = partial(Console, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    command.patch.setattr(progress, "Console", terminal)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("look", "label"), LOOKS)
def test_a_long_look_shows_a_bar_on_a_terminal(command: CommandLine, look: tuple[str, ...], label: str) -> None:
    on_a_terminal(command)
    command.patch.setattr(progress, "AFTER_SECONDS", -1.0)
    assert label in command(*look).err


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("look", "label"), LOOKS)
def test_a_pipe_and_a_short_look_show_none(command: CommandLine, look: tuple[str, ...], label: str) -> None:
    command.patch.setattr(progress, "AFTER_SECONDS", -1.0)
    assert label not in command(*look).err
    on_a_terminal(command)
    command.patch.setattr(progress, "AFTER_SECONDS", 3600.0)
    assert label not in command(*look).err
