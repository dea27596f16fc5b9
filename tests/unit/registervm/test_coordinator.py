"""What all sources together say, for a restore and for a look alone."""

from __future__ import annotations

from tests.unit.builders import NAMESPACE, vm
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, NotSent, Unavailable
from velero_vmservice.registervm.attempt import ForRestore
from velero_vmservice.registration.model import Registration, State

WEB = [ExpectedVm(name="web-1", instance_uuid="instance-of-web-1"), ExpectedVm(name="web-2")]


def test_a_look_asks_every_source_once_and_calls_for_no_vm() -> None:
    world = World(sources=["vcenter", "engine"], mode="trigger")
    world.cluster.seed(vm("web-2"))
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    world.engine.tell(NAMESPACE, Registration(name="web-2", state=State.READY))
    registrations = world.app.registering.look(NAMESPACE, WEB)

    assert world.app.registering.sources == ("kubernetes", "vcenter", "engine")
    assert (registrations["web-1"].state, registrations["web-1"].told_by) == (State.RESTORED, "vcenter")
    assert (registrations["web-2"].state, registrations["web-2"].told_by) == (State.READY, "engine, kubernetes")
    assert world.engine.calls.counts["observe"] == 1
    assert world.vsphere.vcenter.calls.counts["call"] == 0


def test_looking_does_not_make_a_call_that_did_not_reach_vcenter() -> None:
    world = World(sources=["vcenter"], mode="trigger")
    calls = world.vsphere.vcenter.calls
    world.vsphere.vcenter.restore(NAMESPACE, restored())
    restore, trigger = ForRestore(uid="uid-of-again", name="again"), world.app.registering.trigger
    assert trigger is not None
    calls.fail("call", NotSent("vCenter cannot be reached"), times=1)
    assert trigger.advance(restore, NAMESPACE, WEB[:1])["web-1"].state is State.RESTORED
    assert world.vsphere.vcenter.tasks_of("vm-1") == ()

    looked = world.app.registering.look(NAMESPACE, WEB, restore=restore)["web-1"]
    assert "was to be called" in looked.reason
    assert world.vsphere.vcenter.tasks_of("vm-1") == ()
    assert trigger.advance(restore, NAMESPACE, WEB[:1])["web-1"].state is State.REGISTERING
    assert len(world.vsphere.vcenter.tasks_of("vm-1")) == 1


def test_looking_asks_kubernetes_once_for_all_sources() -> None:
    world = World(sources=["vcenter"])
    world.cluster.calls.made.clear()
    world.app.registering.look(NAMESPACE, WEB)
    assert [subject for method, subject in world.cluster.calls.made if method == "list"] == [
        "VirtualMachine shop",
        "PersistentVolumeClaim shop",
        "CnsRegisterVolume shop",
    ]


def test_a_look_notes_a_cluster_that_denies_and_returns_what_the_other_sources_know() -> None:
    world = World(sources=["engine"])
    world.cluster.calls.fail("list", Forbidden("VMs are denied"), on="VirtualMachine shop")
    world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.REGISTERING, percent=40))
    registrations = world.app.registering.look(NAMESPACE, WEB)

    assert (registrations["web-1"].state, registrations["web-1"].percent) == (State.REGISTERING, 40)
    assert "kubernetes cannot be asked: VMs are denied" in registrations["web-1"].notes


def test_where_no_source_answers_all_reasons_are_reported() -> None:
    world = World(sources=["engine"])
    world.cluster.calls.fail("list", Unavailable("the API server is away"))
    world.engine.calls.fail("observe", Unavailable("the engine is away"))
    (first, _) = world.app.registering.look(NAMESPACE, WEB).values()

    assert (first.state, first.can_wait) == (State.UNKNOWN, True)
    assert first.reason == (
        "engine cannot be asked: the engine is away; kubernetes cannot be asked: the API server is away"
    )
