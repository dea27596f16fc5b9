"""RegisterVM by command: never two calls for one VM, and never one without consent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, restore, service, vm, vsphere_namespace
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.app import assemble
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import NotSent, Rejected, Unavailable
from velero_vmservice.registervm.attempt import ForRestore
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine, Ran

WEB = {"app": "web"}
VMS = [vm("web-1", labels=WEB), vm("web-2", labels=WEB)]
FRONT = service("front", WEB)
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"


class KilledError(BaseException):
    """The process ends here, whatever it meant to do next."""


class Scene:
    """Two VMs that lie restored in vCenter, and a Restore that waits for them."""

    def __init__(self, command: CommandLine, **world: Any) -> None:
        self.world = World(**world)
        self.items = self.world.back_up(*VMS, FRONT)
        self.world.lose(*VMS, FRONT)
        self.world.cluster.seed(restore())
        self.vcenter = self.world.vsphere.vcenter
        for moid, name in (("vm-1", "web-1"), ("vm-2", "web-2")):
            self.vcenter.restore(NAMESPACE, restored(moid, name))
        command.connects_to(self.world.start)
        self._command = command

    def trigger(self, *vms: str, namespace: str = NAMESPACE, yes: bool = True, typed: str = "") -> Ran:
        options = ("--restore", "again", "-n", namespace, *(("--yes",) if yes else ()))
        return self._command("registration", "trigger", *options, *vms, typed=typed)

    @property
    def called(self) -> list[str]:
        """For whom RegisterVM took effect, or may have."""
        return [moid for method, moid in self.vcenter.calls.made if method == "call"]

    def end(self, state: TaskState, message: str = "", moid: str = "vm-1") -> None:
        self.vcenter.set_task(self.vcenter.tasks_of(moid)[-1], state, message=message)


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


def test_vms_that_are_named_are_called_for_and_the_others_are_not(scene: Scene) -> None:
    ran = scene.trigger("web-2")
    assert ran.lines == [
        "shop/web-2 is absent: not registered yet",
        "shop/web-2: registering: RegisterVM task task-1 of vm-2 runs",
        "to follow: velero-vmservice registration status --restore again -n shop --vm web-2 --watch",
    ]
    assert (ran.code, scene.called) == (0, ["vm-2"])


def test_a_command_that_is_repeated_does_not_call_again(scene: Scene) -> None:
    scene.trigger("web-1", "web-1", "web-2")
    ran = scene.trigger("web-1", "web-2")
    assert ran.code == 4
    assert "attempt 1 is registering: RegisterVM task task-1 of vm-1 runs: wait for its end" in ran.out
    scene.end(TaskState.SUCCEEDED)
    assert "attempt 1 is registered: " in scene.trigger("web-1").out
    assert scene.called == ["vm-1", "vm-2"]


def test_two_commands_at_the_same_moment_make_one_call(scene: Scene) -> None:
    registrations = list[Registration]()

    def race(_: str) -> None:
        """Another command goes all the way just before the first one's record is made."""
        scene.world.cluster.calls.heal()
        other = scene.world.start().registering.trigger
        assert other is not None
        wanted = ExpectedVm(name="web-1", instance_uuid="instance-of-web-1", bios_uuid="bios-of-web-1")
        registrations.append(other.again(ForRestore(uid="uid-of-again", name="again"), NAMESPACE, wanted))

    scene.world.cluster.calls.before("create", race)
    ran = scene.trigger("web-1")
    assert [registration.reason for registration in registrations] == ["RegisterVM task task-1 of vm-1 runs"]
    assert "shop/web-1: registering: another process calls RegisterVM for vm-1" in ran.out
    assert (ran.code, scene.called) == (0, ["vm-1"])


@pytest.mark.parametrize("first", ["command", "sidecar"])
def test_the_command_and_a_sidecar_that_triggers_make_one_call(command: CommandLine, first: str) -> None:
    scene = Scene(command, mode="trigger")
    operations = scene.world.replay_all(scene.items)
    if first == "command":
        scene.trigger("web-1", "web-2")
    for _ in range(3):
        scene.world.round(operations)
    if first == "sidecar":
        scene.trigger("web-1", "web-2")
    assert sorted(scene.called) == ["vm-1", "vm-2"]


@pytest.mark.parametrize("moment", ["call", "answer"])
def test_a_command_killed_around_the_call_never_leads_to_a_second_one(scene: Scene, moment: str) -> None:
    def kill(_: str) -> None:
        raise KilledError

    scene.vcenter.calls.before(moment, kill)
    with pytest.raises(KilledError):
        scene.trigger("web-1")
    scene.vcenter.calls.heal()
    ran = scene.trigger("web-1")
    assert "RegisterVM is not called again for shop/web-1: attempt 1 is registering" in ran.out
    scene.world.clock.advance(301)
    assert scene.trigger("web-1").code == (0 if moment == "call" else 4)
    assert scene.vcenter.tasks_of("vm-1") == ("task-1",)


def test_a_failed_attempt_is_repeated_by_the_command_alone_and_explained(command: CommandLine) -> None:
    scene = Scene(command, mode="trigger", sources=["vcenter"])
    operations = scene.world.replay_all(scene.items)
    scene.world.round(operations)
    scene.end(TaskState.FAILED, f"fault: {CLAIM_FAILED}: no disk")
    scene.world.round(operations)
    progress = next(iter(scene.world.round(operations).values()))
    assert "use `velero-vmservice registration trigger`" in progress.description + progress.error
    assert scene.called == ["vm-1", "vm-2"]
    ran = scene.trigger("web-1")
    assert "shop/web-1: registering: RegisterVM task task-3 of vm-1 runs" in ran.lines
    assert (ran.code, scene.called) == (0, ["vm-1", "vm-2", "vm-1"])


@pytest.mark.parametrize("typed", ["", "n\n", "\n"])
def test_nothing_is_called_without_confirmation(scene: Scene, typed: str) -> None:
    ran = scene.trigger("web-1", "web-2", yes=False, typed=typed)
    assert ran.code == 130
    assert "Call RegisterVM for web-1, web-2 in namespace shop? It can be neither repeated nor cancelled" in ran.out
    assert scene.called == []
    assert scene.trigger("web-1", yes=False, typed="y\n").code == 0
    assert scene.called == ["vm-1"]


def test_without_a_vcenter_it_says_what_to_set(command: CommandLine) -> None:
    scene = Scene(command)
    world = scene.world
    command.connects_to(
        lambda: assemble(world.settings, cluster=world.cluster, locations=world.locations, clock=world.clock)
    )
    ran = scene.trigger("web-1")
    assert (ran.code, ran.out) == (1, "")
    assert "no vCenter is set up\nhint: set vcenter.server, vcenter.user and vcenter.password_file" in ran.err
    unknown = command("registration", "trigger", "web-1", "--restore", "any", "-n", "shop")
    assert "no vCenter is set up" in unknown.err


def test_a_vm_that_is_registered_is_left_alone_and_is_a_success(scene: Scene) -> None:
    scene.world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    ran = scene.trigger("web-1")
    assert ran.lines == [
        "shop/web-1: RegisterVM is not called for it, as kubernetes says ready: registered by a restore to new"
    ]
    assert (ran.code, scene.called) == (0, [])


@pytest.mark.parametrize(
    "existing",
    [
        vm("web-1", uid="new", spec={"instanceUUID": "other"}, status={"biosUUID": "other", "uniqueID": "vm-9"}),
        vm("web-1", uid="new", created=False, status={"uniqueID": ""}),
    ],
    ids=["another VM of its name", "not found in vCenter yet"],
)
def test_a_name_that_is_taken_is_not_registered_over(scene: Scene, existing: dict[str, Any]) -> None:
    scene.world.cluster.seed(existing)
    ran = scene.trigger("web-1", "web-2")
    assert "shop/web-1: RegisterVM is not called for it, as kubernetes says " in ran.out
    assert scene.called == ["vm-2"]


@pytest.mark.parametrize("state", [State.REGISTERING, State.REGISTERED])
def test_an_engine_at_work_is_not_called_beside(command: CommandLine, state: State) -> None:
    scene = Scene(command, sources=["engine"])
    scene.world.engine.tell(NAMESPACE, Registration(name="web-1", state=state))
    ran = scene.trigger("web-1")
    assert f"as engine says {state}" in ran.out
    assert scene.called == []


@pytest.mark.parametrize("state", [State.ABSENT, State.RESTORED])
def test_the_prompt_warns_that_an_engine_may_be_about_to_register_the_vm(command: CommandLine, state: State) -> None:
    scene = Scene(command, sources=["engine"])
    scene.world.engine.tell(NAMESPACE, Registration(name="web-1", state=state, reason="queued behind 12 others"))
    doubt = f"engine may be about to register web-1: it says {state}: queued behind 12 others"
    ran = scene.trigger("web-1", "web-2")
    assert ran.code == 1
    assert f"RegisterVM is not called for web-1, web-2, as {doubt}\nhint: repeat the command" in ran.err
    assert scene.called == []
    assert scene.trigger("web-2").code == 0
    assert scene.called == ["vm-2"]
    ran = scene.trigger("web-1", yes=False, typed="y\n")
    assert f"note: {doubt}" in ran.lines
    assert scene.called == ["vm-2", "vm-1"]


def test_a_vm_that_an_engine_has_given_up_is_called_for(command: CommandLine) -> None:
    scene = Scene(command, sources=["engine"])
    scene.world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.FAILED, reason="no CNS"))
    scene.trigger("web-1")
    assert scene.called == ["vm-1"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("engine", "engine cannot be asked: it did not answer in time: see its log"),
        ("kubernetes", "kubernetes cannot be asked: it did not answer in time: see its log"),
    ],
)
def test_nothing_is_called_beside_a_source_that_cannot_be_asked_unless_confirmed(
    command: CommandLine, source: str, reason: str
) -> None:
    scene = Scene(command, sources=["engine"])
    away = Unavailable("it did not answer in time", hint="see its log")
    if source == "engine":
        scene.world.engine.calls.fail("observe", away)
    else:
        scene.world.cluster.calls.fail("get", away, on=f"Namespace {NAMESPACE}")
    for ran in (scene.trigger("web-1", "web-2"), scene.trigger("web-1", "web-2")):
        assert ran.code == 1
        assert f"RegisterVM is not called for web-1, web-2, as {reason}\nhint: repeat the command" in ran.err
        assert scene.called == []
    ran = scene.trigger("web-1", yes=False, typed="n\n")
    assert f"note: {reason}" in ran.lines
    assert (ran.code, scene.called) == (130, [])
    assert scene.trigger("web-1", yes=False, typed="y\n").code == 0
    assert scene.called == ["vm-1"]


@pytest.mark.parametrize("who", ["engine", "kubernetes", "engine has a queue", "engine is away"])
def test_a_change_during_the_prompt_is_noticed(command: CommandLine, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    scene = Scene(command, sources=["engine"])

    def think(*_: Any, **__: Any) -> bool:
        scene.world.clock.advance(3600)
        if who == "engine":
            scene.world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.REGISTERING))
        elif who == "kubernetes":
            scene.world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
        elif who == "engine has a queue":
            scene.world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.RESTORED))
        else:
            scene.world.engine.calls.fail("observe", Unavailable("the engine is away"))
        return True

    monkeypatch.setattr("click.confirm", think)
    ran = scene.trigger("web-1", "web-2", yes=False)
    answers = {
        "engine": ("shop/web-1: RegisterVM is not called for it, as engine says registering", 4, ["vm-2"]),
        "kubernetes": ("shop/web-1: RegisterVM is not called for it, as kubernetes says ready", 0, ["vm-2"]),
        "engine has a queue": ("not called for web-1, web-2, as engine may be about to register web-1", 1, []),
        "engine is away": ("RegisterVM is not called for web-1, web-2, as engine cannot be asked", 1, []),
    }
    excerpt, code, called = answers[who]
    assert excerpt in ran.out + ran.err
    assert (ran.code, scene.called) == (code, called)


def test_a_vm_that_the_preflight_refuses_is_explained_and_the_others_are_called_for(scene: Scene) -> None:
    scene.vcenter.restore(NAMESPACE, restored("vm-1", "web-1", in_folder=False, folder="elsewhere"))
    ran = scene.trigger("web-1", "web-2")
    assert (ran.code, scene.called) == (4, ["vm-2"])
    assert "RegisterVM is not called: no such VM is in the folder of namespace shop" in ran.out
    assert "     Get-VM -Name 'web-1' | Select-Object Id, Folder" in ran.lines


def test_a_call_that_vcenter_refuses_is_explained_with_the_checks(scene: Scene) -> None:
    code = "VCenterWcpWorkloadRegisterVMDuplicateVMBiosUUID"
    scene.vcenter.calls.fail("call", Rejected(f"vCenter refused it: {code}"))
    ran = scene.trigger("web-1")
    assert ran.code == 5
    assert any(line.startswith(f"shop/web-1: failed: RegisterVM (attempt 1) failed: {code}") for line in ran.lines)
    assert any(line.startswith("  remedy: find the other VM with that BIOS UUID") for line in ran.lines)
    assert "     kubectl get vm -n shop -o custom-columns=NAME:.metadata.name,BIOS:.status.biosUUID" in ran.lines


def test_a_task_begun_elsewhere_is_left_to_end(scene: Scene) -> None:
    scene.vcenter.call(NAMESPACE, "vm-1", ())
    ran = scene.trigger("web-1")
    assert "RegisterVM task task-1 of vm-1 is at work already" in ran.out
    assert (ran.code, scene.called) == (0, ["vm-1"])


def test_a_vm_registered_elsewhere_is_a_success(scene: Scene) -> None:
    scene.vcenter.call(NAMESPACE, "vm-1", ())
    scene.end(TaskState.SUCCEEDED)
    ran = scene.trigger("web-1")
    excerpt = "RegisterVM is not called: RegisterVM task task-1 of vm-1 has succeeded already"
    assert f"shop/web-1: registered: {excerpt}" in ran.lines
    assert (ran.code, scene.called) == (0, ["vm-1"])


def test_a_vcenter_that_goes_away_is_one_sentence_that_names_the_vms_not_called_for(scene: Scene) -> None:
    scene.vcenter.calls.fail("look", Unavailable("vCenter is away", hint="see its services"))
    ran = scene.trigger("web-1", "web-2")
    assert ran.lines[-1] == "RegisterVM is not called for web-1, web-2"
    assert (ran.code, ran.err) == (1, "velero-vmservice: vCenter is away\nhint: see its services\n")
    assert scene.called == []


def test_a_call_that_did_not_reach_vcenter_can_be_made_after_five_minutes(scene: Scene) -> None:
    scene.vcenter.calls.fail("call", NotSent("vCenter refuses connections"), times=1)
    ran = scene.trigger("web-1")
    assert ran.code == 4
    assert "RegisterVM is still to be called for vm-1: vCenter refuses connections" in ran.out
    assert "is given up after 5 minutes" in ran.out
    assert scene.trigger("web-1").code == 4
    scene.world.clock.advance(301)
    assert scene.trigger("web-1").code == 0
    assert scene.vcenter.tasks_of("vm-1") == ("task-1",)


def test_the_namespace_is_the_one_that_the_restore_maps_to(scene: Scene) -> None:
    scene.world.cluster.seed(vsphere_namespace("dr"), restore(namespaceMapping={NAMESPACE: "dr"}))
    scene.vcenter.restore("dr", restored("vm-3", "web-1"))
    assert scene.trigger("web-1").code == 1
    assert scene.trigger("web-1", namespace="dr").code == 0
    assert scene.called == ["vm-3"]


@pytest.mark.parametrize(
    ("vms", "code", "excerpt"),
    [((), 2, "Missing argument 'VM...'"), (("web-1", "db-1"), 1, "waits for a VM db-1 in namespace shop")],
)
def test_a_vm_that_the_restore_does_not_know_stops_every_call(
    scene: Scene, vms: tuple[str, ...], code: int, excerpt: str
) -> None:
    ran = scene.trigger(*vms)
    assert (ran.code, ran.out) == (code, "")
    assert excerpt in ran.err
    assert scene.called == []
