from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.unit.builders import service, vm, vsphere_namespace
from tests.unit.world import CAPTURES, World
from velero_vmservice.core.errors import Corrupt, Unavailable

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine


def lost(command: CommandLine) -> World:
    """A world that has lost a service in each of two namespaces."""
    world = World()
    world.cluster.seed(vsphere_namespace("bill"))
    objects = [
        vm("web-1", labels={"app": "web"}),
        service("front", {"app": "web"}),
        vm("db-1", labels={"app": "db"}, namespace="bill"),
        service("db", {"app": "db"}, meta={"namespace": "bill"}),
    ]
    world.back_up(*objects)
    world.lose(*objects)
    command.connects_to(world.start)
    return world


def test_an_object_that_cannot_be_read_is_blocked_and_the_others_are_planned(command: CommandLine) -> None:
    world = lost(command)
    world.store.calls.fail("get", Corrupt("it is not what was written"), on=f"{CAPTURES}namespaces/bill.json")
    ran = command("plan", "nightly", "-o", "json")
    planned = {one["name"]: (one["action"], one["reason"]) for one in json.loads(ran.out)["objects"]}
    assert planned == {"db": ("blocked", "it is not what was written"), "front": ("wait", "web-1: not registered yet")}
    assert ran.code == 2


def test_a_store_that_is_away_is_no_plan(command: CommandLine) -> None:
    world = lost(command)
    world.store.calls.fail("get", Unavailable("the bucket is away"), on=f"{CAPTURES}namespaces/bill.json")
    ran = command("plan", "nightly")
    assert (ran.code, ran.out, ran.err) == (1, "", "velero-vmservice: the bucket is away\n")
