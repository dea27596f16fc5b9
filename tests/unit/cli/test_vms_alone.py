"""VMs that are in no service and no group are found by name, like all others of the backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import restore, service, vm
from tests.unit.restore.source.test_vms_alone import back_up
from tests.unit.world import World
from velero_vmservice.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

WEB, ALONE = vm("web-1", labels={"app": "web"}), vm("alone")
FRONT = service("front", {"app": "web"})


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = World(sources=["vcenter"])
    back_up(world, WEB, ALONE, FRONT)
    world.lose(WEB, ALONE, FRONT)
    command.connects_to(world.start)
    return world


@pytest.mark.parametrize("arguments", [[], ["--vm", "alone"], ["-n", "shop"]])
def test_status_shows_it(command: CommandLine, world: World, arguments: list[str]) -> None:
    assert world
    ran = command("registration", "status", "nightly", *arguments)
    assert (ran.code, ran.err) == (ExitCode.NOT_READY, "")
    assert any("alone" in line for line in ran.lines)


def test_trigger_looks_for_it_in_vcenter(command: CommandLine, world: World) -> None:
    world.cluster.seed(restore())
    ran = command("registration", "trigger", "--restore", "again", "-n", "shop", "--yes", "alone")
    assert ran.code == ExitCode.NOT_READY
    assert "alone" in ran.out
    assert "no captured object" not in ran.out + ran.err
