"""Whole restores with `mode: observe` for which a person calls RegisterVM: followed, explained, never called for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, m, restore, service, vm, with_policy
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.registervm.attempt import ForRestore
from velero_vmservice.registration.model import State
from velero_vmservice.velero.runs import RestoreRun
from velero_vmservice.vsphere.vm import RegisterEvent, TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.builders import Json
    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB), service("front", WEB)
WANTED = ExpectedVm(name="web-1", instance_uuid="instance-of-web-1")
RESTORE = ForRestore(uid=RestoreRun.read(m(restore())).uid, name="again")
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"
HOUR = 3600


class Scene:
    """A restore that waits for a VM, which the VADP software has brought back."""

    def __init__(self, *sources: str, vcenter: bool = True, beside: Sequence[Json] = ()) -> None:
        self.world = World(sources=sources)
        self.vcenter = self.world.vsphere.vcenter
        items = self.world.back_up(VM, FRONT, *beside)
        self.world.lose(VM, FRONT, *beside)
        self.world.app = self.world.start(vcenter=vcenter)
        self.operation, *self.others = self.world.replay_all(items)
        self.vcenter.restore(NAMESPACE, restored())

    def command(self) -> str:
        """Have a person call, from a process of their own; return the task."""
        caller = self.world.start().registering.trigger
        assert caller is not None
        assert caller.again(RESTORE, NAMESPACE, WANTED).state is State.REGISTERING
        return self.vcenter.tasks_of("vm-1")[-1]

    def round(self, **spec: object) -> Progress:
        return self.world.round([self.operation], **spec)[self.operation]

    def later(self) -> str:
        """Say what is shown once half a minute has passed."""
        self.world.clock.advance(30)
        return self.round().description

    @property
    def calls(self) -> int:
        return self.vcenter.calls.counts["call"]


@pytest.fixture(name="scene", params=[(), ("vcenter",)], ids=["kubernetes", "vcenter too"])
def _scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(*request.param)


def test_a_call_by_command_is_shown_with_its_stages_and_followed_to_its_end(scene: Scene) -> None:
    scene.round()
    task = scene.command()
    assert "waiting: web-1: registering: RegisterVM task task-1 of vm-1" in scene.later()
    scene.vcenter.set_task(task, TaskState.RUNNING, percent=80)
    description = scene.round().description
    assert description.startswith(
        "waiting: web-1: registering (80 %, register volumes): RegisterVM task task-1 of vm-1 runs"
    )
    scene.vcenter.set_task(task, TaskState.SUCCEEDED)
    assert "RegisterVM (attempt 1, task task-1) succeeded" in scene.round().description
    scene.world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))
    assert scene.world.finish([scene.operation])[scene.operation].error == ""
    assert scene.calls == 1


def test_a_failure_is_explained_and_outlives_its_task(scene: Scene) -> None:
    task = scene.command()
    scene.round()
    scene.vcenter.set_task(task, TaskState.FAILED, message=f"SystemError: {CLAIM_FAILED}")
    first = scene.round().description
    assert first.startswith(
        f"waiting: blocked: web-1: failed: RegisterVM (attempt 1, task task-1) failed: {CLAIM_FAILED}: a restored disk"
        " could not be registered as a PersistentVolumeClaim"
    )
    assert "see the errors of the CnsRegisterVolumes" in first
    scene.vcenter.forget(task)
    scene.world.restart()
    assert scene.round().description == first
    scene.world.clock.advance(HOUR)
    assert CLAIM_FAILED in scene.round(**with_policy(registered_within="1h")).error
    assert scene.calls == 1


def test_a_call_that_vcenter_forgot_before_it_was_followed_is_no_certain_failure() -> None:
    """The command has called, and the sidecar comes to it when vCenter has forgotten the task: it may be registered."""
    scene = Scene()
    scene.vcenter.forget(scene.command())
    scene.world.clock.advance(301)
    description = scene.later()
    assert description.startswith(
        "waiting: web-1: not registered yet | note: trigger says failed: vCenter does not know"
    )
    assert "see in vCenter whether the VM was registered" in description
    scene.world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))
    assert scene.world.finish([scene.operation])[scene.operation].error == ""


@pytest.mark.parametrize("message", ["", CLAIM_FAILED], ids=["success", "failure"])
def test_the_event_tells_how_a_call_ended_whose_task_vcenter_forgot(message: str) -> None:
    scene = Scene("vcenter")
    scene.vcenter.forget(scene.command())
    scene.world.clock.advance(301)
    event = RegisterEvent(succeeded=not message, message=message, at=scene.world.clock.now())
    scene.vcenter.log_event("vm-1", event)
    ending = f"failed: {message}: a restored disk" if message else "succeeded"
    assert f"RegisterVM (attempt 1, task task-1) {ending}" in scene.later()
    without_vcenter = scene.world.start(vcenter=False)
    (registration,) = without_vcenter.registering.look(NAMESPACE, [WANTED], restore=RESTORE).values()
    assert ending in f"{registration} {registration.notes}"


def test_an_event_of_an_earlier_registration_says_nothing_of_a_call() -> None:
    scene = Scene("vcenter")
    scene.vcenter.log_event("vm-1", RegisterEvent(succeeded=True, at=scene.world.clock.now()))
    scene.world.clock.advance(1)
    scene.vcenter.forget(scene.command())
    scene.world.clock.advance(301)
    assert "vCenter does not know RegisterVM task task-1 of vm-1 any more" in scene.later()


def test_the_next_attempt_takes_the_place_of_a_failed_one(scene: Scene) -> None:
    scene.vcenter.set_task(scene.command(), TaskState.FAILED, message=CLAIM_FAILED)
    assert "blocked" in scene.round().description
    scene.vcenter.set_task(scene.command(), TaskState.RUNNING, percent=40)
    assert scene.round().description.startswith(
        "waiting: web-1: registering (40 %, restore additional resources): RegisterVM task task-2 of vm-1 runs"
    )


def test_without_a_recorded_call_nothing_is_called_or_reported() -> None:
    scene = Scene()
    assert {scene.later() for _ in range(3)} == {"waiting: web-1: not registered yet"}
    assert scene.vcenter.calls.made == []


def test_a_call_for_another_restore_is_no_concern() -> None:
    scene = Scene()
    caller = scene.world.start().registering.trigger
    assert caller is not None
    caller.again(ForRestore(uid="other", name="other"), NAMESPACE, WANTED)
    assert scene.later() == "waiting: web-1: not registered yet"


@pytest.mark.parametrize("error", [Forbidden("denied"), Unavailable("away")], ids=["denied", "away"])
def test_records_that_cannot_be_read_are_done_without(error: Forbidden | Unavailable) -> None:
    scene = Scene()
    scene.command()
    scene.world.cluster.calls.fail("list", error, on="ConfigMap velero")
    assert scene.later() == "waiting: web-1: not registered yet"
    scene.world.cluster.calls.heal()
    assert "registering" in scene.later()


@pytest.mark.parametrize("error", [Forbidden("denied"), Unavailable("away")], ids=["denied", "away"])
def test_records_that_cannot_be_read_for_a_round_hide_no_attempt(error: Forbidden | Unavailable) -> None:
    scene = Scene()
    scene.vcenter.set_task(scene.command(), TaskState.FAILED, message=CLAIM_FAILED)
    first = scene.round().description
    assert first.startswith("waiting: blocked: web-1: failed: RegisterVM (attempt 1")
    scene.world.cluster.calls.fail("list", error, on="ConfigMap velero")
    note = f" | note: cannot tell whether a command called RegisterVM for it: {error}"
    assert {scene.round().description for _ in range(5)} == {f"{first}{note}"}
    scene.world.cluster.calls.heal()
    assert scene.round().description == first


def test_records_that_are_away_for_a_round_are_read_in_the_next() -> None:
    scene = Scene()
    scene.command()
    scene.world.cluster.calls.fail("list", Unavailable("away"), on="ConfigMap velero", times=1)
    assert scene.round().description == "waiting: web-1: not registered yet"
    assert "registering" in scene.round().description


@pytest.mark.parametrize("error", [Forbidden("denied"), Unavailable("away")], ids=["denied", "away"])
def test_a_look_reports_that_the_records_cannot_be_read(error: Forbidden | Unavailable) -> None:
    scene = Scene()
    scene.command()
    scene.world.cluster.calls.fail("list", error, on="ConfigMap velero")
    for _ in range(2):
        (registration,) = scene.world.app.registering.look(NAMESPACE, [WANTED], restore=RESTORE).values()
        assert registration.notes == (f"cannot tell whether a command called RegisterVM for it: {error}",)


def test_a_vcenter_that_hangs_costs_one_wait_in_half_a_minute_and_is_a_note() -> None:
    scene = Scene()
    scene.command()

    def hang(_: str) -> None:
        scene.world.clock.advance(15)
        raise Unavailable("vCenter did not answer in time")

    scene.vcenter.calls.before("task", hang)
    waits = []
    for _ in range(6):
        before = scene.world.clock.monotonic()
        description = scene.round().description
        waits.append(scene.world.clock.monotonic() - before - 10)
        assert description == (
            "waiting: web-1: not registered yet | note: trigger cannot be asked: vCenter did not answer in time"
        )
    assert waits == [15, 0, 0, 15, 0, 0]


def test_a_vcenter_that_hangs_as_a_source_is_not_asked_for_a_task_in_the_same_round() -> None:
    scene = Scene("vcenter")
    scene.command()
    looks = []

    def hang(_: str) -> None:
        looks.append(scene.world.clock.monotonic())
        scene.world.clock.advance(15)
        raise Unavailable("vCenter did not answer in time")

    scene.vcenter.calls.before("look", hang)
    assert "the others took too long" in scene.later()  # who follows is passed over
    assert "trigger cannot be asked: vCenter did not answer in time" in scene.later()  # and has its turn now
    assert len(looks) == 2
    for _ in range(2):  # in which the source is left alone
        assert "trigger cannot be asked: vCenter did not answer in time" in scene.round().description
    assert len(looks) == 2
    assert scene.vcenter.calls.counts["task"] == 0


def test_a_folder_that_is_denied_hides_no_task() -> None:
    scene = Scene("vcenter")
    scene.vcenter.set_task(scene.command(), TaskState.RUNNING, percent=40)
    scene.vcenter.calls.fail("look", Forbidden("the folder is denied"))
    assert "registering (40 %, restore additional resources)" in scene.later()


def test_only_the_vm_that_was_called_for_is_reported() -> None:
    scene = Scene(beside=[vm("db-1", labels={"app": "db"}), service("store", {"app": "db"})])
    scene.command()
    polled = scene.world.round([scene.operation, *scene.others])
    assert "registering" in polled[scene.operation].description
    assert [polled[operation].description for operation in scene.others] == ["waiting: db-1: not registered yet"]


def test_a_call_for_one_vm_hides_no_note_of_another() -> None:
    scene = Scene(beside=[vm("db-1", labels={"app": "db"}), service("store", {"app": "db"})])
    scene.world.cluster.calls.fail("list", Forbidden("CnsRegisterVolumes are denied"), on="CnsRegisterVolume shop")
    (other,) = scene.others
    before = scene.world.round([scene.operation, other])[other].description
    assert "CnsRegisterVolumes are denied" in before
    scene.command()
    scene.world.clock.advance(30)
    polled = scene.world.round([scene.operation, other])
    assert "registering" in polled[scene.operation].description
    assert polled[other].description == before


def test_without_a_vcenter_the_record_is_reported() -> None:
    scene = Scene(vcenter=False)
    task = scene.command()
    assert scene.round().description == (
        "waiting: web-1: registering: RegisterVM was called for vm-1 (attempt 1, task task-1); only"
        " vCenter shows how far it is, and none is set up here (vcenter in the settings)"
    )
    scene.world.clock.advance(301)
    assert scene.round().description.startswith(
        "waiting: web-1: not registered yet | note: trigger says registering: RegisterVM was called for vm-1"
    )
    scene.vcenter.set_task(task, TaskState.FAILED, message=CLAIM_FAILED)
    with_vcenter = scene.world.start()
    with_vcenter.registering.look(NAMESPACE, [WANTED], restore=RESTORE)  # which notes how it has ended
    assert f"failed: {CLAIM_FAILED}: a restored disk" in scene.round().description
    assert scene.calls == 1


def test_a_look_for_a_restore_shows_its_own_calls_alone() -> None:
    scene = Scene()
    scene.vcenter.set_task(scene.command(), TaskState.RUNNING, percent=80)
    look = scene.world.app.registering.look
    (ours,) = look(NAMESPACE, [WANTED], restore=RESTORE).values()
    assert (ours.state, ours.percent, ours.told_by) == (State.REGISTERING, 80, "trigger")
    (alone,) = look(NAMESPACE, [WANTED]).values()
    assert alone.state is State.ABSENT
