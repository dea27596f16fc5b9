"""The plan of a restore: the looks and the course of a restore, and not one write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, group, m, obj, service, vm, vsphere_namespace, with_policy
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.errors import Rejected
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.source.backup_objects import run_of
from velero_vmservice.supervisor.readiness import STABLE_SECONDS
from velero_vmservice.velero.runs import RestoreRun
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.restore.dry_run import Planned

WEB = {"app": "web"}
WANTING = "would be incomplete, for want of a whole VirtualMachineGroup"
VM, FRONT = vm("web-1", labels=WEB), service("front", WEB)
AGAIN = vm("web-1", labels=WEB, uid="new", status={"uniqueID": "vm-1"})


def plan(world: World, *, mapping: dict[str, str] | None = None, **policy: str) -> Sequence[Planned]:
    made = run_of(
        "nightly", namespace="velero", mapping=mapping or {}, annotations=with_policy(**policy)["annotations"]
    )
    run = RestoreRun.read(made)
    app = world.app
    world.cluster.calls.made.clear()
    plan = app.planning.plan(app.backup_objects.captured(run, made.spec), run, app.replays.policy(run))
    assert not world.writes()
    assert not world.vsphere.vcenter.calls.counts["call"]
    return plan


def lost(world: World, *existing: dict[str, Any]) -> None:
    world.back_up(VM, FRONT)
    world.lose(VM, FRONT)
    world.cluster.seed(*existing)


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.FAILED])
def test_a_vm_that_kubernetes_shows_ready_and_vcenter_does_not_is_not_planned_for(state: TaskState) -> None:
    world = World(sources=["vcenter"])
    lost(world, AGAIN)
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    task = world.vsphere.vcenter.call(NAMESPACE, "vm-1", ())
    world.vsphere.vcenter.set_task(task, state, message="no disk")
    world.vsphere.vcenter.calls.made.clear()

    (planned_object,) = plan(world)

    assert planned_object.step.action is (Action.WAIT if state is TaskState.RUNNING else Action.BLOCKED)
    assert f"RegisterVM task {task}" in planned_object.step.reason


def test_a_vm_that_a_restore_calls_registervm_for_is_reported() -> None:
    world = World(mode="trigger")
    lost(world)
    world.vsphere.vcenter.restore(NAMESPACE, restored())

    (planned_object,) = plan(world)

    assert (planned_object.step.action, planned_object.step.reason) == (
        Action.WAIT,
        "web-1: restored, not registered: a restore calls RegisterVM for vm-1",
    )


def test_a_vm_that_was_registered_anew_is_looked_at_twice() -> None:
    world = World()
    lost(world, AGAIN)
    began = world.clock.monotonic()

    (planned_object,) = plan(world)

    assert (planned_object.step.action, planned_object.step.ready) == (Action.CREATE, 1)
    assert world.clock.monotonic() - began == STABLE_SECONDS


def test_a_vm_that_does_not_stay_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    lost(world, AGAIN)
    advance = world.clock.sleep

    def vanish(seconds: float) -> None:
        advance(seconds)
        world.cluster.remove(ObjectRef(VIRTUAL_MACHINE, NAMESPACE, "web-1"))

    monkeypatch.setattr(world.clock, "sleep", vanish)

    (planned_object,) = plan(world)

    assert planned_object.step.action is Action.WAIT
    assert "was registered and has vanished" in planned_object.step.reason


def test_a_vm_that_was_never_lost_costs_no_second_look() -> None:
    world = World()
    lost(world, VM)
    began = world.clock.monotonic()

    (planned_object,) = plan(world)

    assert planned_object.step.action is Action.CREATE
    assert world.clock.monotonic() == began


def test_a_strict_restore_waits_as_a_whole() -> None:
    world = World()
    items = [VM, vm("db-1", labels={"app": "db"}), FRONT, service("back", {"app": "db"})]
    world.back_up(*items)
    world.lose(*items)
    world.cluster.seed(VM)

    back, front = sorted(plan(world, mode="strict"), key=lambda planned_object: planned_object.ref.name)

    assert (back.step.action, back.step.reason) == (Action.WAIT, "db-1: not registered yet")
    assert front.step.action is Action.WAIT
    assert front.step.reason == (
        "every VM is ready; the policy is mode=strict, and VirtualMachineService shop/back is not ready"
        " (waiting: db-1: not registered yet)"
    )
    assert (front.step.ready, front.step.total) == (1, 1)


def test_a_strict_restore_that_cannot_become_whole_is_blocked_as_a_whole() -> None:
    world = World()
    other = {"kind": "VirtualMachineService", "namespace": NAMESPACE}
    items = [VM, FRONT, group("shop", ["db-1"]), vm("db-1", group="shop")]
    world.back_up(*items)
    world.lose(FRONT, items[2])
    world.cluster.seed(obj("Service", "front", api="v1", spec={"selector": other}))

    shop, front = plan(world, mode="strict")

    assert front.step.action is Action.CONFLICT
    assert shop.step.action is Action.BLOCKED
    assert "the policy is mode=strict, and VirtualMachineService shop/front failed" in shop.step.reason


def test_a_strict_restore_is_given_up_for_its_first_cause() -> None:
    world = World()
    groups = [group(name, ["db-1"] if name == "a" else []) for name in "abc"]
    world.back_up(vm("db-1", group="a"), *groups)
    world.lose(vm("db-1"), *groups)
    world.cluster.seed(group("c", ["other"]))

    a, b, c = plan(world, mode="strict", conflict="fail")

    assert c.step.action is Action.CONFLICT
    assert {a.step.reason, b.step.reason} == {
        f"not replayed: the policy is mode=strict, and VirtualMachineGroup shop/c failed: conflict: {c.step.reason}"
    }


def test_one_of_two_objects_with_the_same_name_in_one_namespace_is_created() -> None:
    world = World()
    world.cluster.seed(vsphere_namespace("crm"))
    front = {**FRONT, "metadata": {**FRONT["metadata"], "namespace": "crm"}}
    world.back_up(VM, FRONT, vm("web-1", labels=WEB, namespace="crm"), front)
    world.lose(FRONT, front)

    first, second = plan(world, mapping={"crm": "shop"})

    assert (first.step.action, first.ref) == (Action.CREATE, second.ref)
    assert second.step.action is Action.BLOCKED
    assert second.step.final
    assert "has one of that name, and both are mapped into shop" in second.step.reason


def test_an_object_of_an_earlier_restore_of_that_name_is_no_work_of_this_one() -> None:
    world = World()
    world.back_up(VM, FRONT)
    edited = m(FRONT).editable()
    edited["metadata"] |= {"labels": {"velero.io/restore-name": "nightly"}}
    edited["spec"]["ports"] = [{"name": "other", "protocol": "TCP", "port": 9, "targetPort": 9}]
    world.cluster.seed(edited)
    world.clock.advance(3600)

    (planned_object,) = plan(world)

    assert planned_object.step.action is Action.RETAIN


def test_a_group_whose_member_would_be_refused_would_be_incomplete_up_to_the_root() -> None:
    world = World()
    objects = [
        group("app", ["/tiers"]),
        group("tiers", ["/web"], parent="app"),
        group("web", ["web-1"], parent="tiers"),
    ]
    world.back_up(vm("web-1", group="web"), *objects)
    world.lose(*objects)
    world.cluster.calls.fail("dry-run create", Rejected("no quota"), on="VirtualMachineGroup shop/web")

    steps = {planned_object.ref.name: planned_object.step for planned_object in plan(world)}

    assert steps["web"].action is Action.BLOCKED
    assert steps["tiers"].warnings == (f"{WANTING} shop/web",)
    assert steps["app"].warnings == (f"{WANTING} shop/tiers",)
