"""The registration contract on memory, a registration engine and Kubernetes, and what is the latter's own."""

from __future__ import annotations

import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from kubernetes import client

from tests.clock import SettableClock
from tests.contract.registration_contract import RegistrationContract, Scene, wanted
from tests.emulator.kubernetes.api_resources import resources
from tests.emulator.kubernetes.kmock_api import EmulatedApi, emulated_api
from tests.emulator.machines import two_tier
from tests.emulator.supervisor import Supervisor
from tests.emulator.wcp.register_steps import Step
from tests.fakes.registration import MemoryRegistration
from tests.registration_engine.engine import ReferenceEngine, serving
from tests.registration_engine.scripted import Refusing
from tests.unit.builders import claim, registration, vm, vsphere_namespace
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.archive.facts import ExpectedVm, vm_facts
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, Manifest, ObjectRef
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.registration.sources import KubernetesRegistration
from velero_vmservice.settings.registration import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.errors import VmServiceError


class MemoryScene:
    namespace = "shop"
    settled = State.READY

    def __init__(self) -> None:
        self.source = MemoryRegistration()

    def register(self, name: str) -> None:
        self.source.tell(self.namespace, Registration(name=name, state=State.READY))

    def begin(self, name: str) -> None:
        begun = Registration(name=name, state=State.REGISTERING, percent=40, reason="restores its Secrets")
        self.source.tell(self.namespace, begun)

    def lose(self, name: str) -> None:
        self.source.forget(self.namespace, name)

    @contextmanager
    def away(self, error: VmServiceError | None = None) -> Iterator[None]:
        self.source.calls.fail("observe", error or Unavailable("away"))
        yield
        self.source.calls.heal()

    def denying(self) -> Any:
        return self.away(Forbidden("denied"))

    def requests(self) -> int:
        return self.source.calls.counts["observe"]


class TestMemory(RegistrationContract):
    @pytest.fixture(name="scene")
    def _scene(self) -> Scene:
        return MemoryScene()

    def test_the_source_in_memory_answers_as_a_test_says(self, scene: MemoryScene) -> None:
        scene.begin("web-1")
        registration = self.look(scene)
        assert str(registration) == "registering (40 %, restore additional resources): restores its Secrets"


class EngineScene:
    namespace = "shop"
    settled = State.READY

    def __init__(self, serving_them: ExitStack) -> None:
        self._engine = ReferenceEngine()
        self._serving = serving_them
        target = serving_them.enter_context(serving(self._engine))
        self._port = int(target.rpartition(":")[2])
        self.source = RegistrationEngine(EngineSettings(target=target, insecure=True), SettableClock())

    def register(self, name: str) -> None:
        self._put(pb.Registration(name=name, state=pb.STATE_READY))

    def begin(self, name: str) -> None:
        begun = {"state": pb.STATE_REGISTERING, "percent": 40, "message": "restores its Secrets"}
        self._put(pb.Registration(name=name, **begun))

    def lose(self, name: str) -> None:
        self._put(pb.Registration(name=name, state=pb.STATE_ABSENT))

    @contextmanager
    def away(self) -> Iterator[None]:
        self._serving.close()
        yield
        self._serving.enter_context(serving(self._engine, port=self._port))

    @contextmanager
    def denying(self) -> Iterator[None]:
        self._serving.close()
        with serving(Refusing(grpc.StatusCode.PERMISSION_DENIED, "not you"), port=self._port):
            yield
        self._serving.enter_context(serving(self._engine, port=self._port))

    def requests(self) -> int:
        return len(self._engine.questions)

    def _put(self, registration: pb.Registration) -> None:
        self._engine.put(self.namespace, registration, instance_uuid=f"instance-of-{registration.name}")


class TestEngine(RegistrationContract):
    @pytest.fixture(name="scene")
    def _scene(self) -> Iterator[Scene]:
        with ExitStack() as serving_them:
            yield EngineScene(serving_them)


class KubernetesScene:
    settled = State.READY

    def __init__(self, api: EmulatedApi) -> None:
        self.api = api
        self.clock = SettableClock()
        self.namespace = f"test-{uuid.uuid4().hex[:8]}"
        settings = client.Configuration()
        settings.host = api.url
        self.cluster = KubernetesCluster(settings, timeout_seconds=5.0, clock=self.clock)
        self.source = KubernetesRegistration(cluster=self.cluster, clock=self.clock)
        api.seed([vsphere_namespace(self.namespace)])
        self._player = Supervisor(api.client).cluster

    def register(self, name: str) -> None:
        self.lose(name)
        disk = claim(f"disk-of-{name}") | {"spec": {}}
        disk["metadata"]["namespace"] = self.namespace
        self.api.seed([vm(name, namespace=self.namespace, claims=[f"disk-of-{name}"]), disk])

    def begin(self, name: str) -> None:
        paused = {"annotations": {"vmoperator.vmware.com/paused": "true"}}
        self.api.seed([vm(name, namespace=self.namespace, meta=paused)])

    def lose(self, name: str) -> None:
        manifest = self._player.get("VirtualMachine", name, self.namespace)
        if manifest is not None:
            self._player.delete(manifest)

    def away(self) -> Any:
        return self.api.outage()

    def denying(self) -> Any:
        return self.forbidding("virtualmachines")

    def forbidding(self, resource: str) -> Any:
        """Deny a resource as RBAC does."""
        return self.api.fails(403, resource=resource, message=f'User "velero" cannot list resource "{resource}"')

    def requests(self) -> int:
        return self.api.count("list") + self.api.count("get")


@pytest.fixture(name="api", scope="module")
def _api() -> Iterator[EmulatedApi]:
    with emulated_api() as api:
        yield api


class TestKubernetes(RegistrationContract):
    @pytest.fixture(name="scene")
    def _scene(self, api: EmulatedApi) -> Scene:
        return KubernetesScene(api)

    @pytest.mark.parametrize(
        ("resource", "note"),
        [
            ("persistentvolumeclaims", "cannot tell whether the disks' PVCs are bound"),
            ("cnsregistervolumes", "cannot tell how far the disks are registered"),
        ],
    )
    def test_a_kind_that_is_forbidden_is_done_without_and_noted(
        self, scene: KubernetesScene, resource: str, note: str
    ) -> None:
        scene.register("web-1")
        with scene.forbidding(resource):
            registration = self.look(scene)

        assert registration.state is State.READY
        assert len(registration.notes) == 1
        assert registration.notes[0].startswith(note)
        assert self.look(scene).notes == ()

    def test_a_namespace_that_may_not_be_read_is_taken_for_one_of_vcenters(self, scene: KubernetesScene) -> None:
        with scene.forbidding("namespaces"):
            registration = self.look(scene)
        assert (registration.state, registration.reason, registration.can_wait) == (
            State.ABSENT,
            "not registered yet",
            True,
        )

    def test_a_state_lasts_since_it_was_first_seen(self, scene: KubernetesScene) -> None:
        began = scene.clock.now()
        scene.begin("web-1")
        assert self.look(scene).since == began
        scene.clock.advance(60)
        assert self.look(scene).since == began
        scene.register("web-1")
        assert self.look(scene).since == scene.clock.now()

    def test_a_whole_look_costs_four_requests(self, scene: KubernetesScene) -> None:
        self.look(scene)
        before = scene.requests()
        self.look(scene)
        assert scene.requests() - before == 4


def test_kinds_that_a_cluster_lacks_are_reported() -> None:
    with emulated_api(resources(without=["cnsregistervolumes"])) as api:
        scene = KubernetesScene(api)
        scene.register("web-1")
        (registration,) = scene.source.observe(scene.namespace, [wanted("web-1")]).values()
        assert (registration.state, registration.notes) == (
            State.READY,
            ("cannot tell how far the disks are registered: no CnsRegisterVolume is served",),
        )
    with emulated_api(resources(versions=())) as api:
        scene = KubernetesScene(api)
        (registration,) = scene.source.observe(scene.namespace, [wanted("web-1")]).values()
        assert registration.state is State.UNKNOWN
        assert registration.reason.startswith("the cluster serves no VirtualMachine: ")


def test_every_step_of_a_real_registration_is_reported() -> None:
    """The player restores a VM as WCP does, one step after the other."""
    with emulated_api() as api:
        supervisor = Supervisor(api.client)
        supervisor.deploy(two_tier(web=0))
        scene = KubernetesScene(api)
        ref = ObjectRef(VIRTUAL_MACHINE, "shop", "shop-db-1")
        captured = ExpectedVm(
            name=ref.name, facts=vm_facts(scene.cluster.get(ref)), captured_at=scene.clock.now().isoformat()
        )

        def state() -> State:
            return scene.source.observe("shop", [captured])[ref.name].state

        states = {"before": state()}
        point = supervisor.back_up("shop")
        supervisor.lose("shop")
        states["lost"] = state()
        task = supervisor.restore(point, ref.name)
        for step in Step:
            task.run_to(step)
            states[step.name] = state()
        supervisor.operator.settle("shop")
        states["settled"] = state()

    assert states == {
        "before": State.READY,
        "lost": State.ABSENT,
        **{step.name: State.ABSENT for step in Step if step < Step.VM},
        "VM": State.PAUSED,
        "COMPLETE": State.REGISTERED,
        "settled": State.READY,
    }


def test_disks_that_take_longer_than_register_vm_gets_are_noted_with_what_to_look_at(api: EmulatedApi) -> None:
    scene = KubernetesScene(api)
    disk = registration("disk-of-web-1")
    disk["metadata"]["namespace"] = scene.namespace
    scene.register("web-1")
    api.seed([disk])

    def look() -> Registration:
        return scene.source.observe(scene.namespace, [wanted("web-1")])["web-1"]

    begun = look().since
    assert begun is not None
    scene.clock.advance((begun - scene.clock.now()).total_seconds() + 300)
    assert look().notes == ()
    scene.clock.advance(1)
    (note,) = look().notes
    assert "RegisterVM stands at 80 % meanwhile: look at the CnsRegisterVolumes of the namespace" in note


def test_a_missing_vm_is_described_by_its_disks(api: EmulatedApi) -> None:
    scene = KubernetesScene(api)
    disk = registration("disk-of-web-1", error="datastore ds-1 is not accessible")
    disk["metadata"]["namespace"] = scene.namespace
    scene.register("web-1")
    api.seed([disk])
    observed = scene.source.observe(scene.namespace, [wanted("web-1")])["web-1"]

    assert observed.state is State.REGISTERING
    assert "look at its datastore: it is not accessible" in observed.reason
    assert isinstance(scene.cluster.get(ObjectRef(VIRTUAL_MACHINE, scene.namespace, "web-1")), Manifest)
