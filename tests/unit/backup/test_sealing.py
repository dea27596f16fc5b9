from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import backup, group, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice import documents
from velero_vmservice.archive.schema import Seal
from velero_vmservice.errors import Corrupt, Forbidden, InvalidItem, InvalidSettings, Unavailable
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.testing import LogCapture

SEAL = f"{CAPTURES}capture.json"
OPERATION = f"seal-v1:{CAPTURES}"
VERSION = "vmoperator.vmware.com/backup-version"


def captured(world: World, count: int = 3) -> list[str]:
    for number in range(count):
        world.capture(service(f"front-{number}"))
    return list(world.store.list(f"{CAPTURES}objects/"))


def test_the_seal_names_every_document_and_its_digest(world: World) -> None:
    keys = captured(world)
    progress = world.seal(OPERATION)
    assert (progress.completed, progress.error, progress.done, progress.total) == (True, "", 3, 3)
    seal = world.document(SEAL)
    listed = {entry["key"]: entry["sha256"] for entry in seal["objects"] + seal["namespaces"]}
    assert listed == {
        key: hashlib.sha256(world.store.get(key)).hexdigest() for key in (*keys, f"{CAPTURES}namespaces/shop.json")
    }
    assert (seal["backup"], seal["backup_uid"]) == ("nightly", "uid-of-nightly")


@pytest.mark.parametrize("folder", ["objects/", "namespaces/"])
@pytest.mark.parametrize("body", [b"rotten", b"{}"])
def test_a_document_that_is_not_what_was_written_is_found(world: World, folder: str, body: bytes) -> None:
    captured(world)
    (key, *_) = world.store.list(f"{CAPTURES}{folder}")
    world.store.tamper(key, body)
    with pytest.raises(Corrupt, match=key.rpartition("/")[2]):
        world.seal(OPERATION)
    assert not world.store.exists(SEAL)


def test_a_document_that_was_replaced_with_its_digest_is_found(world: World) -> None:
    (key, *_) = captured(world)
    world.store.delete(key)
    world.store.put(key, b"{}", sha256=hashlib.sha256(b"{}").hexdigest())
    with pytest.raises(Corrupt, match="not what was captured"):
        world.seal(OPERATION)
    world.restart()
    with pytest.raises(Corrupt, match="cannot be read"):
        world.seal(OPERATION)


@pytest.mark.parametrize("folder", ["objects/", "namespaces/"])
def test_a_document_that_was_deleted_before_the_seal_is_missed(world: World, folder: str) -> None:
    captured(world)
    (key, *_) = world.store.list(f"{CAPTURES}{folder}")
    world.store.delete(key)
    for _ in range(2):  # however often Velero asks
        with pytest.raises(Corrupt, match="is gone") as caught:
            world.seal(OPERATION)
        assert key in caught.value.message
        assert "repeat the backup" in caught.value.hint
    assert not world.store.exists(SEAL)


def test_a_valid_document_in_the_place_of_a_captured_one_is_found(world: World) -> None:
    (key, *_) = captured(world)
    body = world.store.get(key).replace(b"LoadBalancer", b"ClusterIP")
    world.store.delete(key)
    world.store.put(key, body, sha256=hashlib.sha256(body).hexdigest())
    with pytest.raises(Corrupt, match="not what was captured"):
        world.seal(OPERATION)
    assert not world.store.exists(SEAL)


def test_a_record_that_the_list_does_not_show_yet_is_read_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = captured(world)
    monkeypatch.setattr(world.store, "list", lambda _: iter(()))
    assert world.seal(OPERATION).completed
    assert [entry["key"] for entry in world.document(SEAL)["objects"]] == keys


def test_after_a_restart_the_seal_goes_by_what_is_stored(world: World) -> None:
    keys = captured(world)
    world.store.delete(keys[0])
    world.restart()
    assert world.seal(OPERATION).completed
    assert [entry["key"] for entry in world.document(SEAL)["objects"]] == keys[1:]


@pytest.mark.parametrize(
    "key",
    [
        f"{CAPTURES}objects/virtualmachineservices/bank/front.json",
        f"{CAPTURES}objects/virtualmachineservices/shop/other.json",
        f"{CAPTURES}objects/virtualmachinegroups/shop/front.json",
        f"{CAPTURES}objects/virtualmachinewidgets/shop/front.json",
        f"{CAPTURES}objects/front.json",
        f"{CAPTURES}namespaces/bank.json",
    ],
)
def test_a_document_that_is_of_something_else_is_not_sealed(world: World, key: str) -> None:
    captured(world)
    folder = "namespaces/shop" if "namespaces" in key else "objects/virtualmachineservices/shop/front-0"
    world.store.put(key, body := world.store.get(f"{CAPTURES}{folder}.json"), sha256=documents.digest(body))
    with pytest.raises(Corrupt, match=key):
        world.seal(OPERATION)
    assert not world.store.exists(SEAL)


def test_a_document_that_another_cluster_wrote_meanwhile_is_not_sealed(world: World) -> None:
    captured(world)
    ours = backup()
    theirs = {**ours, "metadata": {**ours["metadata"], "uid": "another"}}
    other = World()
    other.locations.stores["default"] = world.store
    other.app.actions.backup["capture"].execute(service("theirs", meta={"namespace": "bank"}), theirs)
    with pytest.raises(InvalidSettings, match="another cluster"):
        world.seal(OPERATION)
    assert not world.store.exists(SEAL)


def test_every_item_asks_and_the_work_is_done_once(world: World) -> None:
    captured(world)
    first = world.seal(OPERATION)
    body, gets = world.store.get(SEAL), world.store.calls.counts["get"]
    world.clock.advance(10)
    assert world.seal(OPERATION) == first
    assert world.store.calls.counts["get"] == gets
    assert world.store.get(SEAL) == body


def test_a_restarted_sidecar_finds_the_seal(world: World) -> None:
    captured(world)
    world.withhold(vm("web-1"))
    world.seal(OPERATION)
    body = world.store.get(SEAL)
    world.clock.advance(10)
    world.restart()
    assert world.seal(OPERATION).completed
    assert world.store.get(SEAL) == body


def test_a_slow_store_is_read_over_several_polls_and_nothing_twice(world: World) -> None:
    captured(world, 19)
    before = world.store.calls.counts["get"]
    world.store.calls.before("get", lambda _: world.clock.advance(2))
    polls = [world.seal(OPERATION)]
    while not polls[-1].completed:
        polls.append(world.seal(OPERATION))
    assert len(polls) > 2
    assert [poll.done for poll in polls] == sorted(poll.done for poll in polls)
    assert polls[0].done < 19
    assert world.store.calls.counts["get"] - before == 20


def test_documents_are_read_back_side_by_side(world: World) -> None:
    captured(world, 3)
    all_four = threading.Barrier(4)
    world.store.calls.before("get", lambda _: all_four.wait(timeout=10) and None)
    assert world.seal(OPERATION).completed


def test_a_store_that_is_slower_than_the_budget_still_gets_on(world: World) -> None:
    captured(world)
    world.store.calls.before("list", lambda _: world.clock.advance(20))
    polls = [world.seal(OPERATION) for _ in range(4)]
    assert polls[-1].completed


def test_a_store_that_is_away_is_transient_and_goes_on_later(world: World) -> None:
    captured(world)
    world.store.calls.fail("get", Unavailable("away"))
    with pytest.raises(Unavailable) as caught:
        world.seal(OPERATION)
    assert caught.value.transient
    world.store.calls.heal()
    assert world.seal(OPERATION).completed


@pytest.mark.parametrize("operation", ["", "replay-v1:x", "seal-v1:captures/another/20260301T120000Z/", "seal-v1:"])
def test_an_operation_of_another_run_is_refused(world: World, operation: str) -> None:
    captured(world)
    with pytest.raises(InvalidItem):
        world.seal(operation)


VADP = {"velero-plugin-for-vmservice/vadp-job": "gold", "velero-plugin-for-vmservice/vadp-restore-point": "rp-7"}


def sealed(world: World, *objects: dict[str, Any], **rest: Any) -> dict[str, Any]:
    world.cluster.seed(*objects)
    for manifest in objects:
        if manifest["kind"] != "VirtualMachine":
            world.capture(manifest, **rest)
    assert world.seal(OPERATION, **rest).completed
    vadp: dict[str, Any] = world.document(SEAL)["vadp"]
    return vadp


def version(number: int) -> dict[str, Any]:
    return {"annotations": {VERSION: str(number)}}


def test_the_vadp_job_is_taken_from_the_backup(world: World, log: LogCapture) -> None:
    web = vm("web-1", labels={"app": "web"}, meta=version(7))
    seal = sealed(world, web, service("front", {"app": "web"}), annotations=VADP)
    assert seal == {"job": "gold", "restore_point": "rp-7", "machines": {"shop/web-1": "7"}}
    (line,) = [entry for entry in log.entries if entry["event"] == "capture sealed"]
    assert (line["vadp_job"], list(line["vadp_vms"])) == ("gold", ["shop/web-1"])


def test_without_annotations_the_vms_are_listed_all_the_same(world: World) -> None:
    seal = sealed(world, vm("web-1", group="tier"), group("tier", ["web-1"]))
    assert seal == {"job": "", "restore_point": "", "machines": {"shop/web-1": ""}}


def test_vms_of_nested_groups_belong_in_the_job_with_their_versions(world: World) -> None:
    objects = [
        group("z-outer", ["/inner"], ["/lost"]),
        group("inner", ["db-1"], parent="z-outer"),
        vm("db-1", group="inner", meta=version(5)),
    ]
    assert sealed(world, *objects)["machines"] == {"shop/db-1": "5"}


def test_cancelling_leaves_what_is_stored(world: World) -> None:
    keys = captured(world)
    world.app.actions.backup["capture"].cancel(OPERATION, {})
    assert list(world.store.list(f"{CAPTURES}objects/")) == keys


@pytest.fixture(name="launched")
def _launched() -> Iterator[str]:
    """The launched process that every call comes from."""
    token = CALLER.set("process-1")
    yield "process-1"
    CALLER.reset(token)


def test_a_backup_of_vms_alone_is_sealed_when_its_process_is_over(world: World, launched: str) -> None:
    for name in ("web-1", "web-2"):
        assert world.withhold(vm(name)).operation_id == ""
    world.app.actions.ended("another process")
    assert not world.store.exists(SEAL)
    world.app.actions.ended(launched)
    seal = world.document(SEAL)
    assert seal["withheld"] == {"virtualmachines.vmoperator.vmware.com": 2}
    assert [namespace["key"] for namespace in seal["namespaces"]] == [f"{CAPTURES}namespaces/shop.json"]
    world.app.actions.ended(launched)


def test_a_backup_with_an_operation_is_sealed_by_it_alone(world: World, launched: str) -> None:
    captured(world)
    world.withhold(vm("web-1"))
    world.app.actions.ended(launched)
    assert not world.store.exists(SEAL)
    assert world.seal(OPERATION).completed
    assert world.document(SEAL)["withheld"] == {"virtualmachines.vmoperator.vmware.com": 1}


def test_a_seal_that_cannot_be_written_at_a_process_end_is_reported(
    world: World, launched: str, log: LogCapture
) -> None:
    world.withhold(vm("web-1"))
    world.store.calls.fail("put", Unavailable("the bucket is away"))
    world.app.actions.ended(launched)
    assert [entry["cause"] for entry in log.entries if entry["event"] == "not sealed"] == ["the bucket is away"]


def test_the_seal_lists_vms_without_an_application(world: World) -> None:
    node = vm("node", labels={"capv.vmware.com/cluster.role": "node"})
    alone = vm("alone", meta={"annotations": {VERSION: "3"}})
    world.cluster.seed(vm("web-1", labels={"app": "web"}), alone, node, vm("unchosen"))
    for chosen in (vm("web-1"), alone, node):
        world.withhold(chosen)
    assert world.seal(world.capture(service("front", {"app": "web"})).operation_id).completed
    seal = world.document(SEAL)
    assert seal["vadp"]["machines"] == {"shop/alone": "3", "shop/web-1": ""}
    assert seal["without_application"] == ["shop/alone"]


def test_a_vm_that_a_nested_boot_order_names_and_that_does_not_exist_is_not_in_the_seal(world: World) -> None:
    objects = [group("outer", ["/inner"]), group("inner", ["db-1", "gone"], parent="outer"), vm("db-1", group="inner")]
    world.cluster.seed(*objects)
    for captured_group in objects[:2]:
        operation = world.capture(captured_group).operation_id
    assert world.seal(operation).completed
    seal = world.document(SEAL)
    assert seal["vadp"]["machines"] == {"shop/db-1": ""}
    assert seal["without_application"] == []


def test_after_a_restart_the_backups_filters_say_which_vms_it_holds(world: World) -> None:
    world.cluster.seed(vm("alone", labels={"keep": "yes"}), vm("other"))
    run = backup()
    run["spec"]["labelSelector"] = {"matchLabels": {"keep": "yes"}}
    operation = world.app.actions.backup["capture"].execute(service("front", meta={"labels": {"keep": "yes"}}), run)
    world.clock.advance(30)
    world.restart()
    assert world.app.actions.backup["capture"].progress(operation.operation_id, run).completed
    assert world.document(SEAL)["without_application"] == ["shop/alone"]


@pytest.mark.parametrize(
    "spec",
    [
        {"labelSelector": {"matchLabels": {"app": "web"}}},
        {"includedResources": ["virtualmachines.vmoperator.vmware.com"]},
        {"orLabelSelectors": [{"matchLabels": {"app": "web"}}]},
    ],
)
def test_an_object_that_the_filters_leave_out_is_named_in_log_and_seal_by_its_vms(
    world: World, launched: str, log: LogCapture, spec: dict[str, Any]
) -> None:
    machine = vm("web-1", labels={"app": "web"}, group="tier")
    world.cluster.seed(machine, group("tier", ["web-1"]), service("front", {"app": "web"}))
    run = backup()
    run["spec"] |= spec
    world.app.actions.backup["withhold"].execute(machine, run)
    warned = {entry["object"]: list(entry["vms"]) for entry in log.entries if entry["event"] == "not captured"}
    assert warned == {
        "VirtualMachineGroup shop/tier": ["web-1"],
        "VirtualMachineService shop/front": ["web-1"],
    }
    world.app.actions.ended(launched)
    seal = world.document(SEAL)
    assert [(left_out["kind"], left_out["name"], left_out["vms"]) for left_out in seal["not_captured"]] == [
        ("VirtualMachineGroup", "tier", ["web-1"]),
        ("VirtualMachineService", "front", ["web-1"]),
    ]
    assert seal["without_application"] == ["shop/web-1"]


def test_a_backup_that_takes_everything_warns_of_nothing(world: World, log: LogCapture) -> None:
    world.back_up(
        vm("web-1", labels={"app": "web"}, group="tier"), group("tier", ["web-1"]), service("front", {"app": "web"})
    )
    assert not [entry for entry in log.entries if entry["event"] == "not captured"]
    assert world.document(SEAL)["not_captured"] == []
    assert world.document(SEAL)["without_application"] == []


def test_a_backup_whose_only_service_is_a_guest_clusters_is_sealed_when_its_process_is_over(
    world: World, launched: str
) -> None:
    node = vm("node", labels={"x": "1", "capv.vmware.com/cluster.role": "node"})
    world.cluster.seed(vm("alone"), node)
    world.withhold(vm("alone"))
    assert world.capture(service("lb", {"x": "1"})).operation_id == ""
    world.app.actions.ended(launched)
    assert world.document(SEAL)["without_application"] == ["shop/alone"]


def test_the_seal_says_whether_each_application_could_be_restored(world: World, log: LogCapture) -> None:
    node = {"capv.vmware.com/cluster.role": "worker", "app": "db"}
    world.back_up(
        vm("web-1", labels={"app": "web"}, claims=["data"]),
        vm("mail-1", labels={"app": "mail"}),
        vm("db-1", labels={"app": "db"}),
        vm("node", labels=node),
        service("front", {"app": "web"}),
        service("mail", {"app": "mail"}),
        service("db", {"app": "db"}),
    )
    applications = world.document(SEAL)["applications"]
    assert [(entry["name"], entry["verdict"], entry["vms"]) for entry in applications] == [
        ("db", "not-restorable", ["db-1", "node"]),
        ("front", "with-warnings", ["web-1"]),
        ("mail", "restorable", ["mail-1"]),
    ]
    assert [reason["code"] for entry in applications for reason in entry["reasons"]] == [
        "vm-not-recorded",
        "claim-not-bound",
    ]
    (line,) = [entry for entry in log.entries if entry["event"] == "not restorable"]
    assert (line["object"], line["finding"]) == ("VirtualMachineService shop/db", "vm-not-recorded")
    assert "VirtualMachine node is a guest cluster's node" in line["reason"]


def test_a_right_that_is_denied_leaves_claims_unknown_and_the_backup_whole(world: World) -> None:
    world.cluster.calls.fail("list", Forbidden("denied"), on="PersistentVolumeClaim shop")
    world.back_up(vm("web-1", labels={"app": "web"}, claims=["data"]), service("front", {"app": "web"}))
    assert world.document(f"{CAPTURES}namespaces/shop.json")["unbound_claims"] is None
    (application,) = world.document(SEAL)["applications"]
    assert (application["verdict"], [reason["code"] for reason in application["reasons"]]) == (
        "restorable",
        ["claims-unknown"],
    )


def test_a_seal_of_an_earlier_release_says_nothing_of_applications(world: World) -> None:
    captured(world)
    world.seal(OPERATION)
    content = world.document(SEAL)
    del content["applications"]
    assert Seal.model_validate(content).applications is None
