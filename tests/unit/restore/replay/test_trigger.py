"""Whole restores with `mode: trigger`: RegisterVM once for each VM, over restarts and however many poll."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.builders import (
    NAMESPACE,
    condition,
    obj,
    registration,
    restore,
    service,
    vm,
    vsphere_namespace,
    with_policy,
)
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.errors import Forbidden, InvalidSettings, NotSent, Unavailable
from velero_vmservice.kube.manifest import CNS_REGISTER_VOLUME, CONFIG_MAP, SUBNET_SET, ObjectRef
from velero_vmservice.registervm.attempt import RECORD_LABEL
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.vmoperator.marks import BACKUP_VERSION_ANNOTATION
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.network_override import SubnetMapping
from velero_vmservice.vsphere.record import Record
from velero_vmservice.vsphere.vm import RegisterEvent, TaskState, VsphereVm

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB), service("front", WEB)
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"
HOUR = 3600


@pytest.fixture(name="world", params=[(), ("vcenter",)], ids=["kubernetes", "vcenter too"])
def _world(request: pytest.FixtureRequest) -> World:
    return World(sources=request.param, mode="trigger")


def lost(world: World, *kept: dict[str, Any]) -> str:
    items = world.back_up(VM, FRONT)
    world.lose(*[manifest for manifest in (VM, FRONT) if manifest not in kept])
    (operation,) = world.replay_all(items)
    return operation


def restored_over(world: World) -> str:
    """Lose the service alone: the VirtualMachine is there, and newer than what is restored under it."""
    operation = lost(world, VM)
    behind = condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused")
    live = {"uniqueID": "vm-1", "conditions": [condition("VirtualMachineCreated"), behind]}
    newer = {"annotations": {BACKUP_VERSION_ANNOTATION: "2000"}}
    world.cluster.seed(vm("web-1", labels=WEB, status=live, meta=newer))
    return operation


def calls(world: World) -> list[str]:
    return [moid for method, moid in world.vsphere.vcenter.calls.made if method == "call"]


def task(world: World, moid: str = "vm-1") -> str:
    (task,) = world.vsphere.vcenter.tasks_of(moid)
    return task


def test_a_restored_vm_is_called_for_once_and_its_stages_are_shown(world: World) -> None:
    operation = lost(world)
    assert "vCenter has no VM with the UUIDs, record or name of web-1 yet" in world.polled(operation).description
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    assert world.polled(operation).description == "waiting: web-1: registering: RegisterVM task task-1 of vm-1 runs"
    world.vsphere.vcenter.set_task(task(world), TaskState.RUNNING, percent=80)
    description = world.polled(operation).description
    assert description.startswith(
        "waiting: web-1: registering (80 %, register volumes): RegisterVM task task-1 of vm-1"
    )
    world.vsphere.vcenter.set_task(task(world), TaskState.SUCCEEDED, percent=100)
    description = world.polled(operation).description
    assert "absent: RegisterVM (attempt 1, task task-1) succeeded, and no VirtualMachine is there yet" in description
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))
    assert world.finish([operation])[operation].error == ""
    assert calls(world) == ["vm-1"]


def test_a_vm_that_was_never_lost_is_let_alone(world: World) -> None:
    operation = lost(world, VM)
    world.vsphere.vcenter.restore(NAMESPACE, restored(moid="vm-web-1"))
    assert world.finish([operation])[operation].error == ""
    assert calls(world) == []


@pytest.mark.parametrize(
    "existing",
    [
        vm("web-1", uid="new", spec={"instanceUUID": "other"}, status={"biosUUID": "other", "uniqueID": "vm-9"}),
        vm("web-1", uid="new", created=False, status={"uniqueID": "vm-1"}),
        vm("web-1", uid="new", created=False, status={"uniqueID": ""}),
        vm("web-1", uid="new", meta={"annotations": {"vmoperator.vmware.com/paused": "true"}}),
    ],
    ids=["another VM of its name", "not reconciled", "not found in vCenter yet", "paused"],
)
def test_a_name_that_is_taken_is_never_registered_over(world: World, existing: dict[str, Any]) -> None:
    operation = lost(world)
    world.cluster.seed(existing)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    for _ in range(3):
        world.polled(operation)
    assert calls(world) == []


def test_a_vm_being_registered_elsewhere_is_let_alone(world: World) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    begun = world.vsphere.vcenter.call(NAMESPACE, "vm-1", ())
    assert f"RegisterVM task {begun} of vm-1" in world.polled(operation).description
    assert calls(world) == ["vm-1"]


def test_an_engine_at_work_is_not_called_beside() -> None:
    world = World(sources=["engine"], mode="trigger")
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    for state in State:
        if state is not State.UNKNOWN:
            world.engine.tell(NAMESPACE, Registration(name="web-1", state=state))
            world.polled(operation)
    nonsense = Registration(name="web-1", state=State.UNKNOWN, reason="ready with an error code", certain=False)
    world.engine.tell(NAMESPACE, nonsense)
    world.polled(operation)
    assert calls(world) == []
    world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.UNKNOWN, reason="not given to this engine"))
    world.polled(operation)
    assert calls(world) == ["vm-1"]


def test_a_vm_that_an_engine_has_in_its_queue_is_left_to_it() -> None:
    world = World(sources=["engine", "vcenter"], mode="trigger")
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.RESTORED, reason="queued behind 12 others"))
    world.polled(operation)
    assert calls(world) == []


def test_another_vm_that_has_the_name_is_not_called_for_and_does_no_harm(world: World) -> None:
    operation = lost(world)
    vcenter = world.vsphere.vcenter
    vcenter.restore(NAMESPACE, restored("vm-77", instance_uuid="of-another", bios_uuid="of-another"))
    description = world.polled(operation).description
    assert "vm-77 has the record or name of web-1 and is another VM (instance UUID of-another, the" in description
    assert calls(world) == []
    vcenter.restore(NAMESPACE, restored())
    world.polled(operation)
    assert calls(world) == ["vm-1"]


@pytest.mark.parametrize("ended", [TaskState.SUCCEEDED, TaskState.FAILED])
def test_a_task_that_has_ended_over_a_newer_vm_is_not_repeated_unasked(world: World, ended: TaskState) -> None:
    """A restore in place: whether the task was of this restore or of one just before only a person can tell."""
    operation = restored_over(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    by_wcp = world.vsphere.vcenter.call(NAMESPACE, "vm-1", ())
    world.vsphere.vcenter.set_task(by_wcp, ended, message=CLAIM_FAILED)
    for _ in range(3):
        world.polled(operation)
    assert calls(world) == ["vm-1"]


@pytest.mark.parametrize("succeeded", [True, False])
def test_an_end_that_vcenter_keeps_as_an_event_alone_is_not_repeated_unasked(world: World, *, succeeded: bool) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    event = RegisterEvent(succeeded=succeeded, message="" if succeeded else CLAIM_FAILED, at=world.clock.now())
    world.vsphere.vcenter.log_event("vm-1", event)
    for _ in range(3):
        world.polled(operation)
    assert calls(world) == []


@pytest.mark.parametrize("ended", [TaskState.SUCCEEDED, TaskState.FAILED])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_call_seen_elsewhere_is_not_repeated_when_vcenter_has_forgotten_it(
    world: World,
    ended: TaskState,
    *,
    in_place: bool,
) -> None:
    operation = restored_over(world) if in_place else lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    by_wcp = world.vsphere.vcenter.call(NAMESPACE, "vm-1", ())
    world.polled(operation)
    world.vsphere.vcenter.set_task(by_wcp, ended, message=CLAIM_FAILED if ended is TaskState.FAILED else "")
    world.polled(operation)
    world.vsphere.vcenter.forget(by_wcp)
    for _ in range(3):
        description = world.polled(operation).description
    assert calls(world) == ["vm-1"]
    assert ("RegisterPVCFailed" in description) is (ended is TaskState.FAILED)


def test_no_vm_is_called_for_beside_an_engine_that_cannot_be_asked() -> None:
    world = World(sources=["engine"], mode="trigger")
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.engine.calls.fail("observe", Unavailable("the engine is away"))
    assert "engine cannot be asked: the engine is away" in world.polled(operation).description
    assert calls(world) == []
    world.engine.calls.heal()
    world.polled(operation)
    assert calls(world) == ["vm-1"]


def test_an_engine_that_does_not_know_a_ready_vm_brings_no_call() -> None:
    world = World(sources=["engine"], mode="trigger")
    operation = lost(world, VM)
    world.vsphere.vcenter.restore(NAMESPACE, restored(moid="vm-web-1"))
    world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.ABSENT))
    assert world.polled(operation).description.startswith("waiting: web-1: absent | note: kubernetes says ready")
    assert calls(world) == []


def test_restarts_and_a_second_process_call_for_no_vm_twice(world: World) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    first, second = world.app, world.start()
    for _ in range(3):
        world.clock.advance(10)
        for app in (first, second, world.start()):
            world.app = app
            assert "RegisterVM" in world.poll(operation).description
    assert calls(world) == ["vm-1"]
    records = [
        config_map for config_map in world.cluster.list(CONFIG_MAP, "velero") if config_map.labels.get(RECORD_LABEL)
    ]
    assert len(records) == 1
    world.vsphere.vcenter.set_task(task(world), TaskState.SUCCEEDED)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))
    world.restart()
    assert world.finish([operation])[operation].error == ""
    assert calls(world) == ["vm-1"]


def test_two_processes_at_once_call_once(world: World) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    apps = [world.start() for _ in range(4)]

    def poll(number: int) -> None:
        apps[number].actions.restore["replay"].progress(operation, restore())

    for _ in range(3):
        world.clock.advance(10)
        with ThreadPoolExecutor(len(apps)) as pool:
            list(pool.map(poll, range(len(apps))))
    assert calls(world) == ["vm-1"]


def test_two_namespaces_are_called_for_each_in_its_own(world: World) -> None:
    world.cluster.seed(vsphere_namespace("lab"))
    in_lab = vm("web-1", labels=WEB, namespace="lab", spec={"instanceUUID": "in-lab"}, status={"biosUUID": "b-in-lab"})
    front = service("front", WEB)
    front = {**front, "metadata": {**front["metadata"], "namespace": "lab"}}
    items = world.back_up(VM, FRONT, in_lab, front)
    world.lose(VM, FRONT, in_lab, front)
    operations = world.replay_all(items)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.vsphere.vcenter.restore(
        "lab", restored("vm-2", namespace="lab", instance_uuid="in-lab", bios_uuid="b-in-lab")
    )
    for _ in range(3):
        polled = world.round(operations)
    assert sorted(calls(world)) == ["vm-1", "vm-2"]
    assert sorted("of vm-1" in progress.description for progress in polled.values()) == [False, True]
    world.vsphere.vcenter.set_task(task(world), TaskState.FAILED, message=CLAIM_FAILED)
    world.vsphere.vcenter.set_task(task(world, "vm-2"), TaskState.SUCCEEDED)
    world.cluster.seed(
        vm(
            "web-1",
            labels=WEB,
            namespace="lab",
            uid="new",
            spec={"instanceUUID": "in-lab"},
            status={"uniqueID": "vm-2", "biosUUID": "b-in-lab"},
        )
    )
    for _ in range(4):
        world.round(operations, **with_policy(registered_within="1h"))
        world.vm_operator("lab")
    world.clock.advance(HOUR)
    ended = [progress.error for progress in world.finish(operations, **with_policy(registered_within="1h")).values()]
    assert sorted(bool(error) for error in ended) == [False, True]
    assert CLAIM_FAILED in "".join(ended)
    assert world.created()[-1:] == ["VirtualMachineService lab/front"]


def test_a_failed_task_is_explained_and_final_until_a_person_acts(world: World) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.polled(operation)
    world.vsphere.vcenter.set_task(task(world), TaskState.FAILED, percent=80, message=f"SystemError: {CLAIM_FAILED}")
    for _ in range(3):
        world.restart()
        progress = world.polled(operation)
    assert progress.description.startswith(
        f"waiting: blocked: web-1: failed: RegisterVM (attempt 1, task task-1) failed: {CLAIM_FAILED}: a restored disk"
        " could not be registered as a PersistentVolumeClaim"
    )
    assert "It is not called again by itself" in progress.description
    assert calls(world) == ["vm-1"]
    world.clock.advance(HOUR)
    error = world.polled(operation, **with_policy(registered_within="1h")).error
    assert CLAIM_FAILED in error
    assert "see the errors of the CnsRegisterVolumes" in error


def test_a_vm_that_a_person_registers_after_a_failure_goes_on(world: World) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.polled(operation)
    world.vsphere.vcenter.set_task(task(world), TaskState.FAILED, message=CLAIM_FAILED)
    assert "blocked" in world.polled(operation).description
    world.clock.advance(1)
    by_hand = world.vsphere.vcenter.call(NAMESPACE, "vm-1", ())
    description = world.polled(operation).description
    if "vcenter" in world.settings.registration.sources:
        assert description.startswith(f"waiting: web-1: registering: RegisterVM task {by_hand} of vm-1")
    assert calls(world) == ["vm-1", "vm-1"]
    world.vsphere.vcenter.set_task(by_hand, TaskState.SUCCEEDED)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))
    assert world.finish([operation])[operation].error == ""


def failed(world: World, operation: str) -> None:
    """Have a call fail; the round after it tells."""
    world.polled(operation)
    world.vsphere.vcenter.set_task(task(world), TaskState.FAILED, message=CLAIM_FAILED)
    assert "blocked" in world.polled(operation).description


def call_by_hand(world: World) -> None:
    """Have a person put it right and call in the vSphere Client, to a good end."""
    world.clock.advance(1)
    world.vsphere.vcenter.set_task(world.vsphere.vcenter.call(NAMESPACE, "vm-1", ()), TaskState.SUCCEEDED)


def live_vm(uid: str = "new", **more: Any) -> dict[str, Any]:
    """Build the VirtualMachine that RegisterVM has made."""
    return vm("web-1", labels=WEB, uid=uid, status={"uniqueID": "vm-1"}, **more)


def test_a_call_by_hand_is_followed_though_only_kubernetes_shows_its_outcome(world: World) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    failed(world, operation)
    call_by_hand(world)
    world.cluster.seed(live_vm(claims=["disk"]), registration("disk"))
    assert world.polled(operation).description.startswith(
        "waiting: web-1: registering (register volumes): waits for PVC disk (its disk is being regist"
    )
    world.cluster.remove(ObjectRef(CNS_REGISTER_VOLUME, NAMESPACE, "register-disk"))
    world.cluster.seed(live_vm(created=False))
    for _ in range(2):
        description = world.polled(operation).description
        assert description.startswith("waiting: web-1: registered")
        assert "VM Operator has not reconciled it yet" in description
        world.restart()
    world.cluster.seed(live_vm())
    assert world.finish([operation])[operation].error == ""


@pytest.mark.parametrize("uid", ["new", "uid-of-web-1"], ids=["made by it", "of before the restore"])
def test_the_task_of_a_failed_call_is_no_call_by_hand(world: World, uid: str) -> None:
    """However often the process begins anew, and sees it for the first time."""
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.polled(operation)
    world.cluster.seed(live_vm(uid, created=False))
    failed(world, operation)
    for _ in range(3):
        world.clock.advance(HOUR)
        world.restart()
        assert world.polled(operation).description.startswith("waiting: blocked: web-1: failed: RegisterVM (attempt 1")


def test_a_record_that_does_not_tell_when_its_call_failed_is_believed_until_the_vm_is_ready(world: World) -> None:
    """As records of earlier versions do not."""
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    failed(world, operation)
    (record,) = [
        config_map for config_map in world.cluster.list(CONFIG_MAP, "velero") if config_map.labels.get(RECORD_LABEL)
    ]
    ref = ObjectRef(CONFIG_MAP, "velero", record.name)
    world.cluster.patch(ref, {"data": {"endedAt": None}}, version="v1")
    world.restart()
    world.cluster.seed(live_vm(created=False))
    assert world.polled(operation).description.startswith("waiting: blocked: web-1: failed: RegisterVM (attempt 1")
    call_by_hand(world)
    world.cluster.seed(live_vm())
    assert world.finish([operation])[operation].error == ""


@pytest.mark.parametrize("error", [Forbidden("denied"), Unavailable("away")], ids=["denied", "away"])
def test_records_that_cannot_be_read_for_a_round_hide_no_failure_and_no_call_is_made(
    world: World, error: Forbidden | Unavailable
) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    failed(world, operation)
    first = world.polled(operation).description
    world.cluster.calls.fail("list", error, on="ConfigMap velero")
    descriptions = {world.polled(operation).description for _ in range(5)}
    assert descriptions == {f"{first} | note: trigger cannot be asked: {error}"}
    world.cluster.calls.heal()
    assert world.polled(operation).description == first
    assert calls(world) == ["vm-1"]


@pytest.mark.parametrize("mode", ["trigger", "observe"])
def test_a_vcenter_that_is_away_hides_no_failure_of_another_vm(mode: str) -> None:
    world = World(mode="trigger")
    machines = [vm(f"web-{n}", labels=WEB) for n in (1, 2)]
    items = world.back_up(*machines, FRONT)
    world.lose(*machines, FRONT)
    (operation,) = world.replay_all(items)
    for n in (1, 2):
        world.vsphere.vcenter.restore(NAMESPACE, restored(f"vm-{n}", f"web-{n}"))
    world.polled(operation)
    world.vsphere.vcenter.set_task(task(world), TaskState.FAILED, message=CLAIM_FAILED)
    world.polled(operation)
    world.settings = world.settings.model_copy(
        update={"registration": world.settings.registration.model_copy(update={"mode": mode})}
    )
    world.restart()
    assert "blocked: web-1: failed" in world.polled(operation).description
    world.vsphere.vcenter.calls.fail("task", Unavailable("vCenter is away"))
    description = world.polled(operation).description
    assert "blocked: web-1: failed: RegisterVM (attempt 1, task task-1) failed" in description
    assert "trigger cannot be asked: vCenter is away" in description


def test_a_task_that_fails_over_a_paused_vm_is_followed(world: World) -> None:
    """A restore to existing: RegisterVM pauses the VirtualMachine while it works, and leaves it so when it fails."""
    operation = lost(world, VM)
    live = {"uniqueID": "vm-old", "conditions": [condition("VirtualMachineCreated")]}
    behind = condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused")
    world.cluster.seed(vm("web-1", labels=WEB, status={**live, "conditions": [*live["conditions"], behind]}))
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.polled(operation)
    world.cluster.seed(
        vm("web-1", labels=WEB, meta={"annotations": {"vmoperator.vmware.com/paused": "true"}}, status=live)
    )
    world.vsphere.vcenter.set_task(task(world), TaskState.RUNNING, percent=80)
    assert "registering (80 %, register volumes)" in world.polled(operation).description
    world.vsphere.vcenter.set_task(task(world), TaskState.FAILED, message=CLAIM_FAILED)
    assert CLAIM_FAILED in world.polled(operation).description
    assert calls(world) == ["vm-1"]


def test_a_vcenter_that_hangs_costs_one_wait_and_its_call_is_made_later(world: World) -> None:
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())

    def hang(_: str) -> None:
        world.clock.advance(15)
        raise Unavailable("vCenter did not answer in time")

    world.vsphere.vcenter.calls.before("look", hang)
    for _ in range(3):
        before = world.clock.monotonic()
        world.clock.advance(10)
        assert "vCenter did not answer in time" in world.poll(operation).description
        assert world.clock.monotonic() - before <= 10 + 15
    world.vsphere.vcenter.calls.heal()
    for _ in range(4):
        world.polled(operation)
    assert calls(world) == ["vm-1"]


def test_a_round_looks_into_vcenter_once_and_lists_the_vms_once(world: World) -> None:
    """As a source, before a call and to follow it: one look, and the task is in it where vCenter is a source.

    The one question beside it is the last one before the call.
    """
    operation = lost(world)
    as_source = "vcenter" in world.settings.registration.sources
    asked_for = world.vsphere.vcenter.calls
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    rounds = []
    for _ in range(3):
        for calls_of in (world.cluster.calls, asked_for):
            calls_of.made.clear()
        world.clock.advance(10)
        world.poll(operation)
        rounds.append({method: asked_for.counts[method] for method in ("look", "call", "task", "latest")})
        assert world.cluster.calls.made.count(("list", "VirtualMachine shop")) == 1
        assert world.cluster.calls.made.count(("get", "Namespace shop")) == 1
    following = {"look": int(as_source), "call": 0, "task": int(not as_source), "latest": 0}
    assert rounds == [{"look": 1, "call": 1, "task": 0, "latest": 1}, following, following]


def test_a_vcenter_that_hangs_as_a_source_is_not_waited_for_again_before_a_call() -> None:
    world = World(sources=["vcenter"], mode="trigger")
    operation = lost(world)
    looks = []

    def hang(_: str) -> None:
        looks.append(world.clock.monotonic())
        world.clock.advance(15)
        raise Unavailable("vCenter did not answer in time", hint="see its log")

    world.vsphere.vcenter.calls.before("look", hang)
    descriptions = [world.polled(operation).description for _ in range(6)]
    assert len(looks) == 2  # in the first round and, after half a minute, in the fourth
    passed_over = ["the others took too long" in description for description in descriptions]
    assert passed_over == [True, False, False, True, False, False]  # of these the time was over
    away = [
        "trigger cannot be asked: vCenter did not answer in time: see its log" in description
        for description in descriptions
    ]
    assert away == [not passed for passed in passed_over]
    world.vsphere.vcenter.calls.heal()
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.clock.advance(30)
    assert "registering" in world.polled(operation).description


def test_a_vcenter_that_is_away_for_ten_minutes_costs_the_restore_nothing(world: World) -> None:
    vcenter, away = world.vsphere.vcenter, Unavailable("vCenter is away", hint="it is asked again")

    def ten_minutes() -> None:
        for method in ("look", "call", "task", "latest"):
            vcenter.calls.fail(method, away)
        for _ in range(60):
            progress = world.polled(operation)
            assert not progress.completed
            assert "vCenter is away: it is asked again" in progress.description
            assert progress.description.isprintable()
            assert len(progress.description) < 500
        vcenter.calls.heal()

    operation = lost(world)
    vcenter.restore(NAMESPACE, restored())
    ten_minutes()
    assert calls(world) == []
    world.polled(operation)
    assert calls(world) == ["vm-1"]
    ten_minutes()
    vcenter.set_task(task(world), TaskState.SUCCEEDED)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))
    assert world.finish([operation])[operation].error == ""
    assert calls(world) == ["vm-1"]


def test_calls_that_hang_are_spread_over_rounds(world: World) -> None:
    machines = [vm(f"web-{n}", labels=WEB) for n in range(5)]
    items = world.back_up(*machines, FRONT)
    world.lose(*machines, FRONT)
    (operation,) = world.replay_all(items)
    for n in range(5):
        world.vsphere.vcenter.restore(NAMESPACE, restored(f"vm-{n}", f"web-{n}"))

    def hang(_: str) -> None:
        world.clock.advance(5)
        raise NotSent("vCenter cannot be reached")

    world.vsphere.vcenter.calls.before("call", hang)
    for _ in range(3):
        before = world.clock.monotonic()
        world.polled(operation)
        assert world.clock.monotonic() - before <= 10 + 2 * 5
    world.vsphere.vcenter.calls.heal()
    for _ in range(3):
        world.polled(operation)
    assert sorted(set(calls(world))) == [f"vm-{n}" for n in range(5)]
    assert all(len(world.vsphere.vcenter.tasks_of(f"vm-{n}")) == 1 for n in range(5))


# What one restore chooses for itself.


def test_a_restore_calls_by_its_annotation_where_the_settings_only_observe() -> None:
    world = vpc_world(mode="observe")
    chosen = with_policy(registration="trigger", network_override="prod-a=dr-a")
    (operation,) = world.replay_all(lost_items(world), **chosen)
    world.vsphere.vcenter.restore(NAMESPACE, on_prod_a())

    assert "RegisterVM task task-1 of vm-1" in world.polled(operation, **chosen).description
    assert calls(world) == ["vm-1"]
    assert world.vsphere.vcenter.overrides == {"vm-1": (PROD_TO_DR,)}
    world.restart()
    world.vsphere.vcenter.set_task(task(world), TaskState.SUCCEEDED)
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"}))
    assert world.finish([operation], **chosen)[operation].error == ""
    assert calls(world) == ["vm-1"]
    policy = world.document("restores/again/20260301T120000Z/report.json")["policy"]
    assert policy["registration"] == "trigger"
    assert policy["network-override"] == "subnet/prod-a=subnet/dr-a"


def test_a_restore_that_only_observes_calls_nothing_though_the_settings_would(world: World) -> None:
    chosen = with_policy(registration="observe")
    (operation,) = world.replay_all(lost_items(world), **chosen)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.polled(operation, **chosen)
    assert calls(world) == []


def test_an_override_that_the_namespace_does_not_take_is_refused_and_nothing_is_called() -> None:
    world = vpc_world(mode="observe")
    world.cluster.remove(ObjectRef(SUBNET_SET, NAMESPACE, "vm-default"))
    chosen = with_policy(registration="trigger", network_override="prod-a=dr-a")
    (operation,) = world.replay_all(lost_items(world), **chosen)
    world.vsphere.vcenter.restore(NAMESPACE, on_prod_a())

    assert (
        "RegisterVM is not called: the restore maps subnets, and RegisterVM does so in an NSX-VPC only; the namespace"
        " has none: with VDS or pre-VPC NSX networking leave the restore's network-override out"
    ) in world.polled(operation, **chosen).description
    assert calls(world) == []


def test_a_mapping_that_fits_no_interface_is_noted_with_what_the_vm_is_on() -> None:
    world = vpc_world(mode="observe")
    chosen = with_policy(registration="trigger", network_override="prod-aa=dr-a")
    (operation,) = world.replay_all(lost_items(world), **chosen)
    world.vsphere.vcenter.restore(NAMESPACE, on_prod_a())
    assert (
        "the restore's network-override maps Subnet prod-aa, and none of its interfaces is there (it has: eth0 on"
        " Subnet prod-a)"
    ) in world.polled(operation, **chosen).description


def test_a_restore_that_asks_for_calls_without_a_vcenter_is_refused_at_once() -> None:
    world = World()
    items = lost_items(world)
    world.app = world.start(vcenter=False)
    with pytest.raises(InvalidSettings, match=r"asks for RegisterVM \(registration=trigger\), and no vCenter is set"):
        world.replay_all(items, **with_policy(registration="trigger"))


PROD_TO_DR = SubnetMapping(current=Subnet(type="SUBNET", name="prod-a"), new=Subnet(type="SUBNET", name="dr-a"))


def vpc_world(*, mode: str) -> World:
    world = World(mode=mode)
    world.cluster.serve(SUBNET_SET, "v1alpha1")
    world.cluster.seed(obj("SubnetSet", "vm-default", api="crd.nsx.vmware.com/v1alpha1"))
    return world


def on_prod_a() -> VsphereVm:
    return restored(record=Record(interfaces={"eth0": PROD_TO_DR.current}))


def lost_items(world: World) -> list[dict[str, Any]]:
    items = world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    return items
