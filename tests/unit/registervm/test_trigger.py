"""RegisterVM on request: never two calls for one VM, whichever process dies or races."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.clock import SettableClock
from tests.fakes.cluster import MemoryCluster
from tests.fakes.vcenter import MemoryVCenter
from tests.unit.builders import NAMESPACE, Json, m, obj, vm, vsphere_namespace
from tests.unit.restored_vms import restored as machine
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, InvalidItem, NotSent, Rejected, Unavailable
from velero_vmservice.kube.manifest import CONFIG_MAP, SUBNET_SET, Kind, Manifest, ObjectRef
from velero_vmservice.registervm.attempt import RECORD_LABEL, RESTORE_LABEL, ForRestore, read_attempt, record_name
from velero_vmservice.registervm.attempt_store import Attempts
from velero_vmservice.registervm.policy import TriggerPolicy
from velero_vmservice.registervm.tracker import AttemptTracker
from velero_vmservice.registervm.trigger import Trigger
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.registration.sources import Look, VsphereLook, VsphereLooks
from velero_vmservice.supervisor import observe
from velero_vmservice.supervisor.observe import SupervisorViews
from velero_vmservice.vmoperator import virtual_machine
from velero_vmservice.vmoperator.marks import BACKUP_VERSION_ANNOTATION
from velero_vmservice.vmoperator.releases import Generation, SupervisorRelease
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.network_override import SubnetMapping
from velero_vmservice.vsphere.record import Record
from velero_vmservice.vsphere.vm import SupervisorView, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESTORE = ForRestore(uid="uid-of-again", name="again")
OTHER = ForRestore(uid="uid-of-other", name="other")
WEB = ExpectedVm(name="web-1", instance_uuid="instance-of-web-1", bios_uuid="bios-of-web-1")
MOID = "vm-1"
PAST_FIVE_MINUTES = 301
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"


class KilledError(BaseException):
    """The process ends here, whatever it meant to do next."""


class Scene:
    """A vCenter, a cluster, and processes that come and go."""

    def __init__(self, *, generation: Generation = Generation.VCF_9, **policy: Any) -> None:
        self.clock = SettableClock()
        self.cluster = MemoryCluster(clock=self.clock, namespaces=["velero"])
        self.cluster.seed(vsphere_namespace())
        self.vcenter = MemoryVCenter(clock=self.clock)
        self.vcenter.restore(NAMESPACE, machine())
        self.generation = generation
        self.policy = TriggerPolicy(mode=policy.pop("mode", "trigger"), **policy)
        self._processes = 0
        self.trigger = self.process()

    def process(self) -> Trigger:
        """Start a process that remembers nothing."""
        self._processes += 1
        release = SupervisorRelease(generation=self.generation, evidence="")
        views = SupervisorViews(cluster=self.cluster, generation=lambda: release)
        attempts = Attempts(cluster=self.cluster, clock=self.clock, velero_namespace="velero")
        self.tracker = AttemptTracker(
            cluster=self.cluster,
            clock=self.clock,
            attempts=attempts,
            register=self.vcenter,
            holder=f"process-{self._processes}",
        )
        return Trigger(
            clock=self.clock,
            tracker=self.tracker,
            attempts=attempts,
            looks=VsphereLooks(inventory=self.vcenter, supervisor=views.look),
            supervisor=views,
            policy=self.policy,
        )

    def restart(self) -> None:
        self.trigger = self.process()

    def round(self, trigger: Trigger | None = None, restore: ForRestore = RESTORE) -> Registration:
        return (trigger or self.trigger).advance(restore, NAMESPACE, [WEB])[WEB.name]

    @property
    def calls(self) -> int:
        """How often RegisterVM took effect, or may have."""
        return self.vcenter.calls.counts["call"]

    def restore_many(self, count: int, **known: Any) -> list[ExpectedVm]:
        """Restore databases beside the VM of the scene, with ids from vm-100 on."""
        for number in range(count):
            self.vcenter.restore(NAMESPACE, machine(f"vm-{100 + number}", f"db-{number}", **known))
        return [ExpectedVm(name=f"db-{n}", instance_uuid=f"instance-of-db-{n}") for n in range(count)]

    def again(self) -> Registration:
        """Ask for another call by command."""
        return self.trigger.again(RESTORE, NAMESPACE, WEB)

    def round_without_vcenter(self) -> Registration:
        """Make one round whose call certainly does not reach vCenter."""
        self.vcenter.calls.fail("call", NotSent("vCenter cannot be reached"), times=1)
        return self.round()

    def die_before(self, moment: str) -> None:
        """Let the process die in a round, and begin another."""

        def kill(_: str) -> None:
            raise KilledError

        self.vcenter.calls.before(moment, kill)
        with pytest.raises(KilledError):
            self.round()
        self.vcenter.calls.heal()
        self.restart()

    def records(self) -> Sequence[Manifest]:
        return [
            config_map for config_map in self.cluster.list(CONFIG_MAP, "velero") if config_map.labels.get(RECORD_LABEL)
        ]

    def task(self) -> str:
        (task,) = self.vcenter.tasks_of(MOID)
        return task

    def set_task(self, state: TaskState, **known: Any) -> None:
        self.vcenter.set_task(self.task(), state, **known)

    def fail(self) -> None:
        self.set_task(TaskState.FAILED, message=CLAIM_FAILED)

    def forget(self) -> None:
        """Let vCenter forget the task, as it does after some minutes."""
        self.vcenter.forget(self.task())


@pytest.fixture(name="scene")
def _scene() -> Scene:
    return Scene()


def test_nothing_is_called_unless_the_settings_ask_for_it() -> None:
    scene = Scene(**TriggerPolicy().model_dump())
    assert not scene.trigger.calls_for(RESTORE)
    assert scene.trigger.advance(RESTORE, NAMESPACE, [WEB]) == {}
    assert (scene.calls, scene.records()) == (0, [])


@pytest.mark.parametrize(("mode", "own"), [("observe", True), ("trigger", False)])
def test_a_restore_chooses_for_itself_whether_registervm_is_called(mode: str, own: bool) -> None:  # noqa: FBT001
    scene = Scene(mode=mode)
    scene.trigger.advance(replace(RESTORE, calls=own), NAMESPACE, [WEB])
    assert scene.calls == int(own)


def test_a_vm_is_called_for_once_and_followed_to_its_end(scene: Scene) -> None:
    assert scene.round().state is State.REGISTERING
    scene.set_task(TaskState.RUNNING, percent=80)
    running = scene.round()
    assert str(running) == "registering (80 %, register volumes): RegisterVM task task-1 of vm-1 runs"
    scene.set_task(TaskState.SUCCEEDED)
    ended = [scene.round() for _ in range(3)]

    assert {registration.state for registration in ended} == {State.REGISTERED}
    assert not any(registration.certain for registration in ended)
    assert scene.calls == 1


def test_the_record_stands_before_the_call(scene: Scene) -> None:
    counts: list[int] = []
    scene.vcenter.calls.before("call", lambda _: counts.append(len(scene.records())))
    scene.round()

    assert counts == [1]
    (record,) = scene.records()
    assert record.name == record_name(RESTORE.uid, NAMESPACE, "web-1", 1)
    assert record.content["data"] | {"holder": "", "recordedAt": ""} == {
        "restore": "again",
        "restoreUID": "uid-of-again",
        "namespace": NAMESPACE,
        "vm": "web-1",
        "moid": MOID,
        "attempt": "1",
        "holder": "",
        "recordedAt": "",
        "network": "{}",
        "taskBefore": "",
        "task": "task-1",
    }


def test_no_record_no_call(scene: Scene) -> None:
    scene.cluster.calls.fail("create", Unavailable("the API server is away"))
    with pytest.raises(Unavailable):
        scene.round()
    assert scene.calls == 0
    scene.cluster.calls.heal()
    assert scene.round().state is State.REGISTERING
    assert scene.calls == 1


def test_a_record_whose_creation_was_not_answered_is_called_for_by_its_own_process(scene: Scene) -> None:
    create = scene.cluster.create

    def create_without_answer(manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        create(manifest, dry_run=dry_run)
        raise Unavailable("no answer")

    scene.cluster.create = create_without_answer  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        scene.round()
    scene.cluster.create = create  # type: ignore[method-assign]
    assert scene.calls == 0
    assert [scene.round().state for _ in range(3)] == [State.REGISTERING] * 3
    assert scene.calls == 1


def test_a_process_killed_between_recording_and_calling_is_not_called_for_again(scene: Scene) -> None:
    scene.die_before("call")
    waiting = scene.round()
    scene.clock.advance(PAST_FIVE_MINUTES)
    lost = scene.round()

    assert (waiting.state, waiting.can_wait) == (State.REGISTERING, True)
    assert (lost.state, lost.can_wait) == (State.FAILED, False)
    assert "whether it was is unknown, and vCenter has no task of it" in lost.reason
    assert "It is not called again by itself" in lost.reason
    assert scene.vcenter.tasks_of(MOID) == ()

    assert scene.again().state is State.REGISTERING
    assert len(scene.vcenter.tasks_of(MOID)) == 1
    assert [record.content["data"]["attempt"] for record in scene.records()] == ["1", "2"]


def test_a_process_killed_between_calling_and_answering_is_followed_by_the_next(scene: Scene) -> None:
    scene.die_before("answer")
    registration = scene.round()
    scene.set_task(TaskState.SUCCEEDED)

    assert registration.reason == "RegisterVM task task-1 of vm-1 runs"
    assert scene.round().state is State.REGISTERED
    assert scene.calls == 1


def test_a_call_without_an_answer_is_looked_for_and_never_repeated(scene: Scene) -> None:
    scene.vcenter.calls.fail("answer", Unavailable("vCenter did not answer in time"), times=1)
    first = scene.round()
    second = scene.round()

    assert first.reason.startswith("RegisterVM was called for vm-1 without an answer; looking for its task")
    assert second.reason == "RegisterVM task task-1 of vm-1 runs"
    assert scene.calls == 1


def test_a_call_without_an_answer_is_not_repeated_while_vcenter_shows_no_task_of_it(scene: Scene) -> None:
    """vCenter may have understood the call and may still queue it."""
    scene.vcenter.calls.fail("call", Unavailable("vCenter did not answer in time"))
    states = [scene.round().state for _ in range(3)]
    scene.clock.advance(PAST_FIVE_MINUTES)

    assert states == [State.REGISTERING] * 3
    assert (scene.round().state, scene.calls) == (State.FAILED, 1)


def test_a_call_that_never_reached_vcenter_is_made_once_it_is_back(scene: Scene) -> None:
    scene.vcenter.calls.fail("call", NotSent("vCenter cannot be reached"))
    for _ in range(3):
        away = scene.round()
        scene.clock.advance(200)
    scene.vcenter.calls.heal()
    back = scene.round()

    assert (away.state, away.can_wait) == (State.RESTORED, True)
    assert back.state is State.REGISTERING
    assert len(scene.vcenter.tasks_of(MOID)) == 1
    assert len(scene.records()) == 1


@pytest.mark.parametrize("moment", ["latest", "patch", "call", "answer"])
def test_a_command_and_the_process_that_still_has_to_call_make_one_call(scene: Scene, moment: str) -> None:
    """After five minutes a command may give up what did not reach vCenter; the second at that does not call."""
    command, answers = scene.process(), list[Registration | InvalidItem]()
    scene.round_without_vcenter()
    scene.clock.advance(PAST_FIVE_MINUTES)

    def race(_: str) -> None:
        scene.vcenter.calls.heal()
        scene.cluster.calls.heal()
        try:
            answers.append(command.again(RESTORE, NAMESPACE, WEB))
        except InvalidItem as error:
            answers.append(error)

    (scene.cluster if moment == "patch" else scene.vcenter).calls.before(moment, race)
    ours = scene.round()

    assert ours.state is State.REGISTERING
    assert len(answers) == 1
    assert isinstance(answers[0], InvalidItem) == (moment in {"call", "answer"})
    assert scene.round().reason == "RegisterVM task task-1 of vm-1 runs"
    assert scene.vcenter.tasks_of(MOID) == ("task-1",)


def test_a_command_gives_up_no_attempt_that_its_process_goes_on_with(scene: Scene) -> None:
    command = scene.process()
    scene.round_without_vcenter()
    scene.clock.advance(PAST_FIVE_MINUTES)

    def race(_: str) -> None:
        scene.cluster.calls.heal()
        scene.round()

    scene.cluster.calls.before("patch", race)
    with pytest.raises(InvalidItem, match="attempt 1 was resumed just now: wait for its end"):
        command.again(RESTORE, NAMESPACE, WEB)
    assert len(scene.records()) == 1
    assert scene.vcenter.tasks_of(MOID) == ("task-1",)


def test_an_attempt_that_its_process_keeps_trying_is_open(scene: Scene) -> None:
    scene.vcenter.calls.fail("call", NotSent("vCenter cannot be reached"))
    for _ in range(3):
        scene.round()
        scene.clock.advance(200)
    with pytest.raises(InvalidItem, match="attempt 1 is registering"):
        scene.process().again(RESTORE, NAMESPACE, WEB)
    scene.clock.advance(200)
    scene.vcenter.calls.heal()
    assert scene.process().again(RESTORE, NAMESPACE, WEB).state is State.REGISTERING
    assert [record.content["data"].get("outcome") for record in scene.records()] == ["failed", None]


def test_a_registration_begun_elsewhere_is_followed_and_not_repeated(scene: Scene) -> None:
    scene.round_without_vcenter()
    scene.vcenter.call(NAMESPACE, MOID, ())  # automatic registration
    registration = scene.round()

    assert registration.reason == "RegisterVM task task-1 of vm-1 runs"
    assert len(scene.vcenter.tasks_of(MOID)) == 1


def looked(scene: Scene) -> Look:
    """Return what a round has seen before it comes to call."""
    supervisor = SupervisorView(generation=Generation.VCF_9, machines={})
    return Look(vsphere=VsphereLook(supervisor=supervisor, machines=scene.vcenter.look(NAMESPACE, [WEB])))


@pytest.mark.parametrize("ended", [None, TaskState.SUCCEEDED, TaskState.FAILED])
@pytest.mark.parametrize("who", ["another caller", "another restore"])
def test_a_call_made_after_the_look_that_ours_rests_on_is_followed(
    scene: Scene, who: str, ended: TaskState | None
) -> None:
    before = looked(scene)
    scene.clock.advance(40)
    if who == "another restore":
        scene.round(restore=OTHER)
    else:
        scene.vcenter.call(NAMESPACE, MOID, ())
    if ended is not None:
        scene.set_task(ended, message=CLAIM_FAILED)
    scene.clock.advance(10)
    registration = scene.trigger.advance(RESTORE, NAMESPACE, [WEB], before)[WEB.name]

    states = {None: State.REGISTERING, TaskState.SUCCEEDED: State.REGISTERED, TaskState.FAILED: State.FAILED}
    assert registration.state is states[ended]
    assert scene.task() in registration.reason
    assert scene.round().state is states[ended]


def test_a_call_made_before_ours_could_be_sent_is_followed(scene: Scene) -> None:
    before = looked(scene)
    scene.clock.advance(40)
    scene.vcenter.call(NAMESPACE, MOID, ())
    scene.clock.advance(10)
    scene.vcenter.calls.fail("latest", Unavailable("vCenter is away"), times=1)
    away = scene.trigger.advance(RESTORE, NAMESPACE, [WEB], before)[WEB.name]

    assert (away.state, away.can_wait) == (State.RESTORED, True)
    assert "RegisterVM is still to be called for vm-1: vCenter is away" in away.reason
    assert scene.round().reason == "RegisterVM task task-1 of vm-1 runs"
    assert len(scene.vcenter.tasks_of(MOID)) == 1


def test_two_restores_of_one_vm_at_once_make_one_call(scene: Scene) -> None:
    registrations = list[Registration]()

    def race(_: str) -> None:
        scene.vcenter.calls.heal()
        registrations.append(scene.round(restore=OTHER))

    scene.vcenter.calls.before("call", race)
    registrations.append(scene.round())
    assert [registration.reason for registration in registrations] == [
        "RegisterVM is being called for vm-1",
        "RegisterVM task task-1 of vm-1 runs",
    ]
    other = scene.round(restore=OTHER)
    assert other.reason == "RegisterVM task task-1 of vm-1 runs"
    assert len(scene.vcenter.tasks_of(MOID)) == 1


def test_two_processes_at_once_make_one_call(scene: Scene) -> None:
    both = [scene.process(), scene.process()]
    barrier = threading.Barrier(2)
    scene.vcenter.calls.before("look", lambda _: barrier.wait(10) and None)
    with ThreadPoolExecutor(2) as pool:
        first = list(pool.map(scene.round, both))
    scene.vcenter.calls.heal()
    later = [scene.round(restore) for restore in both]

    assert {registration.state for registration in (*first, *later)} == {State.REGISTERING}
    assert {registration.reason for registration in later} == {"RegisterVM task task-1 of vm-1 runs"}
    assert (scene.calls, len(scene.records())) == (1, 1)


def test_threads_of_one_process_make_one_call(scene: Scene) -> None:
    with ThreadPoolExecutor(8) as pool:
        registrations = list(pool.map(lambda _: scene.round(), range(16)))
    assert {registration.state for registration in registrations} == {State.REGISTERING}
    assert (scene.calls, len(scene.records())) == (1, 1)


def test_another_restore_is_another_attempt(scene: Scene) -> None:
    later = ForRestore(uid="uid-of-later", name="later")
    scene.round()
    scene.set_task(TaskState.SUCCEEDED)
    assert "has succeeded already" in scene.round(restore=later).reason
    scene.forget()
    assert scene.round(restore=later).state is State.REGISTERING
    assert scene.calls == 2


def test_an_automatic_registration_that_failed_is_not_repeated_unasked(scene: Scene) -> None:
    task = scene.vcenter.call(NAMESPACE, MOID, ())
    at_work = scene.round()
    scene.vcenter.set_task(task, TaskState.FAILED, message=CLAIM_FAILED)
    over = scene.round()

    assert (at_work.state, at_work.can_wait) == (State.REGISTERING, True)
    assert (over.state, over.code, over.can_wait) == (State.FAILED, CLAIM_FAILED, False)
    assert scene.records() == []
    assert scene.again().state is State.REGISTERING


@pytest.mark.parametrize("by_hand", [False, True], ids=["in a restore", "by command"])
def test_a_task_at_work_on_a_restore_to_existing_is_left_to_end(scene: Scene, by_hand: bool) -> None:  # noqa: FBT001
    """The VirtualMachine has gone on since the backup, as in every restore in place."""
    scene.cluster.seed(
        vm(
            "web-1",
            meta={"annotations": {"vmoperator.vmware.com/paused": "true", BACKUP_VERSION_ANNOTATION: "2000"}},
            status={"uniqueID": "vm-old"},
        )
    )
    task = scene.vcenter.call(NAMESPACE, MOID, ())
    registration = scene.again() if by_hand else scene.round()

    assert (registration.state, registration.can_wait) == (State.REGISTERING, True)
    assert f"RegisterVM task {task} of vm-1 is at work already" in registration.reason
    assert (scene.vcenter.tasks_of(MOID), scene.records()) == ((task,), [])


def test_a_vm_that_is_registered_already_is_done(scene: Scene) -> None:
    scene.vcenter.registered.add(MOID)
    registrations = [scene.round(), scene.round()]

    assert {registration.state for registration in registrations} == {State.REGISTERED}
    assert "AlreadyInDesiredState" in registrations[0].reason
    assert scene.calls == 1


@pytest.mark.parametrize(
    ("error", "excerpt"),
    [
        (Forbidden("vCenter denies it", hint="give the account Namespaces.Configure"), "Namespaces.Configure"),
        (Rejected(f"RegisterVM: {CLAIM_FAILED}"), "CnsRegisterVolumes"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refused_call_is_final_and_explained(scene: Scene, error: Exception, excerpt: str) -> None:
    scene.vcenter.calls.fail("call", error, times=1)
    registrations = [scene.round(), scene.round()]
    scene.restart()
    registrations.append(scene.round())

    assert {(registration.state, registration.can_wait) for registration in registrations} == {(State.FAILED, False)}
    assert all(excerpt in registration.reason for registration in registrations)
    assert scene.calls == 1


def test_a_failed_task_is_final_and_only_a_command_tries_again(scene: Scene) -> None:
    scene.round()
    scene.set_task(TaskState.FAILED, percent=80, message=f"SystemError: {CLAIM_FAILED}: no disk")
    registrations = [scene.round(), scene.round()]
    scene.forget()
    scene.restart()
    registrations.append(scene.round())

    assert {(registration.state, registration.code, registration.can_wait) for registration in registrations} == {
        (State.FAILED, CLAIM_FAILED, False)
    }
    assert "a restored disk could not be registered" in registrations[0].reason
    assert scene.calls == 1

    assert scene.again().state is State.REGISTERING
    assert scene.calls == 2
    with pytest.raises(InvalidItem, match="attempt 2 is registering"):
        scene.again()
    assert scene.calls == 2
    scene.restart()
    assert scene.round().state is State.REGISTERING
    assert scene.calls == 2


def test_a_task_that_never_ends_is_reported_and_waited_for(scene: Scene) -> None:
    scene.round()
    scene.set_task(TaskState.RUNNING, percent=80)
    scene.clock.advance(PAST_FIVE_MINUTES)
    late = scene.round()

    assert (late.state, late.can_wait) == (State.REGISTERING, True)
    assert late.reason == (
        "RegisterVM task task-1 of vm-1 runs for more than the 5 minutes that it gets (guide 12.2), at 80 % (register"
        " volumes): look at the CnsRegisterVolumes of the namespace, the datastore, the disk files and CNS (guide"
        " 11.3); it cannot be cancelled: see it in vCenter"
    )
    scene.set_task(TaskState.SUCCEEDED)
    assert scene.round().state is State.REGISTERED


def test_a_task_that_vcenter_forgot_is_given_up_after_its_time(scene: Scene) -> None:
    scene.round()
    scene.forget()
    early = scene.round()
    scene.clock.advance(PAST_FIVE_MINUTES)
    late = scene.round()

    assert (early.state, early.can_wait) == (State.REGISTERING, True)
    assert (late.state, late.can_wait) == (State.FAILED, False)
    assert "does not know RegisterVM task task-1 of vm-1 any more" in late.reason
    assert scene.calls == 1


@pytest.mark.parametrize("percent", [-7, 4000, None])
def test_nonsense_in_a_task_is_shown_within_its_bounds(scene: Scene, percent: int | None) -> None:
    scene.round()
    scene.set_task(TaskState.RUNNING, percent=percent)
    assert scene.round().percent in (None, 0, 100)
    scene.set_task(TaskState.FAILED, message="\x1b[31m" + "boom\n" * 100_000)
    registration = scene.round()
    assert registration.state is State.FAILED
    assert len(registration.reason) < 1000
    assert registration.reason.isprintable()


def test_no_process_calls_on_a_damaged_record(scene: Scene) -> None:
    name = record_name(RESTORE.uid, NAMESPACE, "web-1", 1)
    scene.cluster.seed(obj("ConfigMap", name, api="v1", namespace="velero", data={"moid": "?"}))
    registration = scene.round()

    assert (registration.state, registration.can_wait, scene.calls) == (State.FAILED, False, 0)
    assert "check the VM's tasks in vCenter" in registration.reason


@pytest.mark.parametrize("spoilt", [{RECORD_LABEL: None}, {RESTORE_LABEL: "other"}, {RESTORE_LABEL: None}], ids=str)
def test_no_process_calls_on_a_record_whose_labels_were_changed(scene: Scene, spoilt: dict[str, str | None]) -> None:
    """It is not found by them any more, and its name is taken all the same."""
    scene.round()
    scene.fail()
    scene.forget()
    (record,) = scene.records()
    scene.cluster.patch(ObjectRef(CONFIG_MAP, "velero", record.name), {"metadata": {"labels": spoilt}}, version="v1")
    scene.restart()
    registrations = [scene.round(), scene.again(), scene.round()]

    assert {(registration.state, registration.can_wait) for registration in registrations} == {(State.FAILED, False)}
    assert all(
        "or its labels were changed: whether RegisterVM was called is unknown" in registration.reason
        for registration in registrations
    )
    assert scene.calls == 1


def test_only_the_restores_own_records_are_read_in_veleros_namespace(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.cluster.seed(*[obj("ConfigMap", f"another-{n}", api="v1", namespace="velero") for n in range(20)])
    scene.round()
    scene.set_task(TaskState.SUCCEEDED)
    scene.forget()
    scene.round(restore=OTHER)
    read, read_all = list[str](), scene.cluster.read_all

    def watched(kind: Kind, namespace: str, reader: Callable[[Manifest], Any], **chosen: Any) -> Sequence[Any]:
        def noted(manifest: Manifest) -> Any:
            read.append(manifest.name)
            return reader(manifest)

        return read_all(kind, namespace, noted, **chosen)

    monkeypatch.setattr(scene.cluster, "read_all", watched)
    scene.round()
    assert len(scene.records()) == 2
    assert read == [record_name(RESTORE.uid, NAMESPACE, "web-1", 1)]


def test_two_restores_with_equal_labels_keep_their_own_records(scene: Scene) -> None:
    """A label holds 63 characters of a UID; the record holds all."""
    first, other = (ForRestore(uid=f"{'u' * 63}{end}", name=end) for end in "ab")
    scene.round(restore=first)
    scene.fail()
    assert scene.round(restore=first).state is State.FAILED
    scene.forget()
    assert scene.round(restore=other).state is State.REGISTERING


def test_an_update_of_the_record_that_fails_repeats_nothing(scene: Scene) -> None:
    scene.cluster.calls.fail("patch", Unavailable("the API server is away"))
    assert scene.round().state is State.REGISTERING
    scene.set_task(TaskState.SUCCEEDED)
    assert scene.round().state is State.REGISTERED
    scene.cluster.calls.heal()
    scene.round()

    assert scene.calls == 1
    assert scene.records()[0].content["data"]["outcome"] == "succeeded"


@pytest.mark.parametrize("answer", [None, Rejected(f"RegisterVM: {CLAIM_FAILED}")], ids=["a task", "refused"])
def test_a_process_keeps_nothing_of_calls_that_their_records_tell_of(scene: Scene, answer: Exception | None) -> None:
    many = scene.restore_many(20)
    if answer is not None:
        scene.vcenter.calls.fail("call", answer)
    for _ in range(2):
        scene.trigger.advance(RESTORE, NAMESPACE, many)

    assert scene.calls == 20
    calls = {*(record.name for record in scene.records()), *(f"vm-{100 + n}" for n in range(20))}
    of_both = [*vars(scene.trigger).values(), *vars(scene.tracker).values()]
    kept = [name for many in of_both if isinstance(many, set | list | MutableMapping) for name in many if name in calls]
    assert (len(calls), kept) == (40, [])


def test_no_record_is_ever_deleted_or_made_twice_under_one_name(scene: Scene) -> None:
    scene.round()
    scene.fail()
    scene.round()
    scene.again()
    assert [record.name[-2:] for record in scene.records()] == ["-1", "-2"]


# Network override.

MAPPINGS = (
    SubnetMapping(current=Subnet(type="SUBNET", name="prod-a"), new=Subnet(type="SUBNET", name="dr-a")),
    SubnetMapping(current=Subnet(type="SUBNETSET"), new=Subnet(type="SUBNETSET", name="dr-default")),
)


def nic(name: str, kind: str, subnet: str) -> Json:
    return {"name": name, "network": {"apiVersion": "crd.nsx.vmware.com/v1alpha1", "kind": kind, "name": subnet}}


def on(*interfaces: Json) -> Json:
    return vm("web-1", spec={"network": {"interfaces": list(interfaces)}})


def recorded_on(*interfaces: Json) -> Record:
    return Record(interfaces=virtual_machine.interfaces(m(on(*interfaces))))


def vpc_scene() -> Scene:
    scene = Scene(subnet_mappings=MAPPINGS)
    scene.cluster.serve(SUBNET_SET, "v1alpha1")
    scene.cluster.seed(obj("SubnetSet", "vm-default", api="crd.nsx.vmware.com/v1alpha1"))
    recorded = recorded_on(nic("eth0", "Subnet", "prod-a"), {"name": "eth1"}, nic("eth2", "Subnet", "other"))
    scene.vcenter.restore(NAMESPACE, machine(record=recorded))
    return scene


def test_subnets_are_mapped_and_the_vm_is_checked_afterwards() -> None:
    scene = vpc_scene()
    scene.round()
    assert scene.vcenter.overrides == {MOID: MAPPINGS}
    scene.set_task(TaskState.SUCCEEDED)
    scene.restart()

    right = (nic("eth0", "Subnet", "dr-a"), nic("eth1", "SubnetSet", "dr-default"), nic("eth2", "Subnet", "other"))
    scene.cluster.seed(on(*right))
    assert scene.round().notes == ()
    scene.cluster.seed(on(nic("eth0", "Subnet", "prod-a"), right[1], right[2]))
    assert scene.round().notes[0] == (
        "interface eth0 is on Subnet prod-a, not on Subnet dr-a as the network override says: correct"
        " spec.network of the VirtualMachine before it is powered on"
    )
    scene.cluster.seed(on(right[0], nic("eth1", "Network", "vds")))
    assert "interface eth1 is on a network of another kind, not on SubnetSet dr-default" in scene.round().notes[0]


def test_a_restores_own_override_goes_before_that_of_the_settings_and_stays_in_its_record() -> None:
    scene = vpc_scene()
    own = (SubnetMapping(current=Subnet(type="SUBNETSET"), new=Subnet(type="SUBNET", name="dr-b")),)
    restore = replace(RESTORE, override=own)
    scene.round(restore=restore)
    assert scene.vcenter.overrides == {MOID: own}
    (record,) = scene.records()
    attempt = read_attempt(record)
    assert attempt is not None
    assert (attempt.override, attempt.network) == (own, {"eth1": own[0].new})

    scene.restart()
    scene.round(restore=replace(restore, override=()))  # changed since: the call is made, and is not made again
    assert scene.calls == 1


def test_a_restore_without_override_does_without_that_of_the_settings() -> None:
    scene = vpc_scene()
    scene.round(restore=replace(RESTORE, override=()))
    assert scene.vcenter.overrides == {MOID: ()}


def test_a_call_that_is_still_to_be_made_is_made_with_the_override_of_its_record() -> None:
    scene = vpc_scene()
    scene.round_without_vcenter()
    scene.round(restore=replace(RESTORE, override=()))
    assert scene.vcenter.overrides == {MOID: MAPPINGS}


def test_a_run_under_a_known_uid_follows_what_is_open_and_begins_anew_after_what_ended_before_it(scene: Scene) -> None:
    scene.round(restore=run_since(scene))
    scene.restart()
    assert scene.round(restore=run_since(scene)).state is State.REGISTERING
    assert scene.calls == 1
    scene.set_task(TaskState.SUCCEEDED)
    first = run_since(scene)
    scene.clock.advance(1)
    assert scene.round(restore=first).state is State.REGISTERED

    scene.clock.advance(PAST_FIVE_MINUTES)  # another disaster: the VM is restored once more
    scene.forget()
    processes, runs = [scene.process(), scene.process()], [run_since(scene), run_since(scene)]
    registrations = [scene.round(process, restore) for process, restore in zip(processes, runs, strict=True)]
    assert {registration.state for registration in registrations} == {State.REGISTERING}
    assert scene.calls == 2
    assert [record.content["data"]["attempt"] for record in scene.records()] == ["1", "2"]


def run_since(scene: Scene) -> ForRestore:
    """Return the restore as a run of the command has it that begins now."""
    return replace(RESTORE, since=scene.clock.now())


def failed_in_an_earlier_run(scene: Scene) -> ForRestore:
    """Let a call fail in one run, vCenter forget it, and a person repeat the command; returns the second run."""
    scene.round(restore=run_since(scene))
    scene.fail()
    assert scene.round(restore=run_since(scene)).state is State.FAILED
    scene.clock.advance(PAST_FIVE_MINUTES)
    scene.forget()
    scene.restart()
    return run_since(scene)


def test_a_repeated_run_calls_no_second_time_for_a_vm_whose_call_has_failed(scene: Scene) -> None:
    again = failed_in_an_earlier_run(scene)
    registrations = [scene.round(restore=again), scene.trigger.foresee(again, NAMESPACE, [WEB])[WEB.name]]
    assert {(seen.state, seen.code, seen.can_wait) for seen in registrations} == {(State.FAILED, CLAIM_FAILED, False)}
    assert "put the cause right, then use `velero-vmservice registration trigger`" in registrations[0].reason
    assert scene.calls == 1
    assert scene.trigger.again(again, NAMESPACE, WEB).state is State.REGISTERING
    assert scene.calls == 2


def test_a_repeated_run_says_so_of_a_vm_that_no_call_is_allowed_for(scene: Scene) -> None:
    again = failed_in_an_earlier_run(scene)
    registrations = scene.trigger.advance(again, NAMESPACE, [WEB], may_call=())
    assert registrations[WEB.name].state is State.FAILED
    assert scene.calls == 1


def test_a_repeated_run_calls_for_a_vm_that_is_restored_anew_after_its_call_has_failed(scene: Scene) -> None:
    again = failed_in_an_earlier_run(scene)
    scene.vcenter.lose(MOID)
    assert scene.round(restore=again).state is State.ABSENT
    scene.vcenter.restore(NAMESPACE, machine("vm-99"))
    assert "calls RegisterVM for vm-99" in scene.trigger.foresee(again, NAMESPACE, [WEB])[WEB.name].reason
    assert scene.round(restore=again).state is State.REGISTERING
    assert [record.content["data"]["moid"] for record in scene.records()] == [MOID, "vm-99"]


def test_a_mapping_that_misses_the_vms_subnet_is_noted_before_and_at_the_call() -> None:
    scene = vpc_scene()
    on_others = recorded_on(nic("eth0", "Subnet", "subnet-prod-a"))
    scene.vcenter.restore(NAMESPACE, machine(record=on_others, restoring=True))
    before = scene.round()
    scene.vcenter.restore(NAMESPACE, machine(record=on_others))
    called = scene.round()

    assert [registration.state for registration in (before, called)] == [State.RESTORED, State.REGISTERING]
    for registration in (before, called):
        (note,) = registration.notes
        assert note == (
            "registration.subnet_mappings maps Subnet prod-a; the default SubnetSet, and none of its interfaces is"
            " there (it has: eth0 on Subnet subnet-prod-a)"
        )


def test_checking_the_subnets_costs_no_request_however_many_attempts_are_over() -> None:
    scene = vpc_scene()
    recorded = recorded_on(nic("eth0", "Subnet", "prod-a"))
    many = scene.restore_many(20, record=recorded)
    for n in range(20):
        scene.cluster.seed(vm(f"db-{n}", spec={"network": {"interfaces": [nic("eth0", "Subnet", "prod-a")]}}))
        scene.vcenter.registered.add(f"vm-{100 + n}")
    scene.trigger.advance(RESTORE, NAMESPACE, many)
    assert scene.calls == 20
    look = Look(observed=observe.look_at_vms(scene.cluster, scene.clock, NAMESPACE))
    before = scene.cluster.calls.counts
    registrations = scene.trigger.advance(RESTORE, NAMESPACE, many, look)

    assert scene.cluster.calls.counts - before == {"list": 1}
    assert len(registrations) == 20
    assert all(
        "interface eth0 is on Subnet prod-a, not on Subnet dr-a" in registration.notes[0]
        for registration in registrations.values()
    )


@pytest.mark.parametrize(
    ("generation", "served", "excerpt"),
    [
        (Generation.VSPHERE_8_U3, True, "from VCF 9.0 on; this Supervisor is vSphere 8.0 U3"),
        (Generation.UNKNOWN, True, "from VCF 9.0 on; this Supervisor is unknown"),
        (Generation.VCF_9, False, "with VDS or pre-VPC NSX networking take registration.subnet_mappings out"),
    ],
)
def test_subnets_are_not_mapped_where_that_is_not_supported(generation: Generation, served: bool, excerpt: str) -> None:  # noqa: FBT001
    scene = vpc_scene()
    scene.generation = generation
    scene.restart()
    if not served:
        scene.cluster.remove(ObjectRef(SUBNET_SET, NAMESPACE, "vm-default"))
    registration = scene.round()

    assert excerpt in registration.reason
    assert (registration.can_wait, scene.calls, scene.records()) == (False, 0, [])


def test_one_round_costs_the_same_however_many_vms(scene: Scene) -> None:
    many = scene.restore_many(50)
    scene.trigger.advance(RESTORE, NAMESPACE, many)
    assert scene.calls == 50
    before = scene.cluster.calls.counts
    scene.trigger.advance(RESTORE, NAMESPACE, many)
    spent = scene.cluster.calls.counts - before

    assert spent == {"list": 1}
    assert scene.vcenter.calls.counts["look"] == 1


def test_a_vm_that_may_not_be_called_for_is_followed_all_the_same(scene: Scene) -> None:
    assert scene.trigger.advance(RESTORE, NAMESPACE, [WEB], may_call=()) == {}
    assert (scene.calls, scene.records()) == (0, [])
    scene.round()
    scene.fail()
    (registration,) = scene.trigger.advance(RESTORE, NAMESPACE, [WEB], may_call=()).values()
    assert (registration.state, registration.code) == (State.FAILED, CLAIM_FAILED)


def test_after_its_time_a_round_begins_one_call_at_most(scene: Scene) -> None:
    many = scene.restore_many(4)
    scene.vcenter.calls.before("call", lambda _: scene.clock.advance(15))
    rounds = [scene.trigger.advance(RESTORE, NAMESPACE, many, until=scene.clock.monotonic() + 4) for _ in range(4)]
    assert [sorted(answered) for answered in rounds] == [
        ["db-0"],
        ["db-0", "db-1"],
        ["db-0", "db-1", "db-2"],
        ["db-0", "db-1", "db-2", "db-3"],
    ]
    assert scene.calls == 4


def test_no_vm_is_called_for_while_there_is_no_time_to_follow_the_earlier_calls(scene: Scene) -> None:
    many = scene.restore_many(3)
    scene.trigger.advance(RESTORE, NAMESPACE, many[:2])
    scene.vcenter.calls.before("task", lambda _: scene.clock.advance(5))
    registrations = scene.trigger.advance(RESTORE, NAMESPACE, many, until=scene.clock.monotonic() + 4)
    assert (list(registrations), scene.calls) == (["db-0"], 2)
    scene.vcenter.calls.heal()
    registrations = scene.trigger.advance(RESTORE, NAMESPACE, many, until=scene.clock.monotonic() + 4)
    assert (list(registrations), scene.calls) == (["db-0", "db-1", "db-2"], 3)


def test_a_vm_that_is_not_there_yet_is_waited_for(scene: Scene) -> None:
    scene.vcenter.restore(NAMESPACE, replace(machine(), moid=MOID, restoring=True))
    running = scene.round()
    assert (running.state, running.can_wait, scene.calls) == (State.RESTORED, True, 0)
    scene.vcenter.restore(NAMESPACE, machine())
    assert scene.round().state is State.REGISTERING
    assert scene.calls == 1
