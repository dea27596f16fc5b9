"""Whole restores that ask vCenter and an engine besides Kubernetes: shown, explained, never opened early."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit import restored_vms
from tests.unit.builders import NAMESPACE, condition, restore, service, vm, with_policy
from tests.unit.world import World
from velero_vmservice.errors import Unavailable
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.vsphere.vm import VsphereVm

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB), service("front", WEB)
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"
REMEDY = "put it right, then call RegisterVM"
HOUR = 3600


def lost(world: World, *kept: dict[str, Any]) -> str:
    """Back up a VM and its service, lose both but for what is kept, and begin a restore."""
    items = world.back_up(VM, FRONT)
    world.lose(*[manifest for manifest in (VM, FRONT) if manifest not in kept])
    (operation,) = world.replay_all(items)
    return operation


def says(world: World, state: State, reason: str = "", **known: Any) -> None:
    world.engine.tell(NAMESPACE, Registration(name="web-1", state=state, reason=reason, **known))


def back(world: World) -> None:
    mark = {"annotations": {"vmoperator.vmware.com/restored-vm": ""}}
    world.cluster.seed(vm("web-1", labels=WEB, uid="new", meta=mark))


def failed(world: World) -> None:
    says(world, State.FAILED, f"no disk: {REMEDY}", code=CLAIM_FAILED, can_wait=False)


@pytest.fixture(name="engine_world")
def _engine_world() -> World:
    return World(sources=["engine"])


def test_progress_shows_how_far_an_engine_is(engine_world: World) -> None:
    operation = lost(engine_world)
    says(engine_world, State.ABSENT)
    assert engine_world.polled(operation).description == "waiting: web-1: absent: not registered yet"
    says(engine_world, State.REGISTERING, "task-7", percent=80)
    progress = engine_world.polled(operation)
    assert progress.description == "waiting: web-1: registering (80 %, register volumes): task-7"
    assert (progress.done, progress.total, progress.units) == (0, 1, "VMs")
    back(engine_world)
    assert "80 %" in engine_world.polled(operation).description
    says(engine_world, State.READY)
    assert engine_world.finish([operation])[operation].error == ""
    assert engine_world.created() == ["VirtualMachineService shop/front"]


def test_no_source_is_asked_that_the_settings_do_not_name(world: World) -> None:
    operation = lost(world)
    failed(world)
    assert world.polled(operation).description == "waiting: web-1: not registered yet"
    assert (world.engine.calls.made, world.vsphere.vcenter.calls.made) == ([], [])


def test_an_engine_is_asked_for_each_vm_once_a_round(engine_world: World) -> None:
    other = service("other", WEB)
    items = engine_world.back_up(VM, FRONT, other)
    engine_world.lose(VM, FRONT, other)
    operations = engine_world.replay_all(items)
    for _ in range(3):
        engine_world.round(operations)
    assert engine_world.engine.calls.counts["observe"] == 3


def test_a_failure_is_explained_and_waits_until_it_is_put_right(engine_world: World) -> None:
    operation = lost(engine_world)
    failed(engine_world)
    for _ in range(3):
        engine_world.clock.advance(HOUR)
        progress = engine_world.polled(operation)
    assert not progress.completed
    assert progress.description == f"waiting: blocked: web-1: failed: no disk: {REMEDY}"
    says(engine_world, State.READY)
    back(engine_world)
    assert engine_world.finish([operation])[operation].error == ""


def test_a_failure_that_is_not_put_right_ends_at_the_deadline_with_cause_and_remedy(engine_world: World) -> None:
    operation = lost(engine_world)
    failed(engine_world)
    engine_world.polled(operation, **with_policy(registered_within="1h"))
    engine_world.clock.advance(HOUR)
    progress = engine_world.polled(operation, **with_policy(registered_within="1h"))
    assert progress.error == (
        "VirtualMachineService shop/front: the policy's registered-within=1h is over: blocked: web-1: failed: no disk:"
        f" {REMEDY} | to do: See the errors of the CnsRegisterVolumes in the namespace and the CSI driver's pods in"
        " vmware-system-csi, put it right, and have the registration engine register it once more; then repeat the"
        " restore."
    )
    report = engine_world.document("restores/again/20260301T120000Z/report.json")
    assert report["outcome"] == "failed"
    (step, *_) = report["steps"]
    assert "have the registration engine register it once more" in step["words"]
    assert step["about"] == ["VirtualMachine/shop/web-1"]
    assert step["commands"] == [
        f"velero-vmservice registration explain {CLAIM_FAILED} -n shop --vm web-1",
        "velero-vmservice restore --resume again",
    ]
    assert report["machines"][0]["waiting_for"] == f"failed: no disk: {REMEDY}"


def test_a_failure_is_kept_as_the_result_when_velero_gives_up(engine_world: World) -> None:
    operation = lost(engine_world)
    failed(engine_world)
    engine_world.polled(operation)
    engine_world.app.actions.restore["replay"].cancel(operation, restore())
    report = engine_world.document("restores/again/20260301T120000Z/report.json")
    assert REMEDY in report["objects"][0]["reason"]
    assert report["objects"][0]["stage"] == "cancelled"


def test_only_what_needs_the_failed_vm_fails(engine_world: World) -> None:
    other, apart = vm("db-1", labels={"app": "db"}), service("store", {"app": "db"})
    items = engine_world.back_up(VM, FRONT, other, apart)
    engine_world.lose(VM, FRONT, other, apart)
    operations = engine_world.replay_all(items)
    failed(engine_world)
    engine_world.engine.tell(NAMESPACE, Registration(name="db-1", state=State.READY))
    engine_world.cluster.seed(vm("db-1", labels={"app": "db"}, uid="new"))
    for _ in range(4):
        engine_world.round(operations, **with_policy(registered_within="1h"))
    engine_world.clock.advance(HOUR)
    ended = engine_world.finish(operations, **with_policy(registered_within="1h"))
    assert sorted(bool(progress.error) for progress in ended.values()) == [False, True]
    assert engine_world.created() == ["VirtualMachineService shop/store"]


def test_a_source_that_is_away_is_a_note_and_the_restore_goes_on(engine_world: World) -> None:
    operation = lost(engine_world)
    engine_world.engine.calls.fail("observe", Unavailable("the engine is away", hint="look at its log"))
    progress = engine_world.polled(operation)
    assert progress.description == (
        "waiting: web-1: not registered yet | note: engine cannot be asked: the engine is away: look at its log"
    )
    back(engine_world)
    ended = engine_world.finish([operation])[operation]
    assert ended.error == ""
    assert engine_world.created() == ["VirtualMachineService shop/front"]


def test_a_source_that_breaks_down_is_a_note_and_the_restore_goes_on(engine_world: World) -> None:
    def break_down(_: str) -> None:
        raise KeyError("no such key")

    operation = lost(engine_world)
    engine_world.engine.calls.before("observe", break_down)
    assert engine_world.polled(operation).description == (
        "waiting: web-1: not registered yet | note: engine cannot be asked: it broke down (KeyError): see the log"
        " and report it"
    )
    back(engine_world)
    assert engine_world.finish([operation])[operation].error == ""


def test_all_sources_away_is_waiting_with_each_reason(engine_world: World) -> None:
    operation = lost(engine_world)
    engine_world.engine.calls.fail("observe", Unavailable("the engine is away", hint="look at its log"))
    engine_world.cluster.calls.fail("list", Unavailable("the API server is away", hint="it is asked again"))
    for _ in range(60):
        engine_world.clock.advance(10)
        progress = engine_world.poll(operation)
        assert not progress.completed
        assert "the API server is away" in progress.description
    engine_world.cluster.calls.heal()
    engine_world.engine.calls.heal()
    says(engine_world, State.READY)
    back(engine_world)
    assert engine_world.finish([operation])[operation].error == ""


def test_sources_that_disagree_are_both_shown(engine_world: World) -> None:
    operation = lost(engine_world)
    says(engine_world, State.READY, "done at 12:00")
    assert engine_world.polled(operation).description.startswith(
        "waiting: web-1: absent: engine says ready: done at 12:00, and no VirtualMachine is there yet: if none comes,"
    )
    says(engine_world, State.REGISTERED, "its disks are not bound")
    back(engine_world)
    for _ in range(3):
        progress = engine_world.polled(operation)
    assert progress.description.startswith(
        "waiting: web-1: registered: its disks are not bound | note: kubernetes says"
    )
    assert engine_world.created() == []


def restored(world: World, **known: Any) -> None:
    machine = VsphereVm(moid="vm-7", name="web-1", instance_uuid="instance-of-web-1", **known)
    world.vsphere.vcenter.restore(NAMESPACE, machine)


def test_a_vm_that_vadp_still_restores_keeps_its_gate_shut_though_kubernetes_is_ready() -> None:
    world = World(sources=["vcenter"])
    operation = lost(world, VM)
    restored(world, restoring=True)
    for _ in range(3):
        progress = world.polled(operation)
    assert "the VADP restore of vm-7 still runs" in progress.description
    assert "kubernetes says ready: the VM that was backed up, never lost" in progress.description
    world.clock.advance(15 * 60)
    assert "longer than 15 minutes: automatic registration may come too early" in world.polled(operation).description
    assert world.created() == []
    restored(world)
    world.cluster.seed(vm("web-1", labels=WEB, status={"uniqueID": "vm-7"}))
    assert world.finish([operation])[operation].error == ""


def test_vcenter_is_asked_on_what_the_round_has_observed() -> None:
    """One LIST of each kind, and the folder from the same GET of the namespace."""
    world = World(sources=["vcenter"])
    operation = lost(world)
    restored(world)
    world.polled(operation)
    world.cluster.calls.made.clear()
    world.clock.advance(10)
    assert "VM vm-7 is restored" in world.poll(operation).description
    listed = [subject for method, subject in world.cluster.calls.made if method == "list"]
    asked_for = [subject for subject in listed if subject.endswith(" shop")]
    assert "VirtualMachine shop" in asked_for
    assert len(set(asked_for)) == len(asked_for)
    assert world.cluster.calls.made.count(("get", "Namespace shop")) == 1


def test_the_place_of_a_missing_vm_is_reported() -> None:
    world = World(sources=["vcenter"])
    operation = lost(world)
    restored(world, in_folder=False, folder="attic")
    description = world.polled(operation).description
    assert description.startswith("waiting: web-1: absent: not registered yet; vCenter has no such VM in the folder of")
    assert 'vm-7 with its UUID is in folder "attic"' in description
    world.clock.advance(HOUR)
    world.polled(operation, **with_policy(registered_within="1h"))
    (result,) = world.document("restores/again/20260301T120000Z/report.json")["objects"]
    (remedy,) = result["remedy"]
    assert remedy.startswith("See whether vm-7 is the restored VM: if so, move it into the folder of namespace")


def test_registered_and_nowhere_to_be_seen_ends_with_code_and_remedy() -> None:
    world = World(sources=["vcenter"], mode="trigger")
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored_vms.restored("vm-7"))
    world.vsphere.vcenter.registered.add("vm-7")
    world.polled(operation)
    world.clock.advance(HOUR)
    progress = world.polled(operation, **with_policy(registered_within="1h"))
    assert "AlreadyInDesiredState" in progress.error
    assert "no VirtualMachine is there yet: if none comes, see in vCenter under which name" in progress.error
    assert progress.error.endswith("; then repeat the restore")
    (result,) = world.document("restores/again/20260301T120000Z/report.json")["objects"]
    assert result["remedy"][0].startswith("See in vCenter under which name and in which namespace it was registered")


def test_a_vm_restored_over_a_live_one_and_not_registered_is_described_as_vcenter_sees_it() -> None:
    world = World(sources=["vcenter"])
    operation = lost(world, VM)
    behind = condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused")
    live = {"uniqueID": "vm-7", "conditions": [condition("VirtualMachineCreated"), behind]}
    version = {"annotations": {"vmoperator.vmware.com/backup-version": "2000"}}
    world.cluster.seed(vm("web-1", labels=WEB, status=live, meta=version))
    world.vsphere.vcenter.restore(NAMESPACE, restored_vms.restored("vm-7"))
    description = world.polled(operation).description
    assert description.startswith(
        "waiting: blocked: web-1: restored, not registered: VM vm-7 is restored: automatic registration is off"
    )
    assert "(VirtualMachineBackupPaused)" in description


def test_a_vm_in_an_engines_queue_is_no_call_for_a_person() -> None:
    world = World(sources=["engine", "vcenter"])
    operation = lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored_vms.restored("vm-7"))
    says(world, State.RESTORED, "queued behind 12 others")
    assert world.polled(operation).description == ("waiting: web-1: restored, not registered: queued behind 12 others")


def test_a_source_that_hangs_costs_no_poll_more_than_one_wait_and_the_others_go_on() -> None:
    world = World(sources=["vcenter", "engine"])
    operation = lost(world)

    def hang(_: str) -> None:
        world.clock.advance(15)
        raise Unavailable("vCenter did not answer in time")

    world.vsphere.vcenter.calls.before("look", hang)
    begun: list[float] = []
    world.engine.calls.before("observe", lambda _: begun.append(world.clock.monotonic()))
    waits = []
    for _ in range(6):
        world.clock.advance(10)
        before = world.clock.monotonic()
        progress = world.poll(operation)
        waits.append(world.clock.monotonic() - before)
        assert all(at - before <= 4 for at in begun)
        begun.clear()
        assert "vcenter cannot be asked: vCenter did not answer in time" in progress.description
    assert waits == [15, 0, 0, 15, 0, 0]
    back(world)
    says(world, State.READY)
    assert world.finish([operation])[operation].error == ""


@pytest.mark.parametrize(("created_at", "noted"), [("2027-01-01T00:00:00Z", True), ("2025-01-01T00:00:00Z", False)])
def test_a_vm_that_was_made_anew_since_the_backup_is_reported(
    engine_world: World, created_at: str, *, noted: bool
) -> None:
    operation = lost(engine_world)
    says(engine_world, State.REGISTERING, "task-7")
    engine_world.cluster.seed(vm("web-1", labels=WEB, uid="new", meta={"creationTimestamp": created_at}))
    description = engine_world.polled(operation).description
    assert ("was created after the backup and has no mark of RegisterVM" in description) is noted


def test_a_vm_that_the_engine_was_not_given_is_not_held_up(engine_world: World) -> None:
    operation = lost(engine_world)
    says(engine_world, State.UNKNOWN, "this engine was not given the VM")
    back(engine_world)
    description = engine_world.polled(operation).description
    assert "engine cannot tell: this engine was not given the VM" in description
    assert engine_world.finish([operation])[operation].error == ""
    assert engine_world.created() == ["VirtualMachineService shop/front"]
