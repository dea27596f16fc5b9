"""The registration contract's Kubernetes source on the real API server, its accounts and VM Operator at work."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from kubernetes import client, config

from tests.contract.registration_contract import RegistrationContract
from tests.emulator import machines
from tests.emulator.vm_operator.vm_controller import PAUSED
from tests.waiting import wait_until
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.registration.model import State
from velero_vmservice.registration.sources import KubernetesRegistration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stack import Stack
    from tests.emulator.kubernetes.cluster import Object
    from tests.emulator.supervisor import Supervisor

ACCOUNT = "registration-source"
VMS, GROUP = "virtualmachines", "vmoperator.vmware.com"


class Requests(logging.Handler):
    """Counts what urllib3 sends from this thread; VM Operator's has a client of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        self.made += record.thread == self._thread and '"GET ' in str(record.msg % record.args)


class ApiServerScene:
    """A vSphere Namespace on the real API server, asked under an account that is not an administrator."""

    settled = State.READY

    def __init__(self, stack: Stack, supervisor: Supervisor, requests: Requests) -> None:
        self._stack, self._player, self._requests = stack, supervisor.cluster, requests
        self.namespace = f"registering-{uuid.uuid4().hex[:8]}"
        self._player.create(machines.namespace(self.namespace))
        self._binding = f"account-{ACCOUNT}"
        if stack.cluster.find("clusterrolebindings.rbac.authorization.k8s.io", self._binding) is None:
            stack.cluster.account(ACCOUNT)
        settings = client.Configuration()
        kubeconfig = stack.cluster.directory / f"{ACCOUNT}.kubeconfig"
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        cluster = KubernetesCluster(settings, timeout_seconds=3.0, clock=SystemClock())
        self.source = KubernetesRegistration(cluster=cluster, clock=SystemClock())

    def begin(self, name: str) -> None:
        machine = machines.virtual_machine(name, namespace=self.namespace, power="PoweredOff")
        machine["spec"]["instanceUUID"] = instance_uuid(name)
        machine["metadata"]["annotations"] = {PAUSED: "true"}
        self._player.create(machine)

    def register(self, name: str) -> None:
        if self._find(name) is None:
            self.begin(name)
        self._player.patch(self._there(name), {"metadata": {"annotations": {PAUSED: None}}})
        wait_until(lambda: self._is_created(name), 60, f"VM Operator reconciles {name}")

    def lose(self, name: str) -> None:
        self._player.delete(self._there(name))
        wait_until(lambda: self._find(name) is None, 30, f"{name} is gone")

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let the API server hang: it accepts connections and answers nothing."""
        server = self._stack.cluster.api_server.pid
        os.kill(server, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(server, signal.SIGCONT)

    @contextmanager
    def denying(self) -> Iterator[None]:
        """Take the account's role away."""
        binding = self._stack.cluster.get("clusterrolebindings.rbac.authorization.k8s.io", self._binding)
        self._stack.cluster.kubectl("delete", "clusterrolebinding", self._binding)
        wait_until(lambda: not self._may_list(), 30, "the account may no longer list VMs")
        try:
            yield
        finally:
            self._stack.cluster.create({**binding, "metadata": {"name": self._binding}})
        wait_until(self._may_list, 30, "the account may list VMs again")

    def requests(self) -> int:
        return self._requests.made

    def _may_list(self) -> bool:
        attributes = client.V1ResourceAttributes(verb="list", group=GROUP, resource=VMS, namespace=self.namespace)
        review = client.V1SubjectAccessReview(
            spec=client.V1SubjectAccessReviewSpec(user=ACCOUNT, resource_attributes=attributes)
        )
        with config.new_client_from_config(str(self._stack.cluster.kubeconfig)) as api:
            answer = client.AuthorizationV1Api(api).create_subject_access_review(review)
        return bool(answer.status.allowed)

    def _is_created(self, name: str) -> bool:
        status = self._there(name).get("status") or {}
        conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}
        return bool(status.get("uniqueID")) and conditions.get("VirtualMachineCreated") == "True"

    def _find(self, name: str) -> Object | None:
        return self._player.get("VirtualMachine", name, self.namespace)

    def _there(self, name: str) -> Object:
        vm = self._find(name)
        assert vm is not None, name
        return vm


def instance_uuid(name: str) -> str:
    """What the real schema takes for one."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


class TestApiServer(RegistrationContract):
    @pytest.fixture(name="scene")
    def _scene(self, stack: Stack, supervisor: Supervisor) -> Iterator[ApiServerScene]:
        log, requests = logging.getLogger("urllib3.connectionpool"), Requests()
        level = log.level
        log.addHandler(requests)
        try:
            scene = ApiServerScene(stack, supervisor, requests)
            log.setLevel(logging.DEBUG)  # after the clients are made: each sets its logs to warnings
            yield scene
            supervisor.lose(scene.namespace)  # so many VMs slow down the tests that follow
        finally:
            log.removeHandler(requests)
            log.setLevel(level)

    def wanted(self, name: str) -> ExpectedVm:
        return ExpectedVm(name=name, instance_uuid=instance_uuid(name))
