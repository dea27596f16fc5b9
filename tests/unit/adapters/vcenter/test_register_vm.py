"""Expectations: a task and an event of vCenter may say anything; what makes no sense is unknown, and nothing fails."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from velero_vmservice.adapters.vcenter.register_vm import newest_task, read_event, read_task
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUCCESS = "com.vmware.wcp.RegisterVM.success"


@pytest.mark.parametrize(
    ("properties", "state", "percent"),
    [
        ({"info.state": "running", "info.progress": 80}, TaskState.RUNNING, 80),
        ({"info.state": "running", "info.progress": "80"}, TaskState.RUNNING, None),
        ({"info.state": "running", "info.progress": [80]}, TaskState.RUNNING, None),
        ({"info.state": "sleeping"}, TaskState.UNKNOWN, None),
        ({"info.state": None}, TaskState.UNKNOWN, None),
        ({"info.state": ["running"]}, TaskState.UNKNOWN, None),
        ({"info.state": "x" * 1_000_000}, TaskState.UNKNOWN, None),
        ({}, TaskState.UNKNOWN, None),
    ],
    ids=["a task", "a word", "a list", "no state", "nothing", "a list of states", "endless", "empty"],
)
def test_a_garbage_task_is_read_as_far_as_it_makes_sense(
    properties: Mapping[str, Any], state: TaskState, percent: int | None
) -> None:
    task = read_task("task-1", {**properties, "info.queueTime": "yesterday", "info.completeTime": 7})
    assert (task.state, task.percent, task.queued_at, task.ended_at) == (state, percent, None, None)


def test_a_fault_of_any_shape_is_reported() -> None:
    fault = SimpleNamespace(msg=7, reason=None, faultMessage=[SimpleNamespace(key="K", message="M"), 3, None])
    task = read_task("task-1", {"info.state": "error", "info.error": fault})
    assert (task.state, task.message) == (TaskState.FAILED, "SimpleNamespace: 7; K; M")
    assert read_task("task-1", {"info.state": "error", "info.error": "boom"}).message == "str"


def test_a_task_without_a_time_is_the_older_of_two() -> None:
    tasks = {
        "task-1": {"info.state": "error", "info.queueTime": AT},
        "task-2": {"info.state": "running", "info.queueTime": "never"},
    }
    task = newest_task(read_task(moid, properties) for moid, properties in tasks.items())
    assert task is not None
    assert task.id == "task-1"


@pytest.mark.parametrize(
    ("event", "moid"),
    [
        (SimpleNamespace(eventTypeId=SUCCESS, message="m", createdTime=AT, objectId="vm-1"), "vm-1"),
        (
            SimpleNamespace(eventTypeId=SUCCESS, createdTime="never", vm=SimpleNamespace(vm=None), objectId="vm-1"),
            "vm-1",
        ),
        (SimpleNamespace(eventTypeId="com.vmware.another", objectId="vm-1"), ""),
        (SimpleNamespace(objectId="vm-1"), ""),
        (None, ""),
    ],
    ids=["an event", "no time and no VM's reference", "another event", "no type", "nothing"],
)
def test_an_event_of_another_kind_is_passed_over(event: Any, moid: str) -> None:
    read = read_event(event)
    assert (read[0] if read else "") == moid
