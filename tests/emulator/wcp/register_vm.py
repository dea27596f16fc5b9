"""WCP's RegisterVM: one task that turns a restored vSphere VM into Kubernetes objects, step by step.

A task can be stopped after any step, since the product polls while it runs. It fails as the guide's table 11.2 says,
either because the situation is so, or on demand; what it wrote until then stays, as it cannot be cancelled and is
not idempotent. VM Operator is not part of it: status appears only once a `VmOperator` reconciles the VM.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import yaml
from kubernetes.dynamic.exceptions import ConflictError

from tests.emulator.machines import claim
from tests.emulator.vm_operator import records
from tests.emulator.vm_operator.vm_controller import MANAGER_ID, PAUSED
from tests.emulator.wcp import csi, registered_vm
from tests.emulator.wcp.register_steps import Failure, State, Step
from tests.emulator.wcp.registered_vm import RestoreKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.emulator.kubernetes.cluster import Cluster, Object
    from tests.emulator.wcp.vcenter import Disk, VCenter, VsphereVm

_VERSIONS: Final = ("v1alpha2", "v1alpha3", "v1alpha4", "v1alpha5", "v1alpha6")
"""The guide, 7.1.2, and one more: it is silent beyond v1alpha5, and only what is older is known to be refused."""


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class Registration:
    """One RegisterVM task. `advance()` takes one step; look at `state`, `progress` and `error`."""

    def __init__(
        self,
        cluster: Cluster,
        vcenter: VCenter,
        moid: str,
        *,
        namespace: str,
        keep_owners: bool = False,
        incremental: bool = True,
        fault: Failure | None = None,
        stuck_at: Step | None = None,
        lazy_claims: bool = False,
    ) -> None:
        """Start a task.

        Args:
            cluster: The Supervisor.
            vcenter: Where the VM was restored.
            moid: The VM.
            namespace: The namespace it is registered into.
            keep_owners: Keep the record's owner references; which of both WCP does is not public.
            incremental: Whether VMs that exist can be registered (VCF 9.0 and later; 8.0 U3 cannot).
            fault: Fail with this code whatever the situation.
            stuck_at: Never do this step.
            lazy_claims: Complete before CSI is done; call `bind_claims()` for that.
        """
        self.state = State.RUNNING
        self.progress = 0
        self.error: Failure | None = None
        self.kind: RestoreKind | None = None
        self.claims: dict[str, str] = {}
        self._cluster = cluster
        self._vcenter = vcenter
        self._moid = moid
        self._namespace = namespace
        self._keep_owners = keep_owners
        self._incremental = incremental
        self._fault = fault
        self._stuck_at = stuck_at
        self._left = [step for step in Step if not (lazy_claims and step is Step.BOUND)]
        self._record: Object = {}
        self._reported = False

    def advance(self) -> State:
        """Take one step, unless the task is over or stuck."""
        if self.state is not State.RUNNING or self._left[0] is self._stuck_at:
            return self.state
        step = self._left[0]
        self.progress = step.progress
        try:
            if self._fault is not None and self._fault.step is step:
                self._break(self._fault)
                return self.state
            _ACTIONS[step](self)
        except _Failed as failed:
            self.state, self.error = State.FAILED, failed.failure
            return self.state
        del self._left[0]
        if not self._left:
            self.state = State.SUCCEEDED
        return self.state

    def run_to(self, step: Step = Step.COMPLETE) -> State:
        """Take steps up to and including this one, as far as that is possible."""
        while self.state is State.RUNNING and self._left[0] <= step and self._left[0] is not self._stuck_at:
            self.advance()
        return self.state

    def finish(self) -> State:
        """Take all the steps that can be taken."""
        return self.run_to()

    def bind_claims(self) -> None:
        """Let CSI register the disks and bind their claims; part of the task unless it is lazy."""
        for name in self.claims.values():
            pending = self._cluster.get("PersistentVolumeClaim", name, self._namespace)
            if pending is not None:
                csi.bind(self._cluster, pending)
            self._report(name, {"registered": True})

    @property
    def name(self) -> str:
        """The VirtualMachine's name, as its record has it."""
        return str(self._record["metadata"]["name"])

    def _connect(self) -> None:
        """Nothing to see: WCP opens its connections."""

    def _retrieve(self) -> None:
        if self._vcenter.vm(self._moid) is None:
            raise _Failed(Failure.NOT_FOUND)

    def _validate(self) -> None:
        machine = self._vm
        if machine.folder != self._namespace:
            raise _Failed(Failure.WRONG_FOLDER)
        try:
            self._record = records.recorded_vm(machine.extra_config)
            self._record["metadata"]["name"]
        except (KeyError, TypeError, ValueError, OSError, yaml.YAMLError) as error:
            raise _Failed(Failure.BAD_RECORD) from error
        if str(self._record.get("apiVersion", "")).rpartition("/")[2] not in _VERSIONS:
            raise _Failed(Failure.OLD_VERSION)
        for other in self._cluster.list("VirtualMachine", self._namespace):
            same = machine.bios_uuid in {
                other["spec"].get("biosUUID"),
                (other.get("status") or {}).get("biosUUID"),
            }
            if same and other["metadata"]["name"] != self.name:
                raise _Failed(Failure.DUPLICATE)
        live = self._live()
        if live is not None and not self._incremental:
            raise _Failed(Failure.EXISTS)
        self.kind = restore_kind(self._record, live, machine.extra_config, self._vcenter.uuid)
        if live is not None:
            self._cluster.patch(live, {"metadata": {"annotations": {PAUSED: "true"}}})

    def _restore_others(self) -> None:
        for other in records.recorded_others(self._vm.extra_config):
            metadata = {key: other["metadata"].get(key) for key in ("name", "labels", "annotations")}
            metadata["namespace"] = self._namespace
            try:
                self._cluster.create({**other, "metadata": metadata})
            except ConflictError:
                continue  # it is there; the guide says no more than that it is recreated

    def _register_volumes(self) -> None:
        """Ask CSI to register the plain disks: a CnsRegisterVolume and a pending claim for each."""
        for disk in self._unregistered():
            name = f"restored-{secrets.token_hex(3)}"
            self.claims[disk.name] = name
            self._cluster.create(
                {
                    "apiVersion": "cns.vmware.com/v1alpha1",
                    "kind": "CnsRegisterVolume",
                    "metadata": {"name": f"register-{name}", "namespace": self._namespace},
                    "spec": {
                        "pvcName": name,
                        "diskURLPath": f"https://vc.example.com/folder/{disk.file}",
                        "accessMode": "ReadWriteOnce",
                    },
                    "status": {"registered": False},
                }
            )
            self._cluster.create(claim(name, namespace=self._namespace))

    def _write_vm(self) -> None:
        live = self._live()
        if live is None:
            self._cluster.create(
                registered_vm.created(
                    self._record,
                    namespace=self._namespace,
                    kind=self.kind or RestoreKind.NEW,
                    claims=self.claims,
                    keep_owners=self._keep_owners,
                )
            )
            return
        if self.kind is RestoreKind.DISK_ONLY:
            new = registered_vm.with_new_disks(live, claims=self.claims)
        else:
            new = registered_vm.restored_in_place(
                self._record, live, kind=self.kind or RestoreKind.EXISTING, claims=self.claims
            )
        self._cluster.update(live, new)
        for name in sorted(_claim_names(live) - _claim_names(new)):
            dangling = self._cluster.get("PersistentVolumeClaim", name, self._namespace)
            if dangling is not None:
                self._cluster.delete(dangling)

    def _complete(self) -> None:
        live = self._live()
        if live is not None:
            self._cluster.patch(live, {"metadata": {"annotations": {PAUSED: None}}})
        disks = tuple(replace(disk, fcd=disk.fcd or disk.name in self.claims) for disk in self._vm.disks)
        self._vcenter.change(self._moid, disks=disks)

    def _break(self, failure: Failure) -> None:
        """Fail on demand; a claim that can't be registered first leaves the task at 80 % with an error on show."""
        if failure is Failure.CLAIM and self.claims and not self._reported:
            self._reported = True
            for name in self.claims.values():
                self._report(name, {"registered": False, "error": f"failed to register volume for {name}"})
            return
        raise _Failed(failure)

    def _report(self, claim_name: str, status: Mapping[str, Any]) -> None:
        volume = self._cluster.get("CnsRegisterVolume", f"register-{claim_name}", self._namespace)
        if volume is not None:
            self._cluster.patch(volume, {"status": dict(status)}, subresource="status")

    def _unregistered(self) -> Sequence[Disk]:
        behind_claims = {entry["UUID"] for entry in records.recorded_disks(self._vm.extra_config)}
        return [disk for disk in self._vm.disks if not disk.fcd and disk.uuid in behind_claims]

    def _live(self) -> Object | None:
        return self._cluster.get("VirtualMachine", self.name, self._namespace)

    @property
    def _vm(self) -> VsphereVm:
        machine = self._vcenter.vm(self._moid)
        if machine is None:
            raise _Failed(Failure.NOT_FOUND)
        return machine


def restore_kind(record: Object, live: Object | None, extra_config: Mapping[str, str], vcenter: str) -> RestoreKind:
    """Decide how a VM comes back; the guide, 4.3 and 6.4."""
    recorded = record["metadata"].get("annotations") or {}
    if recorded.get(MANAGER_ID, vcenter) != vcenter:
        return RestoreKind.FAILOVER
    if live is None:
        return RestoreKind.NEW
    theirs = int(extra_config.get(records.Key.VERSION) or 0)
    mine = int((live["metadata"].get("annotations") or {}).get(records.BACKUP_VERSION) or 0)
    return RestoreKind.EXISTING if theirs < mine else RestoreKind.DISK_ONLY


def _claim_names(machine: Object) -> set[str]:
    return {volume["persistentVolumeClaim"]["claimName"] for volume in machine["spec"].get("volumes") or ()}


_ACTIONS: Final[Mapping[Step, Callable[[Registration], None]]] = {
    Step.CLIENT: Registration._connect,
    Step.PROPERTIES: Registration._retrieve,
    Step.VALIDATE: Registration._validate,
    Step.RESOURCES: Registration._restore_others,
    Step.VOLUMES: Registration._register_volumes,
    Step.BOUND: Registration.bind_claims,
    Step.VM: Registration._write_vm,
    Step.COMPLETE: Registration._complete,
}
