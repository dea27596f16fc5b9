from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import backup, claim, obj, restore, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice.errors import Corrupt, Forbidden, ForeignStorage, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import Kind
from velero_vmservice.vmoperator.marks import SUPERVISOR_MARKERS

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from velero_vmservice.velero.actions import RestoreOutcome

FACTS = f"{CAPTURES}namespaces/shop.json"
BY_VMSERVICE = {
    "ownerReferences": [
        {"apiVersion": "vmoperator.vmware.com/v1alpha5", "kind": "VirtualMachineService", "name": "front", "uid": "1"}
    ]
}
BY_ANOTHER = {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "front", "uid": "1"}]}
BY_NAMESAKE = {
    "ownerReferences": [{"apiVersion": "example.com/v1", "kind": "VirtualMachineService", "name": "front", "uid": "1"}]
}
MIRRORED = {
    "labels": {"endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"},
    "ownerReferences": [{"apiVersion": "v1", "kind": "Endpoints", "name": "front", "uid": "1"}],
}
NODE = {"capv.vmware.com/cluster.role": "node"}
SLICES = "discovery.k8s.io/v1"


def back_up(world: World) -> None:
    """Capture a service of the namespace, and with it the namespace's facts; seal them."""
    assert world.seal(world.capture(service("front")).operation_id).completed


def volume(name: str, claim_name: str, namespace: str = "shop") -> dict[str, Any]:
    spec = {"claimRef": {"namespace": namespace, "name": claim_name}}
    return obj("PersistentVolume", name, api="v1", namespace="", spec=spec)


def definition(group: str) -> dict[str, Any]:
    return obj(
        "CustomResourceDefinition", f"x.{group}", api="apiextensions.k8s.io/v1", namespace="", spec={"group": group}
    )


def leave(world: World, stored: dict[str, Any], **spec: Any) -> RestoreOutcome:
    """Call Execute as Velero does: of the metadata, the item has kept little."""
    kept = {key: value for key, value in stored["metadata"].items() if key in ("name", "namespace", "labels")}
    return world.app.actions.restore["leave"].execute({**stored, "metadata": kept}, stored, restore(**spec))


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any]
    supervisor: str = ""
    """Words of the reason on a Supervisor; '' leaves it to Velero."""
    elsewhere: str = ""


CASES = [
    Case(why="a VM", given=vm("web-1"), supervisor="Supervisor creates virtualmachines"),
    Case(
        why="a certificate",
        given=obj("Certificate", "tls", api="cert-manager.io/v1"),
        supervisor="Supervisor creates certificates",
    ),
    Case(
        why="a load balancer monitor, whose kind does not tell its plural",
        given=obj("NSXLoadBalancerMonitor", "m", api="vmware.com/v1alpha1", namespace=""),
        supervisor="nsxlbmonitors.vmware.com",
    ),
    Case(
        why="the other plugin's own",
        given=obj("Snapshot", "s", api="backupdriver.cnsdp.vmware.com/v1alpha1"),
        supervisor="snapshots.backupdriver",
        elsewhere="snapshots.backupdriver",
    ),
    Case(why="an image", given=obj("Image", "i", api="imagecontroller.vmware.com/v1"), supervisor="fetched again"),
    Case(
        why="a generated Service",
        given=obj("Service", "front", api="v1", meta=BY_VMSERVICE),
        supervisor="VirtualMachineService front",
        elsewhere="VirtualMachineService front",
    ),
    Case(
        why="generated Endpoints",
        given=obj("Endpoints", "front", api="v1", meta=BY_VMSERVICE),
        supervisor="VirtualMachineService front",
        elsewhere="VirtualMachineService front",
    ),
    Case(
        why="a mirrored slice", given=obj("EndpointSlice", "front-x", api=SLICES, meta=MIRRORED), supervisor="mirrors"
    ),
    Case(why="a user's Service", given=obj("Service", "front", api="v1")),
    Case(why="a Service of another owner", given=obj("Service", "front", api="v1", meta=BY_ANOTHER)),
    Case(
        why="a Service of another product's kind of that name",
        given=obj("Service", "front", api="v1", meta=BY_NAMESAKE),
    ),
    Case(why="a user's slice", given=obj("EndpointSlice", "x", api=SLICES)),
    Case(why="a definition of the Supervisor's", given=definition("vmoperator.vmware.com"), supervisor="installs this"),
    Case(why="a definition of the Supervisor's too", given=definition("cert-manager.io"), supervisor="installs this"),
    Case(why="a user's definition", given=definition("example.com")),
    Case(why="a user's claim", given=claim("own-data")),
    Case(why="a user's volume", given=volume("pv-2", "own-data")),
    Case(why="a volume without a claim", given=obj("PersistentVolume", "pv-3", api="v1", namespace="", spec={})),
    Case(
        why="a claim of that name in another namespace",
        given={**claim("data"), "metadata": {"name": "data", "namespace": "bank"}},
    ),
    Case(why="a VM's claim", given=claim("data"), supervisor="disk of a VM"),
    Case(why="a VM's volume", given=volume("pv-1", "data"), supervisor="disk of a VM"),
    Case(why="a claim of a guest cluster's node, which is never registered", given=claim("node-data")),
]


@pytest.mark.parametrize("where", ["supervisor", "elsewhere"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_skipped_with_its_reason_or_untouched(case: Case, where: str, log: LogCapture) -> None:
    world = World(supervisor="yes" if where == "supervisor" else "no")
    world.cluster.seed(vm("web-1", claims=["data"]), vm("node", claims=["node-data"], labels=NODE))
    back_up(world)
    reason = case.supervisor if where == "supervisor" else case.elsewhere
    outcome = leave(world, case.given)
    assert outcome.skip is bool(reason)
    assert outcome.operation_id == ""
    assert outcome.item["kind"] == case.given["kind"]
    reasons = [entry["reason"] for entry in log.entries if entry["event"] == "skipped"]
    assert len(reasons) == bool(reason)
    assert reason in " ".join(reasons)


def test_velero_is_never_asked_for_secrets(world: World) -> None:
    selector = world.app.actions.restore["leave"].applies_to()
    names = set(selector.included_resources)
    assert {"secrets", "configmaps", "pods"} <= set(selector.excluded_resources)
    assert not names & set(selector.excluded_resources)
    assert not {"secrets", "configmaps", "pods", "namespaces"} & names
    assert {
        "services",
        "endpoints",
        "endpointslices.discovery.k8s.io",
        "persistentvolumeclaims",
        "persistentvolumes",
    } <= names
    assert "images.imagecontroller.vmware.com" in names
    assert not {"virtualmachineservices.vmoperator.vmware.com", "virtualmachinegroups.vmoperator.vmware.com"} & names
    assert [method for method, _ in world.cluster.calls.made] == ["get"]  # the vSphere plugin's list


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_secrets_and_configmaps_are_left_to_velero_if_it_asks(world: World, kind: str) -> None:
    world.cluster.seed(
        vm("web-1", spec={"bootstrap": {"cloudInit": {"rawCloudConfig": {"name": "user-data", "key": "x"}}}})
    )
    back_up(world)
    assert not leave(world, obj(kind, "user-data", api="v1")).skip


def test_a_backup_without_the_plugin_is_untouched(world: World) -> None:
    assert not leave(world, claim("data")).skip
    world.cluster.seed(backup("foreign"))
    assert not leave(world, claim("data"), of="foreign").skip


def test_a_location_that_is_not_s3_has_no_captures(world: World) -> None:
    world.locations.calls.fail("open", ForeignStorage("its provider is azure"))
    assert not leave(world, claim("data")).skip


@pytest.mark.parametrize("wrong", ["location", "namespace"])
def test_a_location_that_settings_keep_from_being_opened_may_have_captures(world: World, wrong: str) -> None:
    world.cluster.seed(vm("web-1", claims=["data"]))
    back_up(world)
    world.restart()
    stores, world.locations.stores = world.locations.stores, {} if wrong == "location" else world.locations.stores
    world.locations.namespace = "elsewhere" if wrong == "namespace" else "velero"
    with pytest.raises(InvalidSettings):
        leave(world, claim("data"))
    world.locations.stores, world.locations.namespace = stores, "velero"
    world.clock.advance(15)
    assert leave(world, claim("data")).skip


@pytest.mark.parametrize(
    "error",
    [Unavailable("s3 is away"), Forbidden("denied"), Corrupt("rotten"), InvalidSettings("no such bucket")],
    ids=lambda e: e.code,
)
def test_without_the_facts_a_claim_is_not_guessed_at(world: World, error: Exception) -> None:
    world.cluster.seed(vm("web-1", claims=["data"]))
    back_up(world)
    world.restart()
    world.store.calls.fail("get", error)
    before = world.store.calls.counts["get"]
    for _ in range(300):  # each would wait for a timeout
        with pytest.raises(type(error), match=str(error)):
            leave(world, claim("data"))
    assert world.store.calls.counts["get"] <= before + 2  # the seal, and the facts where they are asked for at all
    world.store.calls.heal()
    world.clock.advance(15)
    assert leave(world, claim("data")).skip


@pytest.mark.parametrize("given", [claim("data"), volume("pv-1", "data")], ids=["claim", "volume"])
def test_a_plain_cluster_restores_its_volumes_without_a_store(given: dict[str, Any]) -> None:
    world = World(supervisor="no")
    world.locations.calls.fail("open", Unavailable("no way to S3"))
    world.store.calls.fail("get", Unavailable("no way to S3"))
    assert not leave(world, given).skip
    assert world.locations.calls.made == []


def test_a_slow_store_of_one_restore_holds_up_no_other(world: World) -> None:
    """Two restores read at the same time: neither waits for the other's call to end."""
    together = Barrier(2, timeout=10)
    world.cluster.seed(vm("web-1", claims=["data"]))
    back_up(world)
    world.cluster.calls.before("get", lambda _: together.wait())
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda uid: leave(world, claim("data"), uid=uid), ["one", "two"]))
    assert all(outcome.skip for outcome in outcomes)


def test_facts_and_seal_are_read_once_per_restore_and_namespace(world: World) -> None:
    world.cluster.seed(vm("web-1", claims=["data"]))
    back_up(world)
    world.restart()
    before = world.store.calls.counts["get"]
    for number in range(50):
        leave(world, claim(f"data-{number}"))
    assert world.store.calls.counts["get"] == before + 2


def test_the_namespace_is_that_of_the_backup(world: World) -> None:
    world.cluster.seed(vm("web-1", claims=["data"]))
    back_up(world)
    assert leave(world, claim("data"), namespaceMapping={"shop": "shop-dr"}).skip
    assert leave(world, volume("pv-1", "data"), namespaceMapping={"shop": "shop-dr"}).skip


def test_the_kind_of_cluster_is_asked_for_once_for_an_item() -> None:
    world = World(supervisor="detect")
    for number in range(1, 4):
        leave(world, obj("Certificate", "tls", api="cert-manager.io/v1"))
        assert world.cluster.calls.counts["serves_group"] == number * (1 + len(SUPERVISOR_MARKERS))


def test_an_administrator_may_restrict_what_has_an_irregular_plural() -> None:
    world = World(add=("oxen.example.com",))
    ox = obj("Ox", "one", api="example.com/v1")
    assert not leave(world, ox).skip  # not served: its plural is unknown
    world.cluster.serve(Kind("example.com", "oxen", "Ox"), "v1")
    assert leave(world, ox).skip


def test_restricted_kinds_are_known_also_without_the_api_server(world: World, log: LogCapture) -> None:
    world.cluster.calls.fail("plural", Unavailable("away"))
    assert leave(world, obj("Image", "i", api="imagecontroller.vmware.com/v1")).skip
    assert leave(world, obj("ImageDisk", "d", api="imagecontroller.vmware.com/v1")).skip
    reasons = [entry["reason"] for entry in log.entries if entry["event"] == "skipped"]
    assert "fetched again" in reasons[0]
    assert "imagedisks" in reasons[1]


def test_declared_objects_come_back_unless_the_vsphere_plugin_refuses_them(world: World, log: LogCapture) -> None:
    subnet = obj("Subnet", "lab", api="crd.nsx.vmware.com/v1alpha1")
    assert leave(world, obj("SubnetPort", "web-1-eth0", api="crd.nsx.vmware.com/v1alpha1")).skip
    assert not leave(world, subnet).skip
    named = "velero-vsphere-plugin-blocked-resources-list"
    resources = {"subnets.crd.nsx.vmware.com": "true", "widgets.example.com": "false"}
    world.cluster.seed(obj("ConfigMap", named, api="v1", namespace="velero", data=resources))
    assert "widgets.example.com" in world.app.actions.restore["leave"].applies_to().included_resources
    for item in (subnet, obj("Widget", "w", api="example.com/v1")):
        assert leave(world, item).skip
    reasons = [entry["reason"] for entry in log.entries if entry["event"] == "skipped"]
    assert reasons[1:] == [
        "velero-plugin-for-vsphere refuses to restore subnets.crd.nsx.vmware.com",
        "velero-plugin-for-vsphere refuses to restore widgets.example.com",
    ]
