"""The stack itself: each Velero backs up and restores on it, and the neighbour plugin is as hostile as the real one.

No plugin of ours takes part here: what these tests prove is that the others' failures are real.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import crds
from tests.e2e.processes import CommandFailedError
from tests.e2e.velero import AWS_PLUGIN, BLOCKED_RESOURCES, VSPHERE_PLUGIN, VeleroServer
from tests.emulator.machines import group, virtual_machine
from tests.emulator.wcp.registered_vm import RESTORED
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.cluster import Cluster, Manifest
    from tests.e2e.stack import Stack
    from tests.emulator.supervisor import Supervisor


@pytest.fixture(scope="module")
def velero(stack: Stack) -> Iterator[VeleroServer]:
    server = stack.velero(name="alone")
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def beside_vsphere(stack: Stack) -> Iterator[VeleroServer]:
    server = stack.velero(name="beside-vsphere")
    server.add_plugin(VSPHERE_PLUGIN)
    server.start()
    yield server
    server.close()


def config_map(name: str, namespace: str, **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def app_namespace(cluster: Cluster, velero: VeleroServer, name: str) -> str:
    return cluster.namespace(f"{name}-{velero.version.replace('.', '-')}")


def test_webhooks_of_vm_operator_tell_velero_from_an_administrator(stack: Stack, supervisor: Supervisor) -> None:
    stack.cluster.account("stranger")
    namespace = stack.cluster.namespace("webhooks")
    machine = virtual_machine("vm-1", namespace=namespace, power="PoweredOff")
    machine["metadata"]["annotations"] = {RESTORED: ""}
    own_parent = group("g", namespace=namespace, order=[], parent="g")
    forbidden = group("late", namespace=namespace, order=[]) | {"spec": {"nextForcePowerStateSyncTime": "yesterday"}}

    for manifest in (machine, own_parent, forbidden) if stack.release.groups else (machine,):
        at_release = manifest | {"apiVersion": f"{crds.VM_OPERATOR}/{stack.release.newest_api}"}
        with pytest.raises(CommandFailedError, match="denied the request"):
            stack.cluster.kubectl("create", "--as=stranger", "-f-", stdin=json.dumps(at_release))
    supervisor.cluster.create(machine)


def test_a_config_map_survives(stack: Stack, velero: VeleroServer) -> None:
    cluster = stack.cluster
    namespace = app_namespace(cluster, velero, "app")
    cluster.create(config_map("settings", namespace, colour="green"))

    backup = velero.backup("b1", f"--include-namespaces={namespace}")
    assert backup["status"]["phase"] == "Completed"
    assert "backups/b1/b1.tar.gz" in stack.store.keys(velero.bucket)

    cluster.kubectl("delete", "configmap", "settings", f"--namespace={namespace}")
    restore = velero.restore("r1", "--from-backup=b1")
    assert restore["status"]["phase"] == "Completed"
    assert cluster.get("configmaps", "settings", namespace=namespace)["data"] == {"colour": "green"}
    assert "Attempting to restore ConfigMap: settings" in velero.cli("restore", "logs", "r1")

    velero.delete_backup("b1")
    wait_until(lambda: not stack.store.keys(velero.bucket, "backups/b1/"), 30, "the backup's objects are gone")


def test_a_killed_server_goes_on_where_it_was(stack: Stack, velero: VeleroServer) -> None:
    namespace = app_namespace(stack.cluster, velero, "killed")
    velero.kill()
    velero.cli("backup", "create", "b2", f"--include-namespaces={namespace}")

    velero.start()

    assert velero.wait_over("backups.velero.io", "b2")["status"]["phase"] == "Completed"
    wait_until(lambda: not velero.plugin_processes(AWS_PLUGIN), 30, "plugin processes end when idle")


def test_vsphere_neighbour_blocks_restricted_kinds(beside_vsphere: VeleroServer) -> None:
    velero, cluster = beside_vsphere, beside_vsphere.cluster
    namespace = cluster.namespace("restricted")
    objects = crds.one_of_each_restricted_kind(namespace, velero.release)
    cluster.create(*objects)
    wide = (f"--include-namespaces={namespace}", "--include-cluster-resources=true")

    unblocked = velero.backup("b1", *wide)
    assert unblocked["status"]["phase"] == "Completed"

    blocked = {kind.resource: "true" for kind in crds.restricted_kinds()}
    cluster.create(config_map(BLOCKED_RESOURCES, velero.namespace, **blocked))
    refused = velero.backup("b2", *wide)
    assert (refused["status"]["phase"], refused["status"]["errors"]) == ("PartiallyFailed", len(objects))
    without_snapshots = velero.backup("b3", *wide, "--snapshot-volumes=false")
    assert without_snapshots["status"]["phase"] == "Completed"

    restore = velero.restore("r1", "--from-backup=b1", f"--namespace-mappings={namespace}:restricted-anew")
    irregular = 2  # plurals that the other plugin does not find: network-attachment-definitions, virtualmachineclasses
    assert (restore["status"]["phase"], restore["status"]["errors"]) == ("PartiallyFailed", len(objects) - irregular)
    described = velero.cli("restore", "describe", "r1")
    assert "Resource CRD virtualmachines.vmoperator.vmware.com is blocked in restore" in described
