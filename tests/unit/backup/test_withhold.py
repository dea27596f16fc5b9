from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.cluster import SERVED, MemoryCluster
from tests.unit.builders import backup, obj, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import Kind
from velero_vmservice.vmoperator.marks import SUPERVISOR_MARKERS

if TYPE_CHECKING:
    from structlog.testing import LogCapture

SKIP = "velero.io/skip-from-backup"
FACTS = f"{CAPTURES}namespaces/shop.json"
CERTIFICATE = obj("Certificate", "tls", api="cert-manager.io/v1", meta={"annotations": {"mine": "1"}})
ISSUER = obj("ClusterIssuer", "ca", api="cert-manager.io/v1", namespace="")
UPLOAD = obj("Upload", "u1", api="datamover.cnsdp.vmware.com/v1alpha1")
AWAY = Unavailable("away")


def entries_of(log: LogCapture, event: str) -> list[Any]:
    return [entry for entry in log.entries if entry["event"] == event]


@pytest.mark.parametrize("item", [vm("web-1"), CERTIFICATE, ISSUER, UPLOAD], ids=lambda case: case["kind"])
def test_on_a_supervisor_the_item_is_marked_and_nothing_else_changes(
    world: World, log: LogCapture, item: dict[str, Any]
) -> None:
    outcome = world.withhold(item)
    annotations = outcome.item["metadata"]["annotations"]
    assert annotations == {**item["metadata"].get("annotations", {}), SKIP: "true"}
    assert {**outcome.item, "metadata": item["metadata"]} == item
    assert outcome.operation_id == ""
    assert len(entries_of(log, "left to the Supervisor")) == 1


def test_the_first_item_of_a_resource_is_logged_and_the_others_only_at_debug(world: World, log: LogCapture) -> None:
    for item in (vm("web-1"), vm("web-2"), CERTIFICATE, vm("web-3")):
        world.withhold(item)
    lines = [(line["log_level"], line["object"]) for line in entries_of(log, "left to the Supervisor")]
    assert lines == [
        ("info", "VirtualMachine shop/web-1"),
        ("debug", "VirtualMachine shop/web-2"),
        ("info", "Certificate shop/tls"),
        ("debug", "VirtualMachine shop/web-3"),
    ]


@pytest.mark.parametrize("item", [vm("web-1"), CERTIFICATE, ISSUER], ids=lambda case: case["kind"])
def test_elsewhere_it_is_the_users_data(item: dict[str, Any]) -> None:
    world = World(supervisor="no")
    assert world.withhold(item).item == item
    assert not list(world.store.list(""))


def test_plugin_internal_objects_are_withheld_everywhere_and_a_lost_label_is_logged(log: LogCapture) -> None:
    for supervisor in ("yes", "no"):
        assert SKIP in World(supervisor=supervisor).withhold(UPLOAD).item["metadata"]["annotations"]
    assert [entry["label"] for entry in entries_of(log, "label missing")] == ["velero.io/exclude-from-backup"] * 2
    labelled = obj(
        "Upload",
        "u1",
        api="datamover.cnsdp.vmware.com/v1alpha1",
        meta={"labels": {"velero.io/exclude-from-backup": "true"}},
    )
    World().withhold(labelled)
    assert len(entries_of(log, "label missing")) == 2


@pytest.mark.parametrize(
    ("groups", "supervisor"),
    [((), False), (("iaas.vmware.com",), True), (("appplatform.wcp.vmware.com",), True), (("cert-manager.io",), False)],
)
def test_a_supervisor_is_recognised_by_its_apis(groups: tuple[str, ...], supervisor: bool) -> None:  # noqa: FBT001 - a table
    world = World(supervisor="detect")
    world.cluster = MemoryCluster(served={**SERVED, **{Kind(group, "things", "Thing"): ("v1",) for group in groups}})
    world.restart()
    assert (SKIP in world.withhold(CERTIFICATE).item["metadata"].get("annotations", {})) is supervisor


def test_without_vm_operators_own_api_it_is_no_supervisor() -> None:
    world = World(supervisor="detect")
    world.cluster = MemoryCluster(served={Kind("iaas.vmware.com", "things", "Thing"): ("v1",)})
    world.restart()
    assert world.withhold(CERTIFICATE).item == CERTIFICATE


def test_the_first_vm_brings_the_facts_of_its_namespace(world: World) -> None:
    world.cluster.seed(vm("web-1", claims=["data"]), vm("web-2"))
    world.withhold(vm("web-1"))
    world.withhold(vm("web-2"))
    assert [vm["name"] for vm in world.document(FACTS)["machines"]] == ["web-1", "web-2"]
    assert world.store.calls.counts["put"] == 1
    assert world.cluster.calls.counts["list"] == 4  # VMs, groups, services and PVCs


def test_a_cluster_scoped_item_has_no_namespace(world: World) -> None:
    world.withhold(ISSUER)
    assert world.store.calls.counts["put"] == 0


@pytest.mark.parametrize("error", [AWAY, Forbidden("denied"), InvalidSettings("no such bucket")], ids=lambda e: e.code)
@pytest.mark.parametrize("method", ["put", "open", "list"])
def test_nothing_about_the_store_or_the_vms_fails_an_item(
    world: World, log: LogCapture, error: Exception, method: str
) -> None:
    for calls in (world.store.calls, world.locations.calls, world.cluster.calls):
        calls.fail(method, error)
    for number in range(20):
        assert SKIP in world.withhold(vm(f"web-{number}")).item["metadata"]["annotations"]
    assert len(entries_of(log, "namespace facts not stored")) == 1


def test_a_list_of_blocked_resources_that_may_not_be_read_is_one_warning_of_each_backup(
    world: World, log: LogCapture
) -> None:
    world.cluster.calls.fail("get", Forbidden("denied"), on="velero-vsphere-plugin-blocked-resources-list")
    for number in (1, 2):
        world.app.actions.backup["withhold"].applies_to()
        for _ in range(3):
            world.withhold(vm("web-1"))
            world.clock.advance(60)
        assert len(entries_of(log, "blocked resources not read")) == number


def test_a_store_that_is_away_is_asked_once_and_again_after_a_while(world: World) -> None:
    world.store.calls.fail("put", AWAY)
    for _ in range(20):
        world.withhold(vm("web-1"))
    assert world.store.calls.counts["put"] == 1
    world.store.calls.heal()
    world.clock.advance(60)
    world.withhold(vm("web-1"))
    assert world.store.exists(FACTS)


def test_a_cluster_that_cannot_be_asked_leaves_the_item_to_the_restore(log: LogCapture) -> None:
    world = World(supervisor="detect")
    world.cluster.calls.fail("serves_group", AWAY)
    assert world.withhold(vm("web-1")).item == vm("web-1")
    assert len(entries_of(log, "left in the backup")) == 1


def test_the_seal_counts_what_was_withheld(world: World) -> None:
    for name in ("web-1", "web-2"):
        world.withhold(vm(name))
    world.withhold(CERTIFICATE)
    assert world.seal(world.capture(service("front")).operation_id).completed
    seal = world.document(f"{CAPTURES}capture.json")
    assert seal["withheld"] == {"certificates.cert-manager.io": 1, "virtualmachines.vmoperator.vmware.com": 2}
    assert seal["withheld_complete"] is True


def test_counts_of_another_run_do_not_mix(world: World) -> None:
    world.withhold(vm("web-1"), name="hourly")
    assert world.seal(world.capture(service("front")).operation_id).completed
    assert world.document(f"{CAPTURES}capture.json")["withheld"] == {}


def test_after_a_restart_the_counts_are_marked_incomplete(world: World) -> None:
    world.clock.advance(30)
    world.restart()
    assert world.seal(world.capture(service("front")).operation_id).completed
    assert world.document(f"{CAPTURES}capture.json")["withheld_complete"] is False


def test_velero_calls_the_plugin_also_while_the_api_server_is_away(world: World) -> None:
    for method in ("serves_group", "get"):
        world.cluster.calls.fail(method, AWAY)
    names = world.app.actions.backup["withhold"].applies_to().included_resources
    assert len(names) == 57 + 8 + 7 + 61 - 1
    assert "images.imagecontroller.vmware.com" not in names
    assert not {"virtualmachineservices.vmoperator.vmware.com", "virtualmachinegroups.vmoperator.vmware.com"} & set(
        names
    )


def test_common_kinds_are_passed_over_but_for_those_that_an_administrator_restricts() -> None:
    selector = World(add=("jobs.batch",)).app.actions.backup["withhold"].applies_to()
    assert {"configmaps", "secrets", "pods", "deployments.apps", "services"} <= set(selector.excluded_resources)
    assert "jobs.batch" in selector.included_resources
    assert not set(selector.included_resources) & set(selector.excluded_resources)


def test_an_administrator_may_restrict_more_and_less() -> None:
    world = World(add=("widgets.example.com",), remove=("certificates.cert-manager.io",))
    widget = obj("Widget", "w", api="example.com/v1")
    assert SKIP in world.withhold(widget).item["metadata"]["annotations"]
    assert world.withhold(CERTIFICATE).item == CERTIFICATE


def test_the_kind_of_cluster_is_asked_for_live_and_once_for_an_item() -> None:
    world = World(supervisor="detect")
    for number in range(1, 4):
        world.withhold(CERTIFICATE)
        assert world.cluster.calls.counts["serves_group"] == number * (1 + len(SUPERVISOR_MARKERS))
    world.cluster.serve(Kind("iaas.vmware.com", "things", "Thing"), "v1")
    assert SKIP in world.withhold(CERTIFICATE).item["metadata"]["annotations"]


@pytest.mark.parametrize("supervisor", ["yes", "no"])
def test_an_administrator_may_restrict_what_has_an_irregular_plural(supervisor: str) -> None:
    world = World(supervisor=supervisor, add=("oxen.example.com",))
    ox = obj("Ox", "one", api="example.com/v1")
    world.cluster.serve(Kind("example.com", "oxen", "Ox"), "v1")
    assert SKIP in world.withhold(ox).item["metadata"]["annotations"]


def test_a_regular_plural_is_known_also_without_the_api_server() -> None:
    world = World(add=("widgets.example.com",))
    world.cluster.calls.fail("plural", AWAY)
    for item in (obj("Widget", "w", api="example.com/v1"), CERTIFICATE):
        assert SKIP in world.withhold(item).item["metadata"]["annotations"]


def test_a_plain_cluster_is_not_asked_about_what_it_may_not_restrict() -> None:
    world = World(supervisor="no")
    world.withhold(CERTIFICATE)
    assert world.cluster.calls.counts["plural"] == 0


LIST = "velero-vsphere-plugin-blocked-resources-list"
SUBNET = obj("Subnet", "lab", api="crd.nsx.vmware.com/v1alpha1")
PORT = obj("SubnetPort", "web-1-eth0", api="crd.nsx.vmware.com/v1alpha1")


def blocked(*resources: str, value: str = "true") -> dict[str, Any]:
    return obj("ConfigMap", LIST, api="v1", namespace="velero", data=dict.fromkeys(resources, value))


def is_withheld(world: World, item: dict[str, Any]) -> bool:
    return SKIP in world.withhold(item).item["metadata"].get("annotations", {})


def test_network_ports_of_vms_are_withheld_and_what_people_declare_is_backed_up(world: World) -> None:
    assert is_withheld(world, PORT)
    assert not is_withheld(world, SUBNET)


@pytest.mark.parametrize("value", ["true", "false", ""])
def test_declared_objects_are_withheld_where_the_vsphere_plugin_blocks_them_and_named_once(
    world: World, log: LogCapture, value: str
) -> None:
    world.cluster.seed(blocked("subnets.crd.nsx.vmware.com", value=value))
    assert is_withheld(world, SUBNET)
    assert is_withheld(world, SUBNET)
    assert is_withheld(world, PORT)
    (line,) = entries_of(log, "not backed up")
    assert (line["log_level"], line["kind"]) == ("warning", "subnets.crd.nsx.vmware.com")
    assert world.seal(world.capture(service("front")).operation_id).completed
    seal = world.document(f"{CAPTURES}capture.json")
    assert seal["not_backed_up"] == ["subnets.crd.nsx.vmware.com"]
    assert seal["withheld"] == {"subnetports.crd.nsx.vmware.com": 1, "subnets.crd.nsx.vmware.com": 2}


def test_objects_that_people_declare_are_named_with_the_rule_that_leaves_them_out(log: LogCapture) -> None:
    world = World(add=("widgets.example.com",))
    world.cluster.seed(blocked("subnets.crd.nsx.vmware.com"))
    for item in (obj("Widget", "w", api="example.com/v1"), SUBNET, CERTIFICATE):
        assert is_withheld(world, item)
    assert [(line["kind"], line["reason"]) for line in entries_of(log, "not backed up")] == [
        ("widgets.example.com", "the setting restricted.add lists it"),
        ("subnets.crd.nsx.vmware.com", "velero-plugin-for-vsphere refuses it in this backup"),
        (
            "certificates.cert-manager.io",
            "it is on the list of resources that a Supervisor does not take from a backup",
        ),
    ]


def test_without_volume_snapshots_the_vsphere_plugin_blocks_nothing(world: World) -> None:
    world.cluster.seed(blocked("subnets.crd.nsx.vmware.com"))
    run = backup()
    run["spec"]["snapshotVolumes"] = False
    assert world.app.actions.backup["withhold"].execute(SUBNET, run).item == SUBNET


def test_kinds_that_the_vsphere_plugins_list_adds_are_withheld_on_any_cluster() -> None:
    for supervisor in ("yes", "no"):
        world = World(supervisor=supervisor)
        world.cluster.seed(blocked("widgets.example.com", "virtualmachineservices.vmoperator.vmware.com"))
        names = world.app.actions.backup["withhold"].applies_to().included_resources
        assert "widgets.example.com" in names
        assert "virtualmachineservices.vmoperator.vmware.com" not in names
        assert is_withheld(world, obj("Widget", "w", api="example.com/v1"))


def test_an_administrators_remove_outweighs_the_vsphere_plugins_list() -> None:
    world = World(remove=("subnets.crd.nsx.vmware.com",))
    world.cluster.seed(blocked("subnets.crd.nsx.vmware.com"))
    assert not is_withheld(world, SUBNET)


def test_the_vsphere_plugins_list_is_read_once_for_many_items_and_stands_while_the_api_server_is_away(
    world: World,
) -> None:
    world.cluster.seed(blocked("subnets.crd.nsx.vmware.com"))
    for _ in range(20):
        assert is_withheld(world, SUBNET)
    assert len([call for call in world.cluster.calls.made if LIST in call[1]]) == 1
    world.clock.advance(60)
    world.cluster.calls.fail("get", AWAY, on=LIST)
    assert is_withheld(world, SUBNET)
