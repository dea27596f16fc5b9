"""Where VMs are registered: an API server, a simulated vCenter and a reference engine, with VMs in each."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubernetes import client, config
from pydantic import SecretStr

from tests.bench import crowds
from tests.bench.crowds import Crowd, Writer, collection
from tests.e2e.certificates import Authority
from tests.e2e.stack import Stack
from tests.e2e.vcenter import VCenterSimulator
from tests.emulator import machines
from tests.emulator.vm_operator import records
from tests.registration_engine.engine import ReferenceEngine, serving
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.registervm.attempt import Attempt
from velero_vmservice.settings.registration import EngineSettings, VCenterSettings
from velero_vmservice.supervisor.namespace_state import FOLDER_ANNOTATION
from velero_vmservice.vsphere.vm import RELOCATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.cluster import Cluster
    from tests.emulator.kubernetes.cluster import Object

USER: Final = "velero"
"""Namespace of the Velero that is not there, and the account under which the product asks."""
STARTED: Final = "2026-01-02T03:04:05Z"
_PERCENT: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """VMs in vCenter's folder of two namespaces: one has their VirtualMachines, paused, and one does not yet."""

    folder: str
    virtual_machines: Sequence[Object]
    moids: Sequence[str]
    registered: str
    restoring: str


@dataclass(frozen=True, kw_only=True)
class Site:
    """The programs, and who writes into them."""

    cluster: Cluster
    kubeconfig: Path
    writer: Writer
    simulator: VCenterSimulator
    engine: ReferenceEngine
    engine_settings: EngineSettings

    @property
    def vcenter_settings(self) -> VCenterSettings:
        return VCenterSettings(
            server=self.simulator.server,
            user=self.simulator.user,
            password=SecretStr(self.simulator.password),
            ca_file=self.simulator.ca_file,
        )

    def login(self) -> client.Configuration:
        """Return how the product logs in to Kubernetes."""
        settings = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=settings)
        return settings

    def place(self, count: int) -> Place:
        """Have so many VMs restored into vCenter, their VirtualMachines written, and the engine at work."""
        registered, restoring = f"registered-{count}", f"restoring-{count}"
        folder = str(self.simulator.folder(registered)._GetMoId())
        for name in (registered, restoring):
            made = machines.namespace(name)
            made["metadata"]["annotations"][FOLDER_ANNOTATION] = folder
            self.writer.create("/api/v1/namespaces", [made])
            self.writer.create(collection("backups", USER), [_backup(name)])
        vms = Crowd(machines=count, services=1, groups=2).vms(registered)
        back = [crowds.restored(vm, number, registered, paused=True) for number, vm in enumerate(vms)]
        crowds.populate(self.writer, registered, back)
        self.writer.settle(collection(crowds.VM, registered), count)
        moids = self.simulator.restore_all(
            {
                vm["metadata"]["name"]: {
                    "bios_uuid": vm["spec"]["biosUUID"],
                    "instance_uuid": vm["spec"]["instanceUUID"],
                    "extra_config": records.recorded(vm, others=(), disks=(), version="1760000000000"),
                }
                for vm in vms
            },
            folder=registered,
        )
        for vm in vms:
            for namespace in (registered, restoring):
                registration = pb.Registration(
                    name=vm["metadata"]["name"], state=pb.STATE_REGISTERING, percent=_PERCENT
                )
                self.engine.put(namespace, registration, instance_uuid=vm["spec"]["instanceUUID"])
        return Place(folder=folder, virtual_machines=vms, moids=moids, registered=registered, restoring=restoring)

    def restores_run(self, place: Place) -> None:
        """Have a VADP vendor at work on every VM; the engine knows none of them yet."""
        for moid in place.moids:
            self.simulator.disable(moid, RELOCATE)
        for vm in place.virtual_machines:
            self.engine.put(place.restoring, pb.Registration(name=vm["metadata"]["name"]))

    def restores_end(self, place: Place, restore_uid: str) -> None:
        """End the vendor's work, and let RegisterVM be called for every VM on behalf of a restore."""
        attempts = []
        for moid, vm in zip(place.moids, place.virtual_machines, strict=True):
            self.simulator.disable(moid)
            task = self.simulator.begin_registration(moid, percent=_PERCENT)
            attempt = Attempt(
                restore_uid=restore_uid,
                restore=place.restoring,
                namespace=place.restoring,
                vm=vm["metadata"]["name"],
                moid=moid,
                recorded_at=datetime.now(UTC),
            )
            manifest = attempt.manifest(USER).editable()
            attempts.append({**manifest, "data": {**manifest["data"], "task": str(task._GetMoId())}})
        self.writer.create(f"/api/v1/namespaces/{USER}/configmaps", attempts)


def _backup(namespace: str) -> Object:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {"name": namespace, "namespace": USER},
        "spec": {"includedNamespaces": [namespace], "storageLocation": "default"},
        "status": {"phase": "Completed", "startTimestamp": STARTED},
    }


@contextmanager
def standing() -> Iterator[Site]:
    """Run the programs for the length of a block."""
    with ExitStack() as ending:
        directory = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack = Stack(directory, audited=True)
        ending.callback(stack.stop)
        stack.start()
        stack.cluster.namespace(USER)
        stack.cluster.controller_manager.stop()  # it would unbind the claims: no volume is behind them
        (directory / "vcenter").mkdir()
        simulator = VCenterSimulator(directory / "vcenter", Authority(directory / "vcenter"))
        ending.callback(simulator.stop)
        simulator.start()
        engine = ReferenceEngine()
        target = ending.enter_context(serving(engine))
        yield Site(
            cluster=stack.cluster,
            kubeconfig=stack.cluster.account(USER),
            writer=Writer(stack.cluster),
            simulator=simulator,
            engine=engine,
            engine_settings=EngineSettings(target=target, insecure=True),
        )
