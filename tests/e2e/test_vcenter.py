"""The vCenter source and RegisterVM on a simulated vCenter: sessions, TLS, SOAP, tasks and events are real ones."""

from __future__ import annotations

import uuid
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.clock import SettableClock
from tests.contract.registration_contract import RegistrationContract
from tests.e2e.certificates import Authority
from tests.e2e.vcenter import VCenterSimulator
from tests.emulator.vm_operator.records import encode
from tests.fakes.cluster import MemoryCluster
from tests.unit.builders import vm
from tests.waiting import wait_until
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.vcenter import inventory as adapter
from velero_vmservice.adapters.vcenter.elsewhere import ELSEWHERE_SECONDS
from velero_vmservice.adapters.vcenter.record_yaml import parse_record
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, InvalidSettings, NotSent, Unavailable
from velero_vmservice.registervm.attempt import ForRestore
from velero_vmservice.registervm.attempt_store import Attempts
from velero_vmservice.registervm.policy import TriggerPolicy
from velero_vmservice.registervm.tracker import AttemptTracker
from velero_vmservice.registervm.trigger import Trigger
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.registration.sources import VCenterRegistration, VsphereLooks
from velero_vmservice.settings.registration import VCenterSettings
from velero_vmservice.supervisor.observe import SupervisorViews
from velero_vmservice.vmoperator.releases import Generation, SupervisorRelease
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.record import MAX_PACKED, Judged, judge
from velero_vmservice.vsphere.vm import SupervisorView, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from velero_vmservice.adapters.vcenter.session import VCenterSession

YAML = "vmservice.virtualmachine.resource.yaml"
GUIDES_YAML = "vmservice.vmoperator.vmware.com/vm-resource-yaml"
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{key}: &{key} [{','.join([f'*{before}'] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)
SUPERVISOR = SupervisorView(generation=Generation.VCF_9, machines={})


def record(name: str, namespace: str) -> dict[str, str]:
    """The ExtraConfig of a VM, as VM Operator writes it."""
    manifest = (
        f"apiVersion: vmoperator.vmware.com/v1alpha3\nkind: VirtualMachine\nmetadata: {{name: {name}}}\nspec: {{}}"
    )
    return {
        YAML: encode(manifest),
        "vmservice.virtualmachine.backupVersion": "1000",
        "vmservice.namespacedName": f"{namespace}/{name}",
        "vmservice.virtualmachine.enableAutomaticRegistration": "true",
        "vmservice.virtualmachine.additional.resources.yaml": encode("kind: Secret"),
    }


class VCenterScene:
    """A vSphere Namespace's folder, and the source that looks into it."""

    settled = State.REGISTERED

    def __init__(self, vcenter: VCenterSimulator, directory: Path) -> None:
        self.vcenter = vcenter
        self.namespace = f"space-{uuid.uuid4().hex[:8]}"
        self.password = directory / "password"
        self.password.write_text(vcenter.password)
        self.clock = SystemClock()
        self.settings = VCenterSettings(
            server=vcenter.server,
            user=vcenter.user,
            password_file=self.password,
            ca_file=vcenter.ca_file,
            timeout_seconds=2,
        )
        self.connected = adapter.connect(self.settings, clock=self.clock)
        self.inventory, self.calls = self.connected.inventory, self.connected.register_vm
        self.supervisor = SUPERVISOR
        looks = VsphereLooks(inventory=self.inventory, supervisor=lambda *_: self.supervisor)
        self.source = VCenterRegistration(looks=looks, clock=self.clock)
        self._moids: dict[str, str] = {}
        self._tasks: dict[str, Any] = {}
        vcenter.folder(self.namespace)

    def close(self) -> None:
        self.connected.close()

    def restore(self, name: str, **changed: Any) -> str:
        """Restore a VM into the folder; the identity it had is the contract's."""
        known = {
            "folder": self.namespace,
            "bios_uuid": f"bios-of-{name}-{self.namespace}",
            "instance_uuid": f"instance-of-{name}",
            "extra_config": record(name, self.namespace),
        }
        self._moids[name] = self.vcenter.restore(name, **(known | changed))
        return self._moids[name]

    def moid(self, name: str) -> str:
        return self._moids[name]

    def begin(self, name: str) -> None:
        moid = self._moids.get(name) or self.restore(name)
        self._tasks[name] = self.vcenter.begin_registration(moid, percent=40)

    def register(self, name: str) -> None:
        if name not in self._tasks:
            self.begin(name)
        self.vcenter.end_registration(self._tasks[name])

    def lose(self, name: str) -> None:
        self.vcenter.destroy(self._moids.pop(name))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let vCenter hang: it accepts connections and answers nothing."""
        self.vcenter.process.freeze()
        try:
            yield
        finally:
            self.vcenter.process.thaw()

    @contextmanager
    def denying(self) -> Iterator[None]:
        self.password.write_text("wrong")
        self.vcenter.end_sessions()
        yield
        self.password.write_text(self.vcenter.password)

    def requests(self) -> int:
        return self.connected.session.requests_made

    def look(self, name: str = "web-1") -> Registration:
        return self.source.observe(self.namespace, [ExpectedVm(name=name, instance_uuid=f"instance-of-{name}")])[name]


@pytest.fixture(name="scene")
def _scene(vcenter: VCenterSimulator, tmp_path: Path) -> Iterator[VCenterScene]:
    with closing(VCenterScene(vcenter, tmp_path)) as scene:
        yield scene
    vcenter.clear()


class TestVCenter(RegistrationContract):
    @pytest.fixture(name="scene")
    def _scene(self, vcenter: VCenterSimulator, tmp_path: Path) -> Iterator[VCenterScene]:
        with closing(VCenterScene(vcenter, tmp_path)) as scene:
            yield scene
        vcenter.clear()


def test_a_restored_vm_is_seen_before_any_virtual_machine_exists(scene: VCenterScene) -> None:
    moid = scene.restore("web-1")
    registration = scene.look()
    assert (registration.state, registration.certain, registration.can_wait) == (State.RESTORED, True, True)
    assert registration.reason == f"VM {moid} is restored, and WCP is to register it by itself"


def test_a_look_costs_two_requests(scene: VCenterScene) -> None:
    scene.restore("web-1")
    scene.look()
    before = scene.requests()
    scene.look()
    assert scene.requests() - before == 2


def test_the_folder_may_be_given_and_a_wrong_one_is_passed_over(scene: VCenterScene) -> None:
    scene.restore("web-1")
    wanted = [ExpectedVm(name="web-1")]
    folder_id = scene.vcenter.folder(scene.namespace)._GetMoId()
    assert [vsphere_vm.name for vsphere_vm in scene.inventory.look("another-name", wanted, folders=[folder_id])] == [
        "web-1"
    ]
    assert [vsphere_vm.name for vsphere_vm in scene.inventory.look(scene.namespace, wanted, folders=["<x/>"])] == [
        "web-1"
    ]


def test_a_vm_below_the_folder_is_in_it(scene: VCenterScene) -> None:
    moid = scene.restore("web-1")
    scene.vcenter.folder(scene.namespace).CreateFolder("set-policy").MoveIntoFolder_Task([scene.vcenter.vm(moid)])
    vsphere_vms = wait_until(
        lambda: list(scene.inventory.look(scene.namespace, [ExpectedVm(name="web-1")])), 5, "the VM is moved"
    )
    assert [(vsphere_vm.moid, vsphere_vm.in_folder) for vsphere_vm in vsphere_vms] == [(moid, True)]


def test_a_vm_in_another_folder_is_found_there(scene: VCenterScene) -> None:
    moid = scene.restore("web-1", folder="elsewhere")
    registration = scene.look()
    assert (registration.state, registration.certain) == (State.ABSENT, False)
    assert f'{moid} with its UUID is in folder "elsewhere"' in registration.reason


def test_both_spellings_and_no_secret_are_read(scene: VCenterScene) -> None:
    entries = record("web-1", scene.namespace)
    entries[GUIDES_YAML] = entries.pop(YAML)
    scene.restore("web-1", extra_config=entries)
    (vsphere_vm,) = scene.inventory.look(scene.namespace, [ExpectedVm(name="web-1")])
    assert (vsphere_vm.extra.recorded, vsphere_vm.extra.enabled, vsphere_vm.extra.backup_version) == (
        True,
        True,
        "1000",
    )
    assert (vsphere_vm.record.problem, vsphere_vm.record.interfaces) == ("", {"eth0": Subnet(type="SUBNETSET")})


@pytest.mark.parametrize(
    ("value", "excerpt"),
    [
        ("not base64 at all!", "it is not base64"),
        ("aGVsbG8=", "it is not gzip"),
        (encode("apiVersion: vmoperator.vmware.com/v1alpha3")[:-12], "its gzip is cut off"),
        ("A" * (MAX_PACKED + 1_000_000), f"is longer than {MAX_PACKED} characters"),
        (encode(LAUGHS), "its aliases resolved"),
        (encode("a: &a [1]\nb: " + "[*a]" * 1), "it is not a VirtualMachine|cannot be read"),
        (encode("x" * 3_000_000), "unpacks to more than"),
        (encode("!!python/object:os.system []"), "YAML tags"),
    ],
    ids=["no base64", "no gzip", "cut off", "endless", "a billion laughs", "an alias", "a bomb", "a tag"],
)
def test_a_hostile_extra_config_is_one_sentence(scene: VCenterScene, value: str, excerpt: str) -> None:
    scene.restore("web-1", extra_config=record("web-1", scene.namespace) | {YAML: value})
    registration = scene.look()
    assert (registration.state, registration.can_wait) == (State.NOT_RESTORABLE, False)
    assert any(alternative in registration.reason for alternative in excerpt.split("|"))
    assert registration.reason.isprintable()
    assert "restore the VM from another restore point" in registration.reason


def test_vms_that_are_too_much_for_one_answer_are_read_apart(scene: VCenterScene) -> None:
    sound, broken, endless = "web-1", "web-2", "web-3"
    scene.restore("bare", extra_config={})
    scene.restore(sound)
    scene.restore(broken, extra_config=record(broken, scene.namespace) | {YAML: "A" * 2_000_000})
    scene.restore(endless, extra_config=record(endless, scene.namespace) | {YAML: "A" * 18_000_000})
    wanted = [ExpectedVm(name=name, instance_uuid=f"instance-of-{name}") for name in (sound, broken, endless)]

    with closing(adapter.connect(scene.settings.model_copy(update={"timeout_seconds": 30}), clock=scene.clock)) as own:
        looks = VsphereLooks(inventory=own.inventory, supervisor=lambda *_: SUPERVISOR)
        source = VCenterRegistration(looks=looks, clock=scene.clock)
        registrations = source.observe(scene.namespace, wanted)
        before = own.session.requests_made
        assert source.observe(scene.namespace, wanted) == registrations
        assert own.session.requests_made - before == 2  # nothing has changed, and nothing is fetched again

        scene.vcenter.reconfigure(scene.moid(endless), record(endless, scene.namespace))
        assert source.observe(scene.namespace, wanted)[endless].state is State.RESTORED
    assert registrations[sound].state is State.RESTORED
    assert (registrations[broken].state, registrations[endless].state) == (State.NOT_RESTORABLE, State.NOT_RESTORABLE)
    assert "it is not gzip" in registrations[broken].reason
    assert "its ExtraConfig is longer than 16 MiB, and no sound one is: restore the VM" in registrations[endless].reason


def test_a_look_out_of_time_is_continued_by_the_next(scene: VCenterScene) -> None:
    names = [f"web-{n}" for n in range(4)]
    for name in names:
        scene.restore(name)
    clock, judged = SettableClock(), list[str]()

    def slow(entries: Mapping[str, str]) -> Judged:
        judged.append(entries["vmservice.namespacedName"])
        clock.advance(adapter.LOOK_SECONDS / 2)
        return judge(entries, parse_record)

    inventory = adapter.VCenterInventory(scene.connected.session, clock=clock, judge=slow)
    wanted = [ExpectedVm(name=name) for name in names]
    with pytest.raises(Unavailable, match=r"took more than 60 s: wait for the next look"):
        inventory.look(scene.namespace, wanted)
    looks = 1
    while len(judged) < len(names):
        looks += 1
        with suppress(Unavailable):
            inventory.look(scene.namespace, wanted)
    vsphere_vms = inventory.look(scene.namespace, wanted)
    assert sorted(vsphere_vm.name for vsphere_vm in vsphere_vms) == names
    assert sorted(judged) == [f"{scene.namespace}/{name}" for name in names]
    assert looks <= len(names)


class SlowSession:
    """A session for which some of what is asked takes longer than a look may."""

    def __init__(self, session: VCenterSession, clock: SettableClock) -> None:
        self.slow = ""
        """How that begins which is slow; '' for nothing."""
        self.requests: list[str] = []
        self._session = session
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def soap(self, what: str, ask: Any) -> Any:
        self.requests.append(what)
        if self.slow and what.startswith(self.slow):
            self._clock.advance(adapter.LOOK_SECONDS + 1)
        return self._session.soap(what, ask)

    def count(self, what: str) -> int:
        return sum(request.startswith(what) for request in self.requests)


@pytest.fixture(name="slow")
def _slow(scene: VCenterScene) -> tuple[SlowSession, adapter.VCenterInventory, SettableClock]:
    clock = SettableClock()
    session: Any = SlowSession(scene.connected.session, clock)
    return session, adapter.VCenterInventory(session, clock=clock), clock


Slow = tuple[SlowSession, adapter.VCenterInventory, SettableClock]
SEARCH = "search the inventory"
BOTH = [ExpectedVm(name=name, instance_uuid=f"instance-of-{name}") for name in ("web-1", "web-2")]


def test_a_slow_search_costs_nothing_that_the_folder_has_and_is_not_repeated_at_once(
    scene: VCenterScene, slow: Slow
) -> None:
    session, inventory, clock = slow
    inside, elsewhere = scene.restore("web-1"), scene.restore("web-2", folder="elsewhere")
    session.slow = SEARCH
    for _ in range(3):
        assert [vsphere_vm.moid for vsphere_vm in inventory.look(scene.namespace, BOTH)] == [inside]
    assert session.count(SEARCH) == 1

    session.slow = ""
    clock.advance(ELSEWHERE_SECONDS)
    assert [vsphere_vm.moid for vsphere_vm in inventory.look(scene.namespace, BOTH)] == [inside, elsewhere]


def test_a_folder_that_took_its_time_leaves_a_search_its_own(scene: VCenterScene, slow: Slow) -> None:
    session, inventory, _ = slow
    moids = [scene.restore("web-1"), scene.restore("web-2", folder="elsewhere")]
    session.slow = "read events"
    assert [vsphere_vm.moid for vsphere_vm in inventory.look(scene.namespace, BOTH)] == moids


def test_a_folder_that_is_too_slow_at_once_is_asked_for_in_parts(scene: VCenterScene, slow: Slow) -> None:
    session, inventory, _ = slow
    moid = scene.restore("web-1")
    session.slow = "look into the folder"
    with pytest.raises(Unavailable, match="wait for the next look"):
        inventory.look(scene.namespace, BOTH[:1])
    session.slow = ""
    assert [vsphere_vm.moid for vsphere_vm in inventory.look(scene.namespace, BOTH[:1])] == [moid]
    assert session.count("read the ExtraConfig of 1 VMs") == 1


def test_a_vm_without_a_record_is_none_of_vm_service(scene: VCenterScene) -> None:
    scene.restore("web-1", extra_config={})
    assert scene.look().state is State.NOT_RESTORABLE


def test_a_restore_that_still_runs_is_waited_for(scene: VCenterScene) -> None:
    moid = scene.restore("web-1")
    scene.vcenter.disable(moid, "RelocateVM_Task", "Destroy_Task")
    assert "the VADP restore" in scene.look().reason
    scene.vcenter.disable(moid)
    assert "to register it by itself" in scene.look().reason


def test_a_duplicate_bios_uuid_is_found(scene: VCenterScene) -> None:
    scene.restore("web-1", bios_uuid="the-same")
    scene.restore("copy-of-web-1", bios_uuid="the-same")
    registration = scene.look()
    assert registration.code == "VCenterWcpWorkloadRegisterVMDuplicateVMBiosUUID"
    assert '"copy-of-web-1"' in registration.reason


def test_a_task_is_followed_to_its_end(scene: VCenterScene) -> None:
    moid = scene.restore("web-1")
    task = scene.vcenter.begin_registration(moid, percent=80)
    assert str(scene.look()).startswith("registering (80 %, register volumes): RegisterVM task task-")
    scene.vcenter.end_registration(task, error=f"{CLAIM_FAILED}: boom")
    registration = scene.look()
    assert (registration.state, registration.code, registration.can_wait) == (State.FAILED, CLAIM_FAILED, False)
    again = scene.vcenter.begin_registration(moid)
    assert scene.look().state is State.REGISTERING
    scene.vcenter.end_registration(again)
    assert scene.look().state is State.REGISTERED


@pytest.mark.parametrize(("outcome", "state"), [("success", State.REGISTERED), ("failure", State.FAILED)])
def test_an_event_tells_what_no_task_does_any_more(scene: VCenterScene, outcome: str, state: State) -> None:
    moid = scene.restore("web-1")
    scene.vcenter.tell(moid, outcome, message=CLAIM_FAILED)
    registration = scene.look()
    assert registration.state is state
    assert registration.code == (CLAIM_FAILED if outcome == "failure" else "")


def test_an_expired_session_goes_unnoticed(scene: VCenterScene) -> None:
    scene.restore("web-1")
    assert scene.look().state is State.RESTORED
    scene.vcenter.end_sessions()
    assert scene.look().state is State.RESTORED
    task = scene.vcenter.begin_registration(scene.restore("web-2"))
    scene.vcenter.end_sessions()
    assert scene.calls.task(task._GetMoId()).state is TaskState.RUNNING


def test_a_wrong_password_is_tried_once_and_reported(scene: VCenterScene) -> None:
    scene.password.write_text("wrong-password")
    for _ in range(4):
        with pytest.raises(Forbidden, match="vCenter refuses user and password") as error:
            scene.look()
        assert "wrong-password" not in str(error.value)
    tried = scene.requests()
    with pytest.raises(Forbidden):
        scene.look()
    assert scene.requests() == tried
    scene.password.write_text(scene.vcenter.password)
    assert scene.look().state is State.ABSENT


def test_another_authority_is_reported_with_the_remedy(scene: VCenterScene, tmp_path: Path) -> None:
    other = scene.settings.model_copy(update={"ca_file": Authority(tmp_path).certificate})
    connected = adapter.connect(other, clock=scene.clock)
    with closing(connected), pytest.raises(InvalidSettings, match=r"not trusted .*vcenter\.ca_file"):
        connected.inventory.look(scene.namespace, [ExpectedVm(name="web-1")])
    with pytest.raises(NotSent, match=r"not trusted .*vcenter\.ca_file"):
        connected.register_vm.call(scene.namespace, "vm-1", ())


def test_a_vcenter_that_was_started_anew_is_logged_in_to_again(tmp_path: Path) -> None:
    vcenter = VCenterSimulator(tmp_path / "vcenter", Authority(tmp_path))
    vcenter.start()
    scene = VCenterScene(vcenter, tmp_path)
    try:
        scene.restore("web-1")
        assert scene.calls.call(scene.namespace, scene.restore("web-2"), ())
        assert scene.look().state is State.RESTORED
        vcenter.stop()
        with pytest.raises(Unavailable, match="cannot be reached"):
            scene.look()
        vcenter.start()
        vcenter.folder(scene.namespace)
        assert scene.look().state is State.ABSENT
        assert scene.calls.call(scene.namespace, scene.restore("web-3"), ())
    finally:
        scene.close()
        vcenter.stop()


def test_register_vm_is_called_and_its_task_read(scene: VCenterScene) -> None:
    good, bad = scene.restore("web-1"), scene.restore("web-2", extra_config={})
    ended = {moid: scene.calls.task(scene.calls.call(scene.namespace, moid, ())) for moid in (good, bad)}
    assert ended[good].state is TaskState.SUCCEEDED
    assert ended[bad].state is TaskState.FAILED
    assert "vmservice.virtualmachine.resource.yaml" in ended[bad].message
    assert scene.calls.task("task-424242:gone").state is TaskState.UNKNOWN


def test_the_newest_task_of_a_vm_is_found_by_vcenters_clock(scene: VCenterScene) -> None:
    moid = scene.restore("web-1")
    begun = scene.clock.now()
    assert scene.calls.latest(moid, begun) is None
    task = scene.vcenter.begin_registration(moid, percent=20)
    newest = scene.calls.latest(moid, begun)
    assert newest is not None
    assert (newest.id, newest.percent) == (task._GetMoId(), 20)
    assert scene.calls.latest(moid, begun + timedelta(hours=1)) is None
    assert scene.calls.latest("vm-424242", begun) is None


def test_a_vm_is_triggered_once_on_vcenter(scene: VCenterScene) -> None:
    moid = scene.restore("web-1")
    cluster = MemoryCluster(namespaces=["velero", scene.namespace])
    cluster.seed(vm("other", namespace=scene.namespace))

    def process(holder: str) -> Trigger:
        release = SupervisorRelease(generation=Generation.VCF_9, evidence="")
        views = SupervisorViews(cluster=cluster, generation=lambda: release)
        attempts = Attempts(cluster=cluster, clock=scene.clock, velero_namespace="velero")
        return Trigger(
            clock=scene.clock,
            tracker=AttemptTracker(
                cluster=cluster, clock=scene.clock, attempts=attempts, register=scene.calls, holder=holder
            ),
            attempts=attempts,
            looks=VsphereLooks(inventory=scene.inventory, supervisor=views.look),
            supervisor=views,
            policy=TriggerPolicy(mode="trigger"),
        )

    restore = ForRestore(uid="uid", name="again")
    wanted = [ExpectedVm(name="web-1", instance_uuid="instance-of-web-1")]
    states = [process(holder).advance(restore, scene.namespace, wanted)["web-1"].state for holder in "abc"]

    assert states == [State.REGISTERING, State.REGISTERED, State.REGISTERED]
    assert scene.vcenter.calls(moid) == 1
