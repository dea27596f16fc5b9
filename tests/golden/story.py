"""One small application, backed up, lost, and restored in every way that leaves something behind.

Three levels of groups, services in front of them, one VM that comes back late, one without an application. Driven as
Velero and a person drive the plugin, on the ports in memory, at a time that stands still between two polls.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.unit.builders import (
    NAMESPACE,
    backup,
    claim,
    condition,
    group,
    obj,
    restore,
    service,
    vm,
    vsphere_namespace,
    with_policy,
)
from tests.unit.restored_vms import restored, succeed
from tests.unit.world import World
from velero_vmservice.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.unit.builders import Json
    from tests.unit.cli.command_line import CommandLine, Ran

BACKUP: Json = {
    "annotations": {
        "velero-plugin-for-vmservice/vadp-job": "nightly-vms",
        "velero-plugin-for-vmservice/vadp-restore-point": "rp-17",
    }
}
MINUTES_OF_REFUSAL = 10
EXIT_FAILED = 5
CAPTURED, OLDER = "1795374005000", "1795287605000"
RESTORED = "vmoperator.vmware.com/restored-vm"
VERSION = "vmoperator.vmware.com/backup-version"
LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
ACCOUNT = obj("ServiceAccount", "default", api="v1")


def _vm(name: str, application: str = "", *, ran: bool = True, last: int = 0, **rest: Any) -> Json:
    meta = {"annotations": {VERSION: CAPTURED, "team.example.com/owner": "shop"}}
    labels = {"app": application} if application else {}
    power = {"power": "PoweredOn", "ip": f"192.0.2.{last}"} if ran else {}
    return vm(name, labels=labels, meta=meta, **power, **rest)


VMS = (
    _vm("db-1", "db", last=11, group="db", claims=["db-1-data"]),
    _vm("web-1", "web", last=21, group="web", spec={"className": "small", "storageClass": "gold"}),
    _vm("web-2", "web", last=22, group="web"),
    _vm("cache-1", "cache", ran=False, group="cache"),
    _vm("late-1", "late", ran=False),
    _vm("alone", last=31),
)
GROUPS = (
    group(
        "shop",
        ["/db"],
        ["/web", "gone-1"],
        powerState="PoweredOn",
        meta={"uid": "uid-of-shop", "labels": {"tier": "all"}},
    ),
    group("db", ["db-1"], parent="shop", meta={"uid": "uid-of-db"}),
    group("web", ["/cache"], ["web-1", "web-2"], parent="shop", meta={"uid": "uid-of-web"}),
    group("cache", ["cache-1"], parent="web", meta={"uid": "uid-of-cache"}),
)
SERVICES = (
    service(
        "front",
        {"app": "web"},
        clusterIp="10.0.0.7",
        meta={"uid": "uid-of-front", "annotations": {"ncp/healthCheckNodePort": "31000", "team": "shöp"}},
        more={"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.200"}]}}},
    ),
    service("side", {"app": "cache"}, meta={"uid": "uid-of-side"}),
    service("admin", {"app": "web"}, meta={"uid": "uid-of-admin"}),
    service("late", {"app": "late"}, meta={"uid": "uid-of-late"}),
    service("taken", {"app": "web"}, meta={"uid": "uid-of-taken"}),
)
OBJECTS = (*VMS, *GROUPS, *SERVICES)


class Story:
    """The world of the application, and what the plugin left in it."""

    def __init__(self, command: CommandLine) -> None:
        self.world = World(sources=["vcenter"], mode="trigger")
        self.world.cluster.seed(vsphere_namespace("dr"), backup(**BACKUP), LOCATION)
        self.writes: list[Json] = []
        self.outcomes: list[Json] = []
        """What Velero was answered for each item at backup."""
        self.operations: list[str] = []
        self._command = command
        command.connects_to(self.world.start)
        command.patch.setattr(time, "sleep", self._pass)
        self._record_writes()

    def whole(self) -> None:
        """Let everything happen."""
        self.back_up()
        self.restore(self.items())
        self.restore_elsewhere(self.items())
        assert self.resume().code == EXIT_FAILED
        self.restore_without_a_bucket(self.items())

    def back_up(self) -> None:
        """Back up what the application is, as a Velero does that is told to leave the VMs out; then lose it."""
        self.world.cluster.seed(*OBJECTS)
        for content in (*GROUPS, *SERVICES):
            item = self.world.live(content["kind"], content["metadata"]["name"]).content
            outcome = self.world.capture(item, **BACKUP)
            self.outcomes.append(
                {
                    "item": outcome.item,
                    "operation_id": outcome.operation_id,
                }
            )
        for content in VMS:
            self.world.withhold(content, **BACKUP)
        (operation,) = {outcome["operation_id"] for outcome in self.outcomes}
        self.operations.append(operation)
        assert self.world.seal(operation, **BACKUP).completed
        self.world.lose(*OBJECTS)

    def items(self) -> list[Json]:
        """The items of Velero's archive."""
        return [outcome["item"] for outcome in self.outcomes]

    def restore(self, items: Iterable[Json]) -> None:
        """Restore where it was: RegisterVM is called for one VM, one never comes, and some objects are in the way."""
        self.go_on(self._begun(items, with_policy(power="captured")))

    def go_on(self, operations: list[str]) -> None:
        """Poll the operations of that restore, which this process or an earlier one has begun."""
        spec = with_policy(power="captured")
        self.world.cluster.seed(
            claim("db-1-data"),
            service("admin", {"app": "other"}, meta={"uid": "uid-of-another"}),
            obj("Service", "taken", api="v1", spec={"type": "ClusterIP"}),
        )
        self.world.vsphere.vcenter.restore(NAMESPACE, restored(moid="vm-db-1", name="db-1"))
        self._rounds(operations, spec, 2)
        succeed(self.world.vsphere.vcenter, "vm-db-1")
        self._register(*VMS[:4], VMS[5])
        open_ones = self._rounds(operations, spec, 12)
        for operation in open_ones:
            self.world.app.actions.restore["replay"].cancel(operation, restore(**spec))

    def restore_elsewhere(self, items: Iterable[Json]) -> None:
        """Restore into another namespace, over an object that differs, with a deadline that one VM misses."""
        spec = {
            "name": "elsewhere",
            "namespaceMapping": {NAMESPACE: "dr"},
            **with_policy(conflict="update", registered_within="2m", vip="request", probe="tcp"),
        }
        operations = self._begun(items, spec)
        different = service("admin", {"app": "other"}, meta={"uid": "uid-of-another", "namespace": "dr"})
        self.world.cluster.seed(different, {**claim("db-1-data"), "metadata": {"name": "db-1-data", "namespace": "dr"}})
        self._register(*VMS[:4], VMS[5], namespace="dr")
        self._rounds(operations, spec, 20)

    def restore_without_a_bucket(self, items: Iterable[Json]) -> None:
        """Restore what is there already, into a bucket that takes no result."""
        self.world.store.calls.fail("put", Forbidden("access denied", hint="allow s3:PutObject"))
        spec = {"name": "unstored"}
        still_open = self._rounds(self._begun(items, spec), spec, 5)
        self.world.clock.advance(MINUTES_OF_REFUSAL * 60)
        self._rounds(still_open, spec, 1)
        self.world.store.calls.heal()

    def resume(self) -> Ran:
        """Go on with the first restore once the late VM is there and nothing is in the way."""
        self.world.cluster.seed(restore(**with_policy(power="captured")))
        taken = obj("Service", "taken", api="v1")
        self.world.lose(taken)
        self._register(VMS[4])
        return self.run("restore", "--resume", "again", "--timeout", "1h", "--yes")

    def run(self, *arguments: str) -> Ran:
        """Run a command."""
        return self._command(*arguments)

    def _begun(self, items: Iterable[Json], spec: Mapping[str, Any]) -> list[str]:
        operations = self.world.replay_all(items, **spec)
        outcome = self.world.app.actions.restore["vms"].execute(ACCOUNT, ACCOUNT, restore(**spec))
        operations.append(outcome.operation_id)
        self.operations += operations
        return operations

    def _rounds(self, operations: Iterable[str], spec: Mapping[str, Any], rounds: int) -> list[str]:
        """Poll that often; return the operations that are still open."""
        still_open = list(operations)
        for _ in range(rounds):
            progress = self.world.round(still_open, **spec)
            still_open = [operation for operation in still_open if not progress[operation].completed]
        return still_open

    def _register(self, *vms: Json, namespace: str = NAMESPACE) -> None:
        """Let VMs come back as RegisterVM leaves them: one without its label, one of an older version."""
        for content in vms:
            name = content["metadata"]["name"]
            annotations = {RESTORED: "", VERSION: OLDER if name == "web-2" else CAPTURED}
            labels = {} if name == "cache-1" else content["metadata"]["labels"]
            meta = {**content["metadata"], "namespace": namespace, "uid": f"uid-of-the-new-{name}"}
            status = {"uniqueID": f"vm-{name}", "conditions": [condition("VirtualMachineCreated")]}
            self.world.cluster.seed(
                {
                    **content,
                    "metadata": {**meta, "labels": labels, "annotations": annotations},
                    "status": {**content["status"], **status, "powerState": "PoweredOff", "network": {}},
                }
            )

    def _pass(self, seconds: float) -> None:
        """Let time pass for a command that waits."""
        self.world.clock.advance(seconds)
        self.world.vm_operator()

    def _record_writes(self) -> None:
        cluster = self.world.cluster
        create, patch = cluster.create, cluster.patch

        def recorded_create(manifest: Any, *, dry_run: bool = False) -> Any:
            made = create(manifest, dry_run=dry_run)
            if not dry_run:
                self.writes.append({"create": manifest.content})
            return made

        def recorded_patch(ref: Any, change: Mapping[str, Any], *, version: str, dry_run: bool = False) -> Any:
            made = patch(ref, change, version=version, dry_run=dry_run)
            if not dry_run:
                self.writes.append({"patch": str(ref), "version": version, "change": dict(change)})
            return made

        self._command.patch.setattr(cluster, "create", recorded_create)
        self._command.patch.setattr(cluster, "patch", recorded_patch)
