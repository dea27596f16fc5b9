"""Registration on real Velero: vCenter and an engine are asked, RegisterVM is called once, its errors are explained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.certificates import Authority
from tests.e2e.saved import Saved, saved
from tests.e2e.scene import GROUPS, RESTORES, SERVICES, Scene, specs
from tests.e2e.sidecar import Sidecar
from tests.e2e.test_command_line import run
from tests.e2e.wcp import Wcp
from tests.emulator import machines
from tests.emulator.machines import Application
from tests.emulator.wcp.register_steps import Failure
from tests.registration_engine.engine import ReferenceEngine, serving
from tests.waiting import wait_until
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.vsphere.registervm_errors import IN_DESIRED_STATE, TABLE, explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.e2e.stack import Stack
    from tests.e2e.vcenter import VCenterSimulator
    from tests.emulator.supervisor import Supervisor

VMS = ("shop-db-1", "shop-web-1")
RECORDS = "--selector=velero-plugin-for-vmservice/record=registervm-attempt"


@dataclass(frozen=True, kw_only=True)
class Site:
    """One Velero whose sidecar knows a vCenter, and WCP at work there."""

    scene: Scene
    wcp: Wcp
    vcenter: VCenterSimulator

    def lost(self, application: Application) -> Saved:
        """Save an application and lose it; the namespace's folder is the simulator's."""
        shop, space = saved(self.scene, application), application.namespace
        folder = self.vcenter.folder(space)._GetMoId()
        self.scene.cluster.kubectl("annotate", "namespace", space, f"vmware-system-vm-folder={folder}", "--overwrite")
        shop.lose()
        return shop

    def restore(self, shop: Saved, *names: str) -> dict[str, str]:
        """Have VMs restored by the VADP vendor; return their ids."""
        return {name: self.wcp.restore(shop.point, name, into=shop.namespace) for name in names or VMS}

    def called_for(self, space: str) -> list[str]:
        """Return for which VMs of a namespace RegisterVM was called."""
        return sorted(moid for namespace, moid in self.wcp.calls if namespace == space)

    def kill_pod(self) -> None:
        """Kill Velero and our sidecar, as when their node dies."""
        self.scene.server.kill()
        self.scene.sidecar.kill()

    def records(self, space: str) -> list[dict[str, str]]:
        """Return the records of the calls for a namespace."""
        listed = self.scene.cluster.kubectl(
            "get", "configmaps", RECORDS, f"--namespace={self.scene.server.namespace}", "-o", "json"
        )
        every = [config_map["data"] for config_map in json.loads(listed)["items"]]
        return [record for record in every if record["namespace"] == space]


@pytest.fixture(scope="module", name="site")
def _site(
    stack: Stack,
    supervisor: Supervisor,
    vcenter: VCenterSimulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("wcp")
    password = directory / "password"
    password.write_text(vcenter.password)
    server = stack.velero(name="registering")
    with Wcp(vcenter, supervisor, Authority(directory)) as wcp:
        sidecar = Sidecar(server, **_environment(wcp, password))
        sidecar.start()
        try:
            server.start()
            yield Site(scene=Scene(server=server, sidecar=sidecar, supervisor=supervisor), wcp=wcp, vcenter=vcenter)
        finally:
            server.close()
            sidecar.stop()
            vcenter.clear()


@pytest.fixture(name="space")
def _space(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    with site.scene.space_of(request.node.originalname) as name:
        yield name


def _shop(space: str) -> Application:
    return machines.two_tier("shop", namespace=space, web=1)


def _one_service_each(space: str, names: Iterable[str]) -> Application:
    vms = [machines.virtual_machine(name, namespace=space, labels={"app": name}, volumes=("data",)) for name in names]
    return Application(
        namespace=space,
        secrets=(),
        claims=tuple(claim for vm in vms for claim in machines.claims_of(vm)),
        machines=vms,
        groups=(),
        services=tuple(machines.service(name, namespace=space, selector={"app": name}) for name in names),
    )


def _environment(wcp: Wcp, password: Path) -> dict[str, str]:
    return {
        "VMSERVICE_REGISTRATION__SOURCES": '["kubernetes", "vcenter"]',
        "VMSERVICE_REGISTRATION__MODE": "trigger",
        "VMSERVICE_VCENTER__SERVER": wcp.server,
        "VMSERVICE_VCENTER__USER": "backup@vsphere.local",
        "VMSERVICE_VCENTER__PASSWORD_FILE": str(password),
        "VMSERVICE_VCENTER__CA_FILE": str(wcp.ca_file),
        "VMSERVICE_VCENTER__TIMEOUT_SECONDS": "5",
    }


def assert_restored(shop: Saved, restore: str) -> None:
    shop.scene.wait_restored(restore)
    assert specs(shop.scene.all(GROUPS, shop.namespace)) == specs(shop.groups, "powerState")
    assert specs(shop.scene.all(SERVICES, shop.namespace)) == specs(shop.services)


def test_register_vm_is_called_once_and_its_stages_are_shown(site: Site, space: str) -> None:
    shop = site.lost(_shop(space))
    site.scene.server.cli("restore", "create", space, f"--from-backup={space}")
    site.scene.wait_described(space, "vCenter has no VM with")
    site.wcp.volumes.clear()
    moids = site.restore(shop)
    try:
        site.scene.wait_described(space, "registering (80 %, register volumes): RegisterVM task task-")
    finally:
        site.wcp.volumes.set()

    assert_restored(shop, space)
    assert site.called_for(space) == sorted(moids.values())
    assert {record["outcome"] for record in site.records(space)} <= {"succeeded"}


def test_every_error_of_the_guide_ends_partially_failed_with_cause_and_remedy(site: Site, space: str) -> None:
    """A VM and its service for each error; the one that is none has a test of its own."""
    assert {*Failure, IN_DESIRED_STATE} == {entry.code for entry in TABLE}
    failures = {failure.name.lower().replace("_", "-"): failure for failure in Failure}
    shop = site.lost(_one_service_each(space, failures))
    site.wcp.faults.update(failures)
    site.restore(shop, *failures)
    site.scene.start_restore(space, policy={"registered-within": "20s"})
    site.scene.wait_restored(space, "PartiallyFailed")

    stages = site.scene.stages(space)
    described = site.scene.describe(space)
    for name, failure in failures.items():
        entry = explain(failure)
        stage, reason = stages[f"VirtualMachineService {name}"]
        assert (entry.known, entry.code, stage) == (True, failure, "failed")
        assert reason.startswith(f"the policy's registered-within=20s is over: blocked: {name}: failed: RegisterVM")
        assert f"{failure}: {entry.cause}; {entry.remedy}. It is not called again by itself" in reason
        assert reason in described
    assert len(site.called_for(space)) == len(failures)
    assert site.scene.names(SERVICES, space) == set()


def test_a_vm_that_is_in_its_desired_state_already_ends_completed(site: Site, space: str) -> None:
    """Somebody else registers each VM at the moment of the call: the error of the table that is none."""
    shop = site.lost(_shop(space))
    moids = site.restore(shop)
    site.wcp.in_desired_state.update(moids.values())
    site.scene.server.cli("restore", "create", space, f"--from-backup={space}")

    assert_restored(shop, space)
    assert site.called_for(space) == sorted(moids.values())
    records = site.records(space)
    assert [(record["outcome"], explain(record["message"]).code) for record in records] == [
        ("succeeded", IN_DESIRED_STATE) for _ in VMS
    ]


def test_pod_killed_between_record_and_call_makes_no_call(site: Site, space: str) -> None:
    shop = site.lost(_shop(space))
    site.scene.sidecar.stop()
    site.scene.sidecar.start()  # it has no session yet, so that it logs in between record and call
    site.scene.server.cli("restore", "create", space, f"--from-backup={space}")
    site.scene.server.wait_phase(RESTORES, space, "WaitingForPluginOperations")
    site.wcp.at_login = site.kill_pod
    moids = site.restore(shop)
    wait_until(lambda: not site.scene.sidecar.alive, 60, "the pod is killed")
    site.wcp.at_login = site.wcp.do_nothing
    (record,) = site.records(space)
    called = moids[record["vm"]]
    site.scene.sidecar.start()
    site.scene.server.start()
    site.scene.wait_described(space, "has not answered; looking for its task")
    assert called not in site.called_for(space)

    site.wcp.register(space, called)  # a person does

    assert_restored(shop, space)
    assert site.called_for(space) == [moid for moid in moids.values() if moid != called]


def test_sidecar_killed_between_call_and_answer_calls_once_for_two_restores(site: Site, space: str) -> None:
    shop = site.lost(_shop(space))
    moids = site.restore(shop)
    site.wcp.before_answer = site.scene.sidecar.kill
    site.scene.server.cli("restore", "create", space, f"--from-backup={space}")
    wait_until(lambda: not site.scene.sidecar.alive, 60, "the sidecar is killed")
    site.wcp.before_answer = site.wcp.do_nothing
    assert len(site.called_for(space)) == 1
    site.scene.wait_restored(space, "PartiallyFailed")  # Velero gives up on what it was just asking about
    site.scene.sidecar.start()

    again = f"{space}-again"
    site.scene.server.cli("restore", "create", again, f"--from-backup={space}")
    assert_restored(shop, again)
    assert site.called_for(space) == sorted(moids.values())


def test_a_call_by_command_is_followed_where_the_settings_only_observe(
    site: Site, space: str, vcenter: VCenterSimulator, tmp_path: Path
) -> None:
    """Kubernetes is the only source, so that the stages can come from nowhere but the record of the call."""
    file, password = tmp_path / "settings.yaml", tmp_path / "password"
    password.write_text(vcenter.password)
    where = {"server": site.wcp.server, "user": "backup@vsphere.local", "ca_file": str(site.wcp.ca_file)}
    file.write_text(json.dumps({"vcenter": {**where, "password_file": str(password)}}))
    site.scene.sidecar.stop()
    observing = Sidecar(site.scene.server, VMSERVICE_SETTINGS=str(file))
    observing.start()
    try:
        shop = site.lost(_shop(space))
        moids = site.restore(shop)
        site.scene.server.cli("restore", "create", space, f"--from-backup={space}")
        site.scene.wait_described(space, "not registered yet")
        assert site.called_for(space) == []
        site.wcp.volumes.clear()
        try:
            command = ("registration", "trigger", "--restore", space, "-n", space, "--yes", *VMS)
            run(site.scene, *command, settings=file)
            site.scene.wait_described(space, "registering (80 %, register volumes): RegisterVM task task-")
        finally:
            site.wcp.volumes.set()
        assert_restored(shop, space)
        assert site.called_for(space) == sorted(moids.values())
    finally:
        observing.stop()
        site.scene.sidecar.start()


def test_an_engine_is_shown_and_waited_for(site: Site, space: str) -> None:
    engine = ReferenceEngine()

    def stand(state: pb.State.ValueType, percent: int | None = None) -> None:
        for name in VMS:
            known = shop.point.of(name)
            registration = pb.Registration(name=name, state=state, percent=percent)
            engine.put(space, registration, instance_uuid=known.instance_uuid, bios_uuid=known.bios_uuid)

    site.scene.sidecar.stop()
    with serving(engine) as target:
        asking = Sidecar(
            site.scene.server,
            VMSERVICE_REGISTRATION__SOURCES='["kubernetes", "engine"]',
            VMSERVICE_ENGINE__TARGET=target,
            VMSERVICE_ENGINE__INSECURE="true",
        )
        asking.start()
        try:
            shop = site.lost(_shop(space))
            stand(pb.STATE_REGISTERING, 40)
            site.scene.server.cli("restore", "create", space, f"--from-backup={space}")
            site.scene.wait_described(space, "registering (40 %, restore additional resources)")
            shop.register(*VMS)
            site.scene.wait_described(space, "note: kubernetes says ready")
            assert site.scene.names(SERVICES, space) == set()
            stand(pb.STATE_READY)
            assert_restored(shop, space)
        finally:
            asking.stop()
            site.scene.sidecar.start()
    assert site.called_for(space) == []
