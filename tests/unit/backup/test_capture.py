from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import backup, group, obj, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice import documents
from velero_vmservice.errors import AlreadyExists, Forbidden, InvalidItem, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE

if TYPE_CHECKING:
    from structlog.testing import LogCapture

LINK = "velero-plugin-for-vmservice/capture"
SKIP = "velero.io/skip-from-backup"
WEB = {"app": "web"}
KEY = f"{CAPTURES}objects/virtualmachineservices/shop/front.json"
NODE = {"capv.vmware.com/cluster.role": "node"}


def link(item: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(item["metadata"]["annotations"][LINK])
    return content


def test_the_item_leads_to_a_durable_capture(world: World) -> None:
    world.cluster.seed(vm("web-1", labels=WEB), front := service("front", WEB, clusterIp="10.0.0.7"))
    outcome = world.capture(front)
    assert outcome.operation_id == f"seal-v1:{CAPTURES}"
    stored_link = link(outcome.item)
    assert (stored_link["key"], stored_link["vms"]) == (KEY, ["web-1"])
    assert hashlib.sha256(world.store.get(KEY)).hexdigest() == stored_link["sha256"]
    document = world.document(KEY)
    assert document["topology"]["needs"] == ["web-1"]
    assert document["observed"]["cluster_ip"] == "10.0.0.7"
    assert [field["path"] for field in document["dropped"]] == ["spec.clusterIp"]
    assert document["provenance"]["backup"] == "nightly"


def test_the_item_itself_goes_into_the_backup_with_the_link_and_no_other_change(world: World) -> None:
    front = service("front", WEB, clusterIp="10.0.0.7", meta={"annotations": {"mine": "1"}, "finalizers": ["x"]})
    item = json.loads(json.dumps(world.capture(front).item))
    del item["metadata"]["annotations"][LINK]
    assert item == front


def test_a_link_that_an_owner_has_written_is_replaced(world: World) -> None:
    planted = json.dumps(
        {"v": 1, "key": f"{CAPTURES}objects/virtualmachineservices/bank/front.json", "sha256": "a" * 64}
    )
    outcome = world.capture(service("front", WEB, meta={"annotations": {LINK: planted}}))
    assert link(outcome.item)["key"] == KEY
    assert LINK not in world.document(KEY)["manifest"]["metadata"].get("annotations", {})


def test_a_groups_power_state_is_kept_beside_the_manifest(world: World) -> None:
    world.capture(group("tier", ["web-1"], powerState="PoweredOn"))
    document = world.document(f"{CAPTURES}objects/virtualmachinegroups/shop/tier.json")
    assert document["observed"]["power_state"] == "PoweredOn"
    assert "powerState" not in document["manifest"]["spec"]


@pytest.mark.parametrize("failing", ["objects/", "namespaces/"])
@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("denied")], ids=["away", "denied"])
def test_an_item_whose_capture_cannot_be_stored_fails(world: World, failing: str, error: Exception) -> None:
    world.store.calls.fail("put", error, on=failing)
    with pytest.raises(type(error)):
        world.capture(service("front", WEB))
    assert not world.store.exists(KEY)
    world.store.calls.heal()
    assert link(world.capture(service("front", WEB)).item)["key"] == KEY


def test_the_first_writer_wins(world: World) -> None:
    first = world.capture(service("front", WEB))
    body = world.store.get(KEY)
    world.clock.advance(3)
    again = world.capture(service("front", {"app": "edited"}))
    assert link(again.item) == link(first.item)
    assert world.store.get(KEY) == body
    world.restart()
    assert link(world.capture(service("front", WEB)).item) == link(first.item)


def test_another_sidecar_that_was_faster_wins(world: World) -> None:
    other = World()
    other.clock.advance(1)
    other.locations.stores["default"] = world.store
    first = link(other.capture(service("front", WEB)).item)
    assert link(world.capture(service("front", WEB)).item) == first


def test_a_store_that_lets_others_write_between_is_read_again(world: World) -> None:
    other = World()
    world.store.calls.before("put", lambda key: _write_first(other, world, key))
    stored_link = link(world.capture(service("front", WEB)).item)
    assert hashlib.sha256(world.store.get(KEY)).hexdigest() == stored_link["sha256"]


def _write_first(other: World, world: World, key: str) -> None:
    world.store.calls.heal()
    other.clock.advance(1)
    other.locations.stores["default"] = world.store
    other.capture(service("front", WEB))
    with pytest.raises(AlreadyExists):
        world.store.put(key, b"late", sha256=documents.digest(b"late"))


def test_two_versions_of_one_object_are_one_capture_at_the_newest(world: World) -> None:
    world.cluster.seed(service("front", WEB))
    outcomes = []
    for version in ("v1alpha4", "v1alpha5"):
        item = {**service("front", WEB), "apiVersion": f"vmoperator.vmware.com/{version}"}
        outcomes.append(world.capture(item))
        assert outcomes[-1].item["apiVersion"].endswith(version)
    assert link(outcomes[0].item) == link(outcomes[1].item)
    assert world.document(KEY)["manifest"]["apiVersion"] == "vmoperator.vmware.com/v1alpha5"
    assert world.document(KEY)["provenance"]["source_version"] == "v1alpha5"


def test_an_object_that_is_gone_since_is_captured_as_velero_read_it(world: World) -> None:
    item = {**service("front", WEB), "apiVersion": "vmoperator.vmware.com/v1alpha4"}
    world.capture(item)
    assert world.document(KEY)["provenance"]["source_version"] == "v1alpha4"


def test_at_the_newest_version_nothing_is_read_again(world: World) -> None:
    world.capture(service("front", WEB))
    read = [subject for method, subject in world.cluster.calls.made if method == "get"]
    assert not [subject for subject in read if "front" in subject]


@pytest.mark.parametrize(
    ("item", "around", "excerpt"),
    [
        (service("front", WEB, meta={"deletionTimestamp": "2026-03-01T11:00:00Z"}), [], "being deleted"),
        (service("lb", {"x": "1"}), [vm("node", labels={"x": "1", **NODE})], "guest cluster"),
        (
            service(
                "cp", meta={"ownerReferences": [{"apiVersion": "cluster.x-k8s.io/v1", "kind": "Cluster", "name": "c"}]}
            ),
            [],
            "guest cluster",
        ),
    ],
    ids=["deleting", "selects a node", "owned by a cluster"],
)
def test_an_object_that_shall_not_come_back_is_left_out_and_logged(
    world: World, log: LogCapture, item: dict[str, Any], around: list[dict[str, Any]], excerpt: str
) -> None:
    world.cluster.seed(*around)
    outcome = world.capture(item)
    assert outcome.operation_id == ""
    assert outcome.item["metadata"]["annotations"] == {SKIP: "true"}
    assert not list(world.store.list(f"{CAPTURES}objects/"))
    (line,) = [entry for entry in log.entries if entry["event"] == "not captured"]
    assert excerpt in line["reason"]
    assert line["log_level"] == "warning"


def test_a_users_service_that_selects_a_node_as_well_is_captured_with_a_finding(world: World) -> None:
    key = "virtualmachineservice.vmoperator.vmware.com/service.externalTrafficPolicy"
    world.cluster.seed(vm("web-1", labels=WEB), vm("node", labels={**WEB, **NODE}))
    outcome = world.capture(service("front", WEB, meta={"annotations": {key: "Local"}}))
    assert link(outcome.item)["vms"] == ["web-1"]
    assert [finding["code"] for finding in world.document(KEY)["findings"]] == ["vm-not-recorded"]


def test_a_group_of_nodes_around_a_users_group_is_captured(world: World) -> None:
    outer = group("tier", ["node", "/inner"])
    world.cluster.seed(outer, group("inner", ["web-1"]), vm("node", labels=NODE), vm("web-1", group="inner"))
    assert world.capture(outer).operation_id


def test_findings_are_logged_and_kept(world: World, log: LogCapture) -> None:
    world.capture(service("front", {"app": "nobody"}))
    assert [entry["finding"] for entry in log.entries if entry["event"] == "restorability"] == [
        "selector-matches-no-vm"
    ]
    assert [finding["code"] for finding in world.document(KEY)["findings"]] == ["selector-matches-no-vm"]


def test_dropped_fields_are_recorded(world: World, log: LogCapture) -> None:
    world.capture(service("front", clusterIp="10.0.0.1", meta={"uid": "1"}))
    (line,) = [entry for entry in log.entries if entry["event"] == "captured with digest"]
    assert line["log_level"] == "debug"
    assert line["dropped_fields"] == ["metadata.uid", "spec.clusterIp"]


def test_another_kind_is_refused(world: World) -> None:
    with pytest.raises(InvalidItem, match="neither"):
        world.capture(vm("web-1"))


def test_an_item_that_is_none_is_refused(world: World) -> None:
    for broken in ({}, {"apiVersion": "v1", "kind": "X"}, {"apiVersion": "v1", "kind": "X", "metadata": {"name": ""}}):
        with pytest.raises(InvalidItem):
            world.capture(broken)


def test_velero_calls_the_plugin_for_its_two_kinds_only(world: World) -> None:
    selector = world.app.actions.backup["capture"].applies_to()
    assert set(selector.included_resources) == {
        "virtualmachineservices.vmoperator.vmware.com",
        "virtualmachinegroups.vmoperator.vmware.com",
    }


def test_the_cluster_being_away_fails_the_item_rather_than_capturing_half_a_topology(world: World) -> None:
    world.cluster.calls.fail("list", Unavailable("the API server is away"))
    with pytest.raises(Unavailable):
        world.capture(service("front", WEB))
    assert not list(world.store.list("captures/"))


def test_secrets_are_named_and_never_read(world: World) -> None:
    secret = {"cloudInit": {"rawCloudConfig": {"name": "user-data", "key": "password"}}}
    world.cluster.seed(vm("web-1", labels=WEB, spec={"bootstrap": secret}), service("front", WEB))
    world.capture(service("front", WEB))
    assert not [subject for _, subject in world.cluster.calls.made if "Secret" in subject]
    assert world.document(KEY)["topology"]["machines"][0]["bootstrap"] == ["user-data"]


def test_the_store_is_that_of_the_backups_own_location(world: World) -> None:
    world.capture(service("front"))
    assert {subject for method, subject in world.locations.calls.made if method == "open"} == {"default"}


def of_another_cluster() -> dict[str, Any]:
    """Build the Backup that another cluster's schedule of that name makes in the same second."""
    ours = backup()
    return {**ours, "metadata": {**ours["metadata"], "uid": "another"}}


@pytest.mark.parametrize("namespace", ["shop", "bank"], ids=["the facts", "the object"])
def test_another_clusters_capture_is_never_linked(world: World, namespace: str) -> None:
    other = World()
    other.locations.stores["default"] = world.store
    other.app.actions.backup["capture"].execute(service("front", {"app": "theirs"}), of_another_cluster())
    if namespace == "bank":
        world.store.delete(f"{CAPTURES}namespaces/shop.json")
    body = world.store.get(KEY)
    with pytest.raises(InvalidSettings, match="another cluster writes under the same prefix") as caught:
        world.capture(service("front", WEB))
    assert "prefix of its own" in caught.value.hint
    assert world.store.get(KEY) == body


def test_without_vms_served_nothing_is_written_down_for_good(world: World) -> None:
    world.cluster.seed(vm("web-1", labels=WEB))
    world.cluster.serve(VIRTUAL_MACHINE)
    with pytest.raises(Unavailable, match=r"virtualmachines\.vmoperator\.vmware\.com just now"):
        world.capture(service("front", WEB))
    world.withhold(vm("web-1"))
    assert not list(world.store.list("captures/"))
    world.cluster.serve(VIRTUAL_MACHINE, "v1alpha5")
    assert link(world.capture(service("front", WEB)).item)["vms"] == ["web-1"]


BLOCKED = "velero-vsphere-plugin-blocked-resources-list"
SERVICES = "virtualmachineservices.vmoperator.vmware.com"
REFUSED = "velero-plugin-for-vsphere will refuse what is captured"


def blocked(**resources: str) -> dict[str, Any]:
    return obj("ConfigMap", BLOCKED, api="v1", namespace="velero", data=resources)


def refusals(log: LogCapture) -> list[Any]:
    return [entry for entry in log.entries if entry["event"] == REFUSED]


@pytest.mark.parametrize("value", ["true", "false", ""])
def test_another_plugin_that_will_refuse_the_item_is_logged_once_per_backup(
    world: World, log: LogCapture, value: str
) -> None:
    world.cluster.seed(blocked(**{SERVICES: value}))
    for number in range(3):
        world.capture(group(f"tier-{number}"))
        assert world.capture(service(f"front-{number}")).operation_id
    (line,) = refusals(log)
    assert (line["log_level"], line["kind"]) == ("warning", SERVICES)
    assert f"velero/{BLOCKED}" in line["reason"]
    assert SERVICES in line["hint"]
    assert "--snapshot-volumes=false" in line["hint"]
    assert [call for call in world.cluster.calls.made if BLOCKED in call[1]] == [("get", f"ConfigMap velero/{BLOCKED}")]
    world.capture(service("front"), name="hourly")
    assert len(refusals(log)) == 2


@pytest.mark.parametrize("data", [{}, {"virtualmachines.vmoperator.vmware.com": "true"}])
def test_a_neighbour_that_does_not_mind_is_not_mentioned(world: World, log: LogCapture, data: dict[str, str]) -> None:
    world.cluster.seed(blocked(**data))
    world.capture(service("front"))
    assert not refusals(log)


def test_without_volume_snapshots_the_neighbour_refuses_nothing(world: World, log: LogCapture) -> None:
    world.cluster.seed(blocked(**{SERVICES: "true"}))
    run = backup()
    run["spec"]["snapshotVolumes"] = False
    world.app.actions.backup["capture"].execute(service("front"), run)
    assert not refusals(log)


@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("denied")], ids=lambda e: e.code)
def test_another_plugin_whose_list_cannot_be_read_fails_nothing(
    world: World, log: LogCapture, error: Exception
) -> None:
    world.cluster.calls.fail("get", error, on=BLOCKED)
    for number in range(5):
        assert world.capture(service(f"front-{number}")).operation_id
    assert not refusals(log)
    assert len([call for call in world.cluster.calls.made if BLOCKED in call[1]]) == 1
