"""vCenter as a source: the registration contract on one in memory, and what only time tells."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.clock import SettableClock
from tests.contract.registration_contract import RegistrationContract
from tests.fakes.cluster import MemoryCluster
from tests.fakes.vcenter import MemoryVCenter
from tests.unit.builders import NAMESPACE, obj, vm, vsphere_namespace
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.kube.manifest import SUBNET_SET
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.registration.sources import VCenterRegistration, VsphereLooks
from velero_vmservice.supervisor.observe import SupervisorViews, look_at_vms
from velero_vmservice.vmoperator.releases import Generation, SupervisorRelease
from velero_vmservice.vsphere import extra_config
from velero_vmservice.vsphere.record import Record
from velero_vmservice.vsphere.vm import Registered, SupervisorView, TaskState, VsphereVm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from velero_vmservice.errors import VmServiceError

ENTRIES = {
    "vmservice.virtualmachine.resource.yaml": "record",
    "vmservice.virtualmachine.backupVersion": "1000",
    "vmservice.virtualmachine.enableAutomaticRegistration": "on",
}


class MemoryScene:
    namespace = NAMESPACE
    settled = State.REGISTERED

    def __init__(self) -> None:
        self.clock = SettableClock()
        self.vcenter = MemoryVCenter(clock=self.clock)
        view = SupervisorView(generation=Generation.VCF_9, machines={})
        looks = VsphereLooks(inventory=self.vcenter, supervisor=lambda *_: view)
        self.source = VCenterRegistration(looks=looks, clock=self.clock)

    def restore(self, name: str, **known: Any) -> str:
        moid = f"vm-{name}"
        vsphere_vm = VsphereVm(
            moid=moid,
            name=name,
            instance_uuid=f"instance-of-{name}",
            extra=extra_config.read(ENTRIES),
            record=Record(),
            **known,
        )
        self.vcenter.restore(self.namespace, vsphere_vm)
        return moid

    def begin(self, name: str) -> None:
        self.vcenter.call(self.namespace, self.restore(name), ())

    def register(self, name: str) -> None:
        if not self.vcenter.tasks_of(f"vm-{name}"):
            self.begin(name)
        self.vcenter.set_task(self.vcenter.tasks_of(f"vm-{name}")[-1], TaskState.SUCCEEDED)

    def lose(self, name: str) -> None:
        self.vcenter.lose(f"vm-{name}")

    def away(self, error: VmServiceError | None = None) -> AbstractContextManager[object]:
        return self._failing(error or Unavailable("away"))

    @contextmanager
    def _failing(self, error: VmServiceError) -> Iterator[None]:
        self.vcenter.calls.fail("look", error)
        yield
        self.vcenter.calls.heal()

    def denying(self) -> AbstractContextManager[object]:
        return self.away(Forbidden("denied"))

    def requests(self) -> int:
        return self.vcenter.calls.counts["look"]

    def look(self) -> Registration:
        return self.source.observe(self.namespace, [ExpectedVm(name="web-1", instance_uuid="instance-of-web-1")])[
            "web-1"
        ]


class TestMemory(RegistrationContract):
    @pytest.fixture(name="scene")
    def _scene(self) -> MemoryScene:
        return MemoryScene()


@pytest.fixture(name="scene")
def _scene() -> MemoryScene:
    return MemoryScene()


def test_a_vm_is_overdue_two_minutes_after_it_was_first_seen(scene: MemoryScene) -> None:
    scene.restore("web-1")
    began = scene.clock.now()
    assert "to register it by itself" in scene.look().reason
    scene.clock.advance(119)
    assert "to register it by itself" in scene.look().reason
    scene.clock.advance(1)
    late = scene.look()
    assert "automatic registration is overdue (2 minutes)" in late.reason
    assert (late.since, late.can_wait) == (began, True)


def test_the_two_minutes_begin_when_the_restore_has_ended(scene: MemoryScene) -> None:
    scene.restore("web-1", restoring=True)
    scene.look()
    scene.clock.advance(14 * 60)
    assert scene.look().notes == ()
    scene.clock.advance(60)
    assert "longer than 15 minutes" in scene.look().notes[0]
    scene.restore("web-1")
    assert "to register it by itself" in scene.look().reason
    scene.clock.advance(120)
    assert "overdue" in scene.look().reason


def test_a_second_restore_of_the_same_vm_begins_anew(scene: MemoryScene) -> None:
    scene.restore("web-1")
    scene.look()
    scene.clock.advance(500)
    scene.restore("web-1", restoring=True)
    scene.look()
    scene.restore("web-1")
    assert "to register it by itself" in scene.look().reason


def test_a_task_that_never_ends_is_reported_after_five_minutes_and_waited_for(scene: MemoryScene) -> None:
    scene.begin("web-1")
    scene.vcenter.set_task(scene.vcenter.tasks_of("vm-web-1")[-1], TaskState.RUNNING, percent=80)
    assert scene.look().reason.endswith("has reached register volumes")
    scene.clock.advance(300)
    assert scene.look().reason.endswith("has reached register volumes")
    for _ in range(30):
        scene.clock.advance(3600)
        late = scene.look()
    assert (late.state, late.percent, late.can_wait) == (State.REGISTERING, 80, True)
    assert "look at the CnsRegisterVolumes of the namespace" in late.reason
    scene.register("web-1")
    assert scene.look().state is State.REGISTERED


def test_another_task_of_the_vm_gets_its_own_five_minutes(scene: MemoryScene) -> None:
    scene.begin("web-1")
    scene.look()
    scene.clock.advance(301)
    assert "for more than the 5 minutes" in scene.look().reason
    scene.begin("web-1")
    assert scene.look().reason.endswith("of vm-web-1 has begun")


# What the answers are read against.


@pytest.fixture(name="cluster")
def _cluster() -> MemoryCluster:
    cluster = MemoryCluster(clock=SettableClock())
    cluster.seed(vsphere_namespace())
    return cluster


def views(cluster: MemoryCluster) -> SupervisorViews:
    return SupervisorViews(
        cluster=cluster, generation=lambda: SupervisorRelease(generation=Generation.VCF_9, evidence="")
    )


def test_the_supervisor_tells_folder_and_vms(cluster: MemoryCluster) -> None:
    version = {"annotations": {"vmoperator.vmware.com/backup-version": "7"}}
    cluster.seed(vm("web-1", meta=version))
    assert views(cluster).look(NAMESPACE) == SupervisorView(
        generation=Generation.VCF_9,
        folders=("group-v1",),
        machines={"web-1": Registered(unique_id="vm-web-1", backup_version="7")},
    )


def test_an_observed_namespace_is_not_looked_at_again(cluster: MemoryCluster) -> None:
    cluster.seed(vm("web-1", meta={"annotations": {"vmoperator.vmware.com/backup-version": "7"}}))
    view = views(cluster).look(NAMESPACE)
    observed = look_at_vms(cluster, SettableClock(), NAMESPACE)
    cluster.calls.made.clear()
    assert views(cluster).look(NAMESPACE, observed) == view
    assert cluster.calls.made == []


def test_a_capability_that_the_supervisor_does_not_have_is_unknown(cluster: MemoryCluster) -> None:
    for method in ("get", "list"):
        cluster.calls.fail(method, Forbidden("denied"))
    assert views(cluster).look(NAMESPACE) == SupervisorView(generation=Generation.VCF_9)
    assert views(cluster).vpc(NAMESPACE) is None


def test_a_namespace_is_in_a_vpc_if_it_has_subnet_sets(cluster: MemoryCluster) -> None:
    assert views(cluster).vpc(NAMESPACE) is False
    cluster.serve(SUBNET_SET, "v1alpha1")
    assert views(cluster).vpc(NAMESPACE) is False
    cluster.seed(obj("SubnetSet", "vm-default", api="crd.nsx.vmware.com/v1alpha1"))
    assert views(cluster).vpc(NAMESPACE) is True
