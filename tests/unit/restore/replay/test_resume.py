"""`restore --resume`: another run of the same restore, which sees what the first one has had registered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, m, restore, service, vm, with_policy
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.archive.schema import moment
from velero_vmservice.kube.manifest import CONFIG_MAP, compact_time
from velero_vmservice.report.html.timeline import date
from velero_vmservice.report.model import Report
from velero_vmservice.restore.source.backup_objects import resumed
from velero_vmservice.velero.runs import RestoreRun, replay_id
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.restore.replay.operation import ReplayOperation

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB), service("front", WEB)


@pytest.fixture(name="world")
def _world() -> World:
    return World(sources=["vcenter"], mode="trigger")


@pytest.fixture(name="operation")
def _operation(world: World) -> str:
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    (operation,) = world.replay_all(items)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    return operation


def resume(world: World, **spec: Any) -> RestoreRun:
    """Begin what `restore --resume` does, in a process of its own."""
    world.restart()
    wanted = m(restore(**spec))
    return begin(world, resumed(RestoreRun.read(wanted), now=compact_time(world.clock.now().isoformat())))


def begin(world: World, run: RestoreRun) -> RestoreRun:
    """Announce all that a run replays, as the command line does."""
    for replay in world.app.backup_objects.replayed(run, run.spec):
        world.app.replays.announce(replay_id(replay), replay, run)
    return run


def advance(world: World, run: RestoreRun, rounds: int = 1) -> Sequence[ReplayOperation]:
    tasks: Sequence[ReplayOperation] = ()
    for _ in range(rounds):
        world.clock.advance(10)
        tasks = world.app.replays.advance(run)
        world.vm_operator()
    return tasks


def calls(world: World) -> int:
    return world.vsphere.vcenter.calls.counts["call"]


def test_a_call_of_the_restore_is_followed_and_not_repeated(world: World, operation: str) -> None:
    world.round([operation])
    assert calls(world) == 1

    run = resume(world)
    (task,) = advance(world, run, 3)

    assert task.standing.reason == "web-1: registering: RegisterVM task task-1 of vm-1 runs"
    assert calls(world) == 1


def test_a_call_that_failed_stays_failed(world: World, operation: str) -> None:
    world.round([operation])
    (begun,) = world.vsphere.vcenter.tasks_of("vm-1")
    world.vsphere.vcenter.set_task(begun, TaskState.FAILED, message="no disk")
    world.round([operation])

    (task,) = advance(world, resume(world), 3)

    assert "RegisterVM (attempt 1, task task-1) failed: no disk" in task.standing.reason
    assert calls(world) == 1


def test_a_call_of_the_resume_is_one_of_the_restore(world: World, operation: str) -> None:
    run = resume(world)
    advance(world, run, 3)
    assert calls(world) == 1
    (record,) = world.cluster.list(CONFIG_MAP, "velero")
    assert record.content["data"]["restoreUID"] == "uid-of-again"

    world.restart()
    description = world.polled(operation).description

    assert description == "waiting: web-1: registering: RegisterVM task task-1 of vm-1 runs"
    assert calls(world) == 1


def test_results_lie_apart_under_the_restores_own_uid(world: World, operation: str) -> None:
    world.app.actions.restore["replay"].cancel(operation, restore())
    first = set(world.store.list("restores/again/"))
    world.clock.advance(3600)
    run = resume(world)
    advance(world, run)
    (begun,) = world.vsphere.vcenter.tasks_of("vm-1")
    world.vsphere.vcenter.set_task(begun, TaskState.SUCCEEDED)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))

    (task,) = advance(world, run, 6)

    assert task.kept.whole
    prefix = f"restores/again/{run.started}/"
    assert {key for key in world.store.list("restores/again/") if key.startswith(prefix)} == (
        set(world.store.list("restores/again/")) - first
    )
    report = Report.model_validate(world.document(f"{prefix}report.json"))
    assert (report.restore_uid, report.outcome) == ("uid-of-again", "verified")
    (front,) = report.objects
    assert front.earlier is not None
    assert front.earlier.stage == "cancelled"
    assert [text.partition(":")[0] for _, text in front.timeline][-2:] == ["replayed", "verified"]
    assert (report.started, report.started < report.resumed) == ("2026-03-01T12:00:00+00:00", True)
    assert b"UID/" not in world.store.get(f"{prefix}report.html")
    assert {event.uid for event in world.cluster.events if event.about.name == "again"} == {"uid-of-again"}


def test_the_second_resume_tells_of_every_run(world: World, operation: str) -> None:
    """Other runs under the restore's name, of a Restore that had it or a backup that has it, are none of its story."""
    brief = with_policy(registered_within="1m")
    world.app.actions.restore["replay"].cancel(operation, restore())
    world.clock.advance(600)
    alone = RestoreRun.read(m(restore(**brief)))
    other = begin(world, replace(alone, started=compact_time(world.clock.now().isoformat()), of_velero=False))
    advance(world, other, 8)
    assert world.document(f"restores/again/{other.started}/report.json")["outcome"] == "failed"
    first = resume(world, **brief)
    advance(world, first, 8)
    world.clock.advance(3600)
    second = resume(world)
    advance(world, second)
    for task in world.vsphere.vcenter.tasks_of("vm-1"):
        world.vsphere.vcenter.set_task(task, TaskState.SUCCEEDED)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))

    advance(world, second, 6)

    report = Report.model_validate(world.document(f"restores/again/{second.started}/report.json"))
    assert report.resumes == tuple(moment(resumed.started).isoformat() for resumed in (first, second))
    assert report.resumed == report.resumes[-1]
    (front,) = report.objects
    assert [end.stage for end in (*front.earlier_ends, front)] == ["cancelled", "failed", "verified"]
    ended = [time for time, text in front.timeline if text.startswith(("cancelled", "failed"))]
    assert ended == [end.ended for end in front.earlier_ends]
    page = world.store.get(f"restores/again/{second.started}/report.html").decode()
    assert [page.count(f"before it was resumed ({date(end.ended)})") for end in front.earlier_ends] == [1, 1]


def test_two_resumes_of_one_process_are_two_runs(world: World, operation: str) -> None:
    del operation
    first = resumed(RestoreRun.read(m(restore())), now="20261124T100000Z")
    second = resumed(RestoreRun.read(m(restore())), now="20261124T110000Z")
    for run in (first, second):
        for replay in world.app.backup_objects.replayed(run, {}):
            world.app.replays.announce(replay_id(replay), replay, run)

    advance(world, first, 3)
    (task,) = advance(world, second)

    assert len(task.timeline) == 1
    assert calls(world) == 1
