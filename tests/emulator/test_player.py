"""The player itself, where a mistake in it would let others' tests pass for the wrong reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.dynamic.exceptions import ForbiddenError

from tests.emulator import vadp
from tests.emulator.kubernetes.kmock_api import EmulatedApi, emulated_api
from tests.emulator.machines import two_tier, virtual_machine
from tests.emulator.supervisor import Supervisor
from tests.emulator.vm_operator import conditions, records
from tests.emulator.vm_operator.admission import Rules
from tests.emulator.vm_operator.vm_controller import APPLY_POWER_TIME, PAUSED
from tests.emulator.wcp.register_steps import Failure, State, Step
from tests.emulator.wcp.registered_vm import FAILED_OVER, KEPT_IN_PLACE, RESTORED, RestoreKind
from tests.emulator.wcp.vcenter import VCenter
from tests.emulator.wcp.wcp import Wcp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.emulator.kubernetes.cluster import Object
    from tests.emulator.vadp import RestorePoint
    from tests.emulator.wcp.register_vm import Registration

NAMESPACE = "shop"
DATABASE = "shop-db-1"


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def api(time: Time) -> Iterator[EmulatedApi]:
    with emulated_api() as running:
        running.admit(Rules(clock=time).review)
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A VADP job, and the VM as it was when the job ran."""

    vcenter: str
    point: RestorePoint
    before: Object


@pytest.fixture(scope="module")
def saved() -> Saved:
    with emulated_api() as running:
        supervisor = Supervisor(running.client, operator={"delay_scale": 0})
        supervisor.deploy(two_tier(web=0))
        return Saved(vcenter=supervisor.vcenter.uuid, point=supervisor.back_up(NAMESPACE), before=machine(supervisor))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The same Supervisor after everything in the namespace was lost."""

    supervisor: Supervisor
    saved: Saved

    def restore(self, **options: Any) -> Registration:
        return self.supervisor.restore(self.saved.point, DATABASE, **options)

    def objects(self, kind: str) -> Sequence[Object]:
        return self.supervisor.cluster.list(kind, NAMESPACE)


@pytest.fixture
def lost(api: EmulatedApi, time: Time, saved: Saved) -> Lost:
    api.seed([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
    vcenter = VCenter()
    vcenter.uuid = saved.vcenter
    supervisor = Supervisor(api.client, vcenter=vcenter, operator={"clock": time}, wcp={"clock": time})
    return Lost(supervisor=supervisor, saved=saved)


@pytest.fixture
def supervisor(api: EmulatedApi, time: Time) -> Supervisor:
    return Supervisor(api.client, operator={"clock": time, "delay_scale": 1}, wcp={"clock": time})


@pytest.fixture
def running(supervisor: Supervisor, time: Time) -> Supervisor:
    """An application that has been up for a while."""
    supervisor.deploy(two_tier())
    time.advance(3600)
    supervisor.operator.settle()
    time.advance(60)
    return supervisor


def machine(supervisor: Supervisor, name: str = DATABASE, namespace: str = NAMESPACE) -> Object:
    manifest = supervisor.cluster.get("VirtualMachine", name, namespace)
    assert manifest is not None
    return manifest


def endpoints(supervisor: Supervisor, name: str) -> list[dict[str, Any]]:
    manifest = supervisor.cluster.get("Endpoints", name, NAMESPACE)
    assert manifest is not None
    return manifest.get("subsets") or []


def claim_of(item: Object) -> str:
    return str(item["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"])


def test_a_group_owns_its_members_and_powers_them_on_in_boot_order(supervisor: Supervisor, time: Time):
    supervisor.deploy(two_tier())

    (owner,) = machine(supervisor)["metadata"]["ownerReferences"]
    child = supervisor.cluster.get("VirtualMachineGroup", "shop-db", NAMESPACE)
    assert child is not None
    assert (owner["name"], owner["uid"], owner.get("controller")) == ("shop-db", child["metadata"]["uid"], None)
    web = machine(supervisor, "shop-web-1")
    since = conditions.parse(web["metadata"]["annotations"][APPLY_POWER_TIME]) - time.now
    assert (machine(supervisor)["status"]["powerState"], web["status"]["powerState"]) == ("PoweredOn", "PoweredOff")
    assert since == timedelta(seconds=30)

    time.advance(31)
    supervisor.operator.settle()
    assert machine(supervisor, "shop-web-1")["status"]["powerState"] == "PoweredOn"


def test_a_service_has_addresses_of_running_vms_only(running: Supervisor):
    made = running.cluster.get("Service", "shop-web", NAMESPACE)
    assert made is not None
    assert "selector" not in made["spec"]
    assert made["metadata"]["ownerReferences"][0]["controller"] is True
    assert [a["targetRef"]["name"] for a in endpoints(running, "shop-web")[0]["addresses"]] == [
        "shop-web-1",
        "shop-web-2",
    ]

    running.cluster.patch(machine(running, "shop-web-1"), {"spec": {"powerState": "PoweredOff"}})
    running.operator.settle()
    assert [a["targetRef"]["name"] for a in endpoints(running, "shop-web")[0]["addresses"]] == ["shop-web-2"]


def test_a_record_names_the_old_group_and_forgets_status_and_zone(running: Supervisor):
    live = machine(running)
    saved = records.recorded_vm(running.back_up(NAMESPACE).of(DATABASE).extra_config)

    assert saved["metadata"]["ownerReferences"] == live["metadata"]["ownerReferences"]
    assert saved["spec"]["groupName"] == "shop-db"
    assert "status" not in saved
    assert records.ZONE_LABEL in live["metadata"]["labels"]
    assert records.ZONE_LABEL not in saved["metadata"]["labels"]


def test_losing_a_namespace_leaves_nothing_but_the_namespace(running: Supervisor):
    running.lose(NAMESPACE)
    assert [kind for kind in vadp.LOST if running.cluster.list(kind, NAMESPACE)] == []
    assert running.cluster.list("PersistentVolume") == []
    assert running.vcenter.machines() == ()
    assert running.cluster.get("Namespace", NAMESPACE) is not None


def test_a_new_vm_comes_back_powered_off_step_by_step(lost: Lost):
    before, supervisor = lost.saved.before, lost.supervisor
    task = lost.restore()

    task.run_to(Step.RESOURCES)
    assert supervisor.cluster.get("Secret", "shop-bootstrap", NAMESPACE) is not None
    task.run_to(Step.VOLUMES)
    (claim,) = lost.objects("PersistentVolumeClaim")
    assert claim["status"]["phase"] == "Pending"
    task.run_to(Step.VM)
    assert PAUSED in machine(supervisor)["metadata"]["annotations"]
    supervisor.operator.settle()
    assert "uniqueID" not in machine(supervisor).get("status", {})

    assert (task.finish(), task.progress, task.kind) == (State.SUCCEEDED, 100, RestoreKind.NEW)
    supervisor.operator.settle()
    after = machine(supervisor)
    status = after["status"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["metadata"]["annotations"].keys() >= {RESTORED, records.BACKUP_VERSION}
    assert PAUSED not in after["metadata"]["annotations"]
    assert "ownerReferences" not in after["metadata"]
    assert claim_of(after) == claim["metadata"]["name"]
    cloud_init = [item["spec"]["bootstrap"]["cloudInit"]["instanceID"] for item in (before, after)]
    assert cloud_init[0] != cloud_init[1]
    assert (after["spec"]["powerState"], status["powerState"]) == ("PoweredOff", "PoweredOff")
    assert status["biosUUID"] == before["status"]["biosUUID"]
    assert conditions.is_true(status, "VirtualMachineCreated")
    assert (conditions.find(status, "GroupLinked") or {})["reason"] == "NotFound"


def test_stale_owners_are_kept_on_request(lost: Lost):
    lost.restore(keep_owners=True).finish()
    owners = lost.saved.before["metadata"]["ownerReferences"]
    assert machine(lost.supervisor)["metadata"]["ownerReferences"] == owners


def test_a_vm_restored_in_place_keeps_identity_zone_and_five_annotations(running: Supervisor, time: Time):
    point = running.back_up(NAMESPACE)
    live = machine(running)
    changes = {"labels": {"since": "backup"}, "annotations": dict.fromkeys(KEPT_IN_PLACE, "now")}
    running.cluster.patch(live, {"metadata": changes})
    time.advance(60)
    running.operator.settle()
    restored = vadp.restore(running.vcenter, point.of(DATABASE), in_place=True)
    running.operator.settle()
    (detected,) = [
        entry for entry in machine(running)["status"]["conditions"] if entry["type"] == "VirtualMachineBackupUpToDate"
    ]
    assert (detected["status"], detected["reason"]) == ("False", "VirtualMachineBackupPaused")

    task = running.wcp.register(restored.moid)
    task.run_to(Step.VALIDATE)
    assert PAUSED in machine(running)["metadata"]["annotations"]
    task.finish()
    running.operator.settle()

    after = machine(running)
    assert task.kind is RestoreKind.EXISTING
    assert after["metadata"]["uid"] == live["metadata"]["uid"]
    assert after["status"]["uniqueID"] == live["status"]["uniqueID"]
    assert after["metadata"]["labels"] == live["metadata"]["labels"]
    assert {key: after["metadata"]["annotations"][key] for key in KEPT_IN_PLACE} == dict.fromkeys(KEPT_IN_PLACE, "now")
    assert after["spec"]["powerState"] == "PoweredOff"
    assert conditions.is_true(after["status"], "VirtualMachineBackupUpToDate")
    (claim,) = running.cluster.list("PersistentVolumeClaim", NAMESPACE)
    assert claim["metadata"]["name"] == claim_of(after)


def test_disks_alone_come_back_without_touching_the_rest(running: Supervisor):
    before = machine(running)
    vadp.restore_disks(running.vcenter, before["status"]["uniqueID"], "data")
    task = running.wcp.register(before["status"]["uniqueID"])
    task.finish()
    running.operator.settle()

    after = machine(running)
    assert task.kind is RestoreKind.DISK_ONLY
    assert after["spec"]["powerState"] == "PoweredOn"
    assert claim_of(after).startswith("restored-")
    assert RESTORED not in after["metadata"]["annotations"]


def test_a_failover_clears_the_image(lost: Lost):
    lost.supervisor.vcenter.uuid = "another vCenter"
    task = lost.restore()
    task.finish()
    after = machine(lost.supervisor)

    assert (task.state, task.kind) == (State.SUCCEEDED, RestoreKind.FAILOVER)
    assert FAILED_OVER in after["metadata"]["annotations"]
    assert not {"image", "imageName"} & after["spec"].keys()


def test_a_vm_can_come_back_in_another_namespace(lost: Lost):
    lost.supervisor.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop-dr"}})
    assert lost.restore(namespace="shop-dr").finish() is State.SUCCEEDED
    assert machine(lost.supervisor, namespace="shop-dr")["spec"]["groupName"] == "shop-db"


@pytest.mark.parametrize("failure", list(Failure))
def test_every_error_of_the_guide_strikes_where_it_belongs(lost: Lost, failure: Failure):
    task = lost.restore(fault=failure)

    assert (task.finish(), task.error) == (State.FAILED, failure)
    assert task.progress == failure.step.progress
    assert lost.objects("VirtualMachine") == []
    errors = [bool(volume["status"].get("error")) for volume in lost.objects("CnsRegisterVolume")]
    assert errors == [True] * (failure is Failure.CLAIM)


def test_errors_come_from_the_situation_too(running: Supervisor):
    saved = running.back_up(NAMESPACE).of(DATABASE)
    cluster, vcenter, wcp = running.cluster, running.vcenter, running.wcp
    elsewhere = vadp.restore(vcenter, saved, folder="other")
    bare = vcenter.change(vadp.restore(vcenter, saved).moid, extra_config={})
    renamed = records.recorded_vm(saved.extra_config)
    renamed["metadata"]["name"] = "copy"
    entries = {**saved.extra_config, **records.recorded(renamed, others=[], disks=[], version="1")}
    copy = vcenter.change(vadp.restore(vcenter, saved).moid, extra_config=entries)
    again = vadp.restore(vcenter, saved)

    outcomes = [
        (wcp.register("vm-0", namespace=NAMESPACE), Failure.NOT_FOUND),
        (wcp.register(elsewhere.moid, namespace=NAMESPACE), Failure.WRONG_FOLDER),
        (wcp.register(bare.moid), Failure.BAD_RECORD),
        (wcp.register(copy.moid), Failure.DUPLICATE),
        (wcp.register(again.moid, incremental=False), Failure.EXISTS),
    ]
    assert [(task.finish(), task.error) for task, _ in outcomes] == [(State.FAILED, wanted) for _, wanted in outcomes]
    assert len(cluster.list("VirtualMachine", NAMESPACE)) == 3


def test_a_stuck_task_stays_where_it_is(lost: Lost):
    task = lost.restore(stuck_at=Step.BOUND)
    assert (task.finish(), task.advance(), task.progress) == (State.RUNNING, State.RUNNING, 80)


def test_a_lazy_task_is_complete_before_its_claims_are(lost: Lost):
    task = lost.restore(lazy_claims=True)
    assert task.finish() is State.SUCCEEDED
    lost.supervisor.operator.settle()
    assert [claim["status"]["phase"] for claim in lost.objects("PersistentVolumeClaim")] == ["Pending"]
    task.bind_claims()
    assert [claim["status"]["phase"] for claim in lost.objects("PersistentVolumeClaim")] == ["Bound"]


@pytest.mark.parametrize(
    ("release", "switch", "registered"),
    [
        ("9.0", {}, 0),
        ("9.0", {records.Key.ENABLE: "on"}, 1),
        ("8.0 U3", {}, 1),
        ("8.0 U3", {records.Key.DISABLE: "true"}, 0),
    ],
)
def test_registration_starts_by_itself_after_a_while(
    lost: Lost, time: Time, release: str, switch: dict[str, str], registered: int
):
    cluster, vcenter = lost.supervisor.cluster, lost.supervisor.vcenter
    wcp = Wcp(cluster, vcenter, clock=time, opt_in=release == "9.0")
    restored = vadp.restore(vcenter, lost.saved.point.of(DATABASE))
    vcenter.change(restored.moid, extra_config={**restored.extra_config, **switch})

    wcp.tick()
    time.advance(89)
    wcp.tick()
    assert not wcp.tasks
    time.advance(2)
    for _ in Step:
        wcp.tick()
    assert len(lost.objects("VirtualMachine")) == registered


def test_a_group_that_comes_too_early_sends_its_vm_to_placement(lost: Lost):
    lost.restore().run_to(Step.VM)
    for manifest in two_tier(web=0, power="").groups:
        lost.supervisor.cluster.create(manifest)
    lost.supervisor.operator.settle()
    assert lost.supervisor.operator.placed == (f"{NAMESPACE}/{DATABASE}",)


def test_a_late_member_of_a_running_group_is_not_powered_on(running: Supervisor):
    late = virtual_machine("late", namespace=NAMESPACE, group="shop-web", power="PoweredOff")
    running.cluster.create(late)
    web = running.cluster.get("VirtualMachineGroup", "shop-web", NAMESPACE)
    assert web is not None
    step = {"members": [*web["spec"]["bootOrder"][0]["members"], {"kind": "VirtualMachine", "name": "late"}]}
    running.cluster.patch(web, {"spec": {"bootOrder": [step]}})
    running.operator.settle()

    assert machine(running, "late")["status"]["powerState"] == "PoweredOff"
    web = running.cluster.get("VirtualMachineGroup", "shop-web", NAMESPACE)
    assert web is not None
    entry = next(entry for entry in web["status"]["members"] if entry["name"] == "late")
    assert (conditions.find(entry, "PowerStateSynced") or {})["reason"] == "NotSynced"


def test_a_vm_that_leaves_its_group_loses_that_owner(running: Supervisor):
    before = machine(running)
    assert [owner["kind"] for owner in before["metadata"]["ownerReferences"]] == ["VirtualMachineGroup"]
    after = running.cluster.patch(before, {"spec": {"groupName": None}})
    assert not after["metadata"].get("ownerReferences")


def test_webhooks_know_the_user_of_a_request(running: Supervisor, api: EmulatedApi):
    stranger = Supervisor(api.new_client())
    with pytest.raises(ForbiddenError, match="restored-vm"):
        stranger.cluster.patch(machine(stranger), {"metadata": {"annotations": {RESTORED: ""}}})
    running.cluster.patch(machine(running), {"metadata": {"annotations": {RESTORED: ""}}})


def test_webhooks_govern_a_groups_power(running: Supervisor, time: Time):
    root = running.cluster.get("VirtualMachineGroup", "shop", NAMESPACE)
    assert root is not None
    stamp = conditions.nanostamp(time.now)
    forced = running.cluster.patch(root, {"spec": {"nextForcePowerStateSyncTime": "now"}})
    assert forced["spec"]["nextForcePowerStateSyncTime"] == stamp
    with pytest.raises(ForbiddenError, match="emptied"):
        running.cluster.patch(root, {"spec": {"powerState": None}})
    copied = {**forced, "metadata": {"name": "copy", "namespace": NAMESPACE}, "status": {}}
    with pytest.raises(ForbiddenError, match="may only be set to"):
        running.cluster.create(copied)
