"""The story of a restore, as its lines stand in the sidecar's log."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.unit.builders import group, service, vm, with_policy
from tests.unit.world import NAMESPACE, World
from velero_vmservice import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

WEB = {"app": "web"}
VMS = (vm("web-1", labels=WEB, group="tier"), vm("web-2", labels=WEB, group="tier"))
OBJECTS = (*VMS, group("tier", ["web-1", "web-2"]), service("front", WEB))
MINUTE = 60.0


class Log:
    """The lines that were written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        logs.configure("info", stream=self.stream)

    def lines(self, *messages: str) -> list[dict[str, Any]]:
        written = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in written if line["@message"] in messages]

    def story(self) -> list[tuple[str, str]]:
        """Return messages and their objects from the beginning of the restore on, without the waiting."""
        written = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        events = ("restore begins", "VMs registered", "gate open", "replayed", "replay ended", "restore ended")
        return [(line["@message"], line.get("object", "")) for line in written if line["@message"] in events]


@pytest.fixture(name="written")
def _written() -> Iterator[Log]:
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield Log()
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before
    logging.getLogger().setLevel(level)


def lost(world: World, **spec: Any) -> list[str]:
    items = world.back_up(*OBJECTS)
    world.lose(*OBJECTS)
    return world.replay_all(items, **spec)


def registered(world: World, *names: str) -> None:
    world.cluster.seed(*(vm(name, labels=WEB, group="tier", uid=f"{name}-new") for name in names))


def test_each_transition_of_a_restore_is_logged_once_and_in_its_order(world: World, written: Log) -> None:
    operations = lost(world)
    world.round(operations)
    registered(world, "web-1", "web-2")
    world.finish(operations)
    tier, front = f"VirtualMachineGroup {NAMESPACE}/tier", f"VirtualMachineService {NAMESPACE}/front"
    assert written.story() == [
        ("restore begins", ""),
        ("VMs registered", ""),
        ("VMs registered", ""),
        ("gate open", tier),
        ("replayed", tier),
        ("gate open", front),
        ("replayed", front),
        ("replay ended", tier),
        ("replay ended", front),
        ("restore ended", ""),
    ]
    none, both = written.lines("VMs registered")
    assert (none["registered"], none["expected"]) == (0, 2)
    assert (both["registered"], both["expected"], both["vms"]) == (2, 2, f"{NAMESPACE}/web-1,{NAMESPACE}/web-2")
    assert {line["stage"] for line in written.lines("replay ended")} == {"verified"}
    (ended,) = written.lines("restore ended")
    assert (ended["outcome"], ended["restore"]) == ("verified", "velero/again")


def test_the_policy_is_logged_once_for_the_restore_and_again_where_it_changes(world: World, written: Log) -> None:
    operations = lost(world, **with_policy(mode="strict"))
    for _ in range(3):
        world.round(operations, **with_policy(mode="strict"))
    (begins,) = written.lines("restore begins")
    assert (begins["restore"], begins["backup"]) == ("velero/again", "velero/nightly")
    assert "mode=strict" in begins["policy"].split(",")
    assert [line for line in written.lines("replay deferred until the VMs are registered") if "policy" in line] == []
    world.round(operations, **with_policy(mode="best-effort"))
    (changed,) = written.lines("policy changed")
    assert "mode=best-effort" in changed["policy"].split(",")


def test_a_restore_that_another_process_began_is_continued(world: World, written: Log) -> None:
    operations = lost(world)
    world.restart()
    world.round(operations)
    assert len(written.lines("restore begins")) == 1
    (continued,) = written.lines("restore continued")
    assert "power=leave" in continued["policy"].split(",")


def test_a_restore_that_waits_says_every_five_minutes_for_what(world: World, written: Log) -> None:
    operations = lost(world)
    registered(world, "web-1")
    for _ in range(31):  # a round lasts ten seconds: five minutes and the first
        world.round(operations)
    first, second = written.lines("restore waits")
    assert (first["restore"], first["open_count"], first["expected"]) == ("velero/again", 2, 2)
    assert second["registered"] == 1
    assert f"VirtualMachineService {NAMESPACE}/front: web-2: not registered yet" in second["reason"]
    world.clock.advance(5 * MINUTE)
    world.round(operations)
    assert len(written.lines("restore waits")) == 3


def test_a_restore_that_has_ended_waits_for_nothing(world: World, written: Log) -> None:
    operations = lost(world)
    registered(world, "web-1", "web-2")
    world.finish(operations)
    before = len(written.lines("restore waits"))
    world.clock.advance(10 * MINUTE)
    world.round(operations)
    assert len(written.lines("restore waits")) == before


def test_an_object_that_fails_is_a_warning_with_its_reason(world: World, written: Log) -> None:
    operations = lost(world, **with_policy(registered_within="1m"))
    world.clock.advance(2 * MINUTE)
    world.finish(operations, **with_policy(registered_within="1m"))
    failed = written.lines("replay ended")
    assert {(line["@level"], line["stage"]) for line in failed} == {("warn", "failed")}
    assert all("not registered" in line["reason"] for line in failed)
