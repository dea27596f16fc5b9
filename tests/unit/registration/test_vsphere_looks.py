"""One look into vCenter for all who need one in a round."""

from __future__ import annotations

import pytest

from tests.fakes.vcenter import MemoryVCenter
from tests.unit.builders import NAMESPACE
from tests.unit.restored_vms import restored
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Unavailable
from velero_vmservice.registration.sources import Look, VsphereLooks
from velero_vmservice.vsphere.vm import RegisterTask, SupervisorView, TaskState

WEB = [ExpectedVm(name="web-1")]


@pytest.fixture(name="vcenter")
def _vcenter() -> MemoryVCenter:
    vcenter = MemoryVCenter()
    vcenter.restore(NAMESPACE, restored())
    return vcenter


@pytest.fixture(name="looks")
def _looks(vcenter: MemoryVCenter) -> VsphereLooks:
    return VsphereLooks(inventory=vcenter, supervisor=lambda *_: SupervisorView())


def test_the_next_source_takes_what_the_first_has_seen(looks: VsphereLooks, vcenter: MemoryVCenter) -> None:
    round_one = Look()
    assert looks.look(NAMESPACE, WEB, round_one) is looks.look(NAMESPACE, WEB, round_one)
    assert vcenter.calls.counts["look"] == 1
    looks.look(NAMESPACE, WEB, Look())
    looks.look(NAMESPACE, WEB)
    assert vcenter.calls.counts["look"] == 3


def test_the_next_source_raises_the_error_of_the_first(looks: VsphereLooks, vcenter: MemoryVCenter) -> None:
    vcenter.calls.fail("look", Unavailable("vCenter is away"))
    round_one = Look()
    for _ in range(2):
        with pytest.raises(Unavailable, match="vCenter is away"):
            looks.look(NAMESPACE, WEB, round_one)
    assert vcenter.calls.counts["look"] == 1


def test_a_look_tells_how_far_a_task_is_by_either_of_its_ids(looks: VsphereLooks, vcenter: MemoryVCenter) -> None:
    task = vcenter.call(NAMESPACE, "vm-1", ())
    vcenter.set_task(task, TaskState.RUNNING, percent=40)
    look = looks.look(NAMESPACE, WEB)
    tasks = [look.task("vm-1", task), look.task("vm-1", f"{task}:of-this-vcenter")]
    assert [task.percent if task else None for task in tasks] == [40, 40]
    assert [look.task("vm-1", "task-9"), look.task("vm-2", task)] == [None, None]


def test_a_task_whose_state_is_nonsense_is_left_to_a_closer_look(looks: VsphereLooks, vcenter: MemoryVCenter) -> None:
    odd = RegisterTask(id="task-1", state=TaskState.UNKNOWN)
    assert vcenter.call(NAMESPACE, "vm-1", ()) == odd.id
    vcenter.set_task(odd.id, odd.state)
    assert looks.look(NAMESPACE, WEB).task("vm-1", odd.id) is None
