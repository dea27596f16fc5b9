"""What a restore believes: a link that is the item's own, and documents that are what led to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import backup, claim, group, restore, service, vm, with_policy
from tests.unit.world import CAPTURES, World
from velero_vmservice import documents
from velero_vmservice.archive import schema
from velero_vmservice.archive.facts import NamespaceFacts
from velero_vmservice.archive.schema import Capture, Seal
from velero_vmservice.errors import Corrupt
from velero_vmservice.report.model import Result
from velero_vmservice.velero.runs import read_replay_id, replay_id

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from velero_vmservice.documents import Document
    from velero_vmservice.velero.actions import Progress, RestoreOutcome

WEB = {"app": "web"}
LINK = "velero-plugin-for-vmservice/capture"
SERVICES = f"{CAPTURES}objects/virtualmachineservices/shop/"
FRONT = f"{SERVICES}front.json"
FACTS = f"{CAPTURES}namespaces/shop.json"
SEAL = f"{CAPTURES}capture.json"


def link(world: World, key: str, **changes: Any) -> str:
    """Return a link to a stored document, with its true digest."""
    return json.dumps(
        {"v": 1, "key": key, "sha256": documents.digest(world.store.get(key)), "vms": ["evil"], **changes}
    )


def planted(world: World, key: str, **changes: Any) -> dict[str, Any]:
    return service("front", WEB, meta={"annotations": {LINK: link(world, key, **changes)}})


def store(world: World, key: str, document: Document) -> None:
    """Replace a document, digests included, as a writer of the bucket can."""
    body = documents.canonical(document)
    world.store.replace(key, body, sha256=documents.digest(body))


def changed(world: World, key: str, model: type[Document], **changes: Any) -> None:
    store(world, key, documents.parse(model, world.store.get(key), key=key).model_copy(update=changes))


def leave(world: World, item: dict[str, Any], **spec: Any) -> RestoreOutcome:
    return world.app.actions.restore["leave"].execute(item, item, restore(**spec))


def finished(world: World, item: dict[str, Any], **spec: Any) -> Progress:
    operation = world.replay(item, **spec).operation_id
    return world.finish([operation], **spec)[operation]


@dataclass(frozen=True)
class Planted:
    """A link on a service that was backed up without the plugin."""

    why: str
    key: str
    differs: str


PLANTED = [
    Planted("another namespace's service", f"{CAPTURES}objects/virtualmachineservices/bank/front.json", "namespace"),
    Planted(
        "an older backup's capture",
        "captures/nightly/20260201T120000Z/objects/virtualmachineservices/shop/front.json",
        "start time 20260201T120000Z, not 20260301T120000Z",
    ),
    Planted(
        "another backup's capture",
        "captures/weekly/20260301T120000Z/objects/virtualmachineservices/shop/front.json",
        "Backup weekly, not nightly",
    ),
    Planted("a group", f"{CAPTURES}objects/virtualmachinegroups/shop/tier.json", "virtualmachinegroups"),
    Planted("another service", f"{SERVICES}back.json", "name back, not front"),
    Planted("the facts", FACTS, "not the key of a captured object"),
]


@pytest.fixture(name="full")
def _full(world: World) -> World:
    world.back_up(
        vm("web-1", labels=WEB, group="tier"),
        group("tier", ["web-1"]),
        service("back", WEB, loadBalancerSourceRanges=["192.0.2.0/24"]),
        service("front", WEB, loadBalancerSourceRanges=["192.0.2.0/24"]),
    )
    world.lose(service("front"))
    for case in PLANTED[:3]:
        world.store.put(case.key, body := world.store.get(FRONT), sha256=documents.digest(body))
    return world


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.why)
def test_the_item_is_replayed_and_not_the_target_of_a_planted_link(full: World, log: LogCapture, case: Planted) -> None:
    progress = finished(full, planted(full, case.key))
    assert progress.error == ""
    assert case.differs in progress.description
    assert "the backup's own item is taken instead" in progress.description
    live = full.live("VirtualMachineService", "front")
    assert "loadBalancerSourceRanges" not in live.spec
    assert not live.annotations
    (warned,) = [entry for entry in log.entries if entry["event"] == "capture refused"]
    assert case.differs in warned["cause"]


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.why)
def test_a_planted_link_fails_an_object_whose_capture_is_required(full: World, case: Planted) -> None:
    progress = finished(full, planted(full, case.key), **with_policy(capture="require"))
    assert case.differs in progress.error
    assert not full.exists("VirtualMachineService", "front")


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, '{"v":1,"key":"k","sha256":""}'], ids=range(4))
@pytest.mark.parametrize("policy", ["prefer", "require"])
def test_a_damaged_link_is_treated_by_policy_as_one_that_leads_elsewhere(
    full: World, log: LogCapture, text: str, policy: str
) -> None:
    item = service("front", WEB, meta={"annotations": {LINK: text}})
    progress = finished(full, item, **with_policy(capture=policy))
    assert "damaged" in (progress.error if policy == "require" else progress.description)
    assert full.exists("VirtualMachineService", "front") is (policy == "prefer")
    assert [entry for entry in log.entries if entry["event"] == "capture refused"]


def test_a_planted_link_does_not_say_which_vms_to_wait_for(full: World) -> None:
    """Not even where the Backup could not be read when the restore began, so that nothing could be compared."""
    full.store.delete(FACTS)
    full.lose(vm("web-1"))
    progress = finished(full, planted(full, PLANTED[0].key))
    assert progress.error == ""
    assert "evil" not in progress.description


def test_a_planted_link_does_not_vouch_for_facts(full: World) -> None:
    item = planted(full, PLANTED[0].key, facts="e" * 64)
    assert finished(full, item).error == ""


@dataclass(frozen=True)
class Operation:
    """A change in the list of operations."""

    why: str
    changes: dict[str, Any]
    excerpt: str
    fails: bool = True


OPERATIONS = [
    Operation("another namespace to write into", {"target": "bank"}, "into namespace bank"),
    Operation("another backup's capture", {"key": PLANTED[2].key}, "Backup weekly, not nightly", fails=False),
    Operation("another object's capture", {"name": "back"}, "manifest's name is 'front', not 'back'"),
    Operation("no item of its kind", {"key": "", "sha256": "", "item": group("tier", ["web-1"])}, "manifest's kind"),
    Operation("no item of its name", {"key": "", "sha256": "", "item": service("other")}, "manifest's name"),
    Operation("no object at all", {"key": "", "sha256": "", "item": {"a": 1}}, "no apiVersion"),
    Operation("no item", {"key": "", "sha256": "", "item": None}, "not a JSON object"),
]


@pytest.mark.parametrize("case", OPERATIONS, ids=lambda case: case.why)
def test_an_operation_is_compared_with_its_restore_and_its_item(full: World, case: Operation) -> None:
    replay = read_replay_id(
        full.replay(service("front", WEB, meta={"annotations": {LINK: link(full, FRONT)}})).operation_id
    )
    full.restart()
    operation = replay_id(replay.model_copy(update=case.changes))
    progress = full.finish([operation])[operation]
    assert case.excerpt in (progress.error if case.fails else progress.description)
    assert bool(progress.error) is case.fails
    assert full.created() == ([] if case.fails else ["VirtualMachineService shop/front"])


TIES: dict[str, Any] = {
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1"}],
    "finalizers": ["example.com/never"],
    "uid": "1",
    "resourceVersion": "1",
    "deletionTimestamp": "2026-03-01T12:00:00Z",
    "annotations": {
        "vmoperator.vmware.com/conversion": "{}",
        "vmoperator.vmware.com.protected/apply-power-state-time": "x",
        "vmoperator.vmware.com.protected/anything": "x",
        "kept": "yes",
    },
}


@pytest.mark.parametrize("source", ["capture", "item"])
def test_nothing_that_ties_an_object_to_its_past_comes_out_of_a_store_or_an_operation(
    world: World, source: str
) -> None:
    items = world.back_up(vm("web-1", group="tier"), group("tier", ["web-1"]))
    world.lose(group("tier"))
    hostile = group("tier", ["web-1"], meta=TIES, powerState="PoweredOn", nextForcePowerStateSyncTime="never")
    operation = world.replay(items[0]).operation_id
    replay = read_replay_id(operation)
    key = f"{CAPTURES}objects/virtualmachinegroups/shop/tier.json"
    if source == "item":
        replay = replay.model_copy(update={"key": "", "sha256": "", "facts": None, "item": hostile})
    else:
        changed(world, key, Capture, manifest=hostile)
        replay = replay.model_copy(update={"sha256": documents.digest(world.store.get(key))})
    world.restart()
    assert world.finish([replay_id(replay)])
    live = world.live("VirtualMachineGroup", "tier")
    assert dict(live.annotations) == {"kept": "yes"}
    assert not {"ownerReferences", "finalizers", "deletionTimestamp"} & set(live.metadata)
    assert live.uid != "1"
    assert set(live.spec) == {"bootOrder"}


@dataclass(frozen=True)
class Replaced:
    """A capture whose link has its digest, and which is of something else."""

    why: str
    changes: dict[str, Any] = field(default_factory=dict)
    excerpt: str = ""


OTHER_ORIGIN = schema.Provenance(backup="weekly", backup_started="20260301T120000Z", captured_at="t", plugin="1")
REPLACED = [
    Replaced("another kind", {"kind": "VirtualMachineGroup"}, "its kind is 'VirtualMachineGroup'"),
    Replaced("another namespace", {"namespace": "bank"}, "its namespace is 'bank', not 'shop'"),
    Replaced("another name", {"name": "back"}, "its name is 'back', not 'front'"),
    Replaced("another backup", {"provenance": OTHER_ORIGIN}, "its Backup is 'weekly', not 'nightly'"),
    Replaced(
        "another run",
        {"provenance": OTHER_ORIGIN.model_copy(update={"backup": "nightly", "backup_started": "20260201T120000Z"})},
        "start time is '20260201T120000Z'",
    ),
    Replaced("another kind's manifest", {"manifest": group("front", ["web-1"])}, "manifest's kind"),
    Replaced(
        "a foreign kind's manifest", {"manifest": {**service("front"), "kind": "Pod"}}, "manifest's kind is 'Pod'"
    ),
    Replaced("a foreign group's manifest", {"manifest": {**service("front"), "apiVersion": "v1"}}, "API group is ''"),
    Replaced("another namespace's manifest", {"manifest": service("front", meta={"namespace": "bank"})}, "'bank'"),
    Replaced("another name's manifest", {"manifest": service("back")}, "manifest's name is 'back', not 'front'"),
    Replaced("no manifest", {"manifest": {"spec": {}}}, "no apiVersion"),
]


@pytest.mark.parametrize("case", REPLACED, ids=lambda case: case.why)
def test_a_capture_of_something_else_fails_the_object_whatever_its_digest(full: World, case: Replaced) -> None:
    changed(full, FRONT, Capture, **case.changes)
    progress = finished(full, planted(full, FRONT))
    assert case.excerpt in progress.error
    assert full.created() == []


RESULT = "restores/again/20260301T120000Z/virtualmachineservices/shop/front.json"


@pytest.mark.parametrize(
    "changes",
    [{"name": "back"}, {"kind": "VirtualMachineGroup"}, {"namespace": "bank"}, {"restore": "other"}, {"backup": "x"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_result_of_something_else_ends_no_replay(full: World, changes: dict[str, str]) -> None:
    own = {"restore": "again", "backup": "nightly", "kind": "VirtualMachineService", "namespace": "shop"}
    fields = {**own, "name": "front", **changes}
    store(full, RESULT, Result(**fields, stage="verified", reason="as expected", action="create"))
    operation = full.replay(planted(full, FRONT)).operation_id
    full.restart()
    full.finish([operation])
    assert full.created() == ["VirtualMachineService shop/front"]


# Facts.


def facts(world: World) -> NamespaceFacts:
    return documents.parse(NamespaceFacts, world.store.get(FACTS), key=FACTS)


@pytest.fixture(name="item")
def _item(world: World) -> dict[str, Any]:
    """Return the item of a service of a VM with the disk `data`; `notes` is a user's."""
    (item,) = world.back_up(vm("web-1", labels=WEB, claims=["data"]), service("front", WEB))
    return item


@pytest.fixture(name="disks")
def _disks(world: World, item: dict[str, Any]) -> World:
    world.restart()
    assert item
    return world


def with_disks(facts: NamespaceFacts, *claims: str) -> dict[str, Any]:
    (machine,) = facts.machines
    kept = {name: getattr(machine, name) for name in ("name", "uid", "labels")}
    return {"machines": (type(machine)(**kept, claims=claims),)}


@pytest.mark.parametrize("given", ["data", "notes"])
def test_changed_facts_neither_skip_a_users_volume_nor_hand_over_a_vms_disk(disks: World, given: str) -> None:
    changed(disks, FACTS, NamespaceFacts, **with_disks(facts(disks), "notes"))
    with pytest.raises(Corrupt, match="SHA-256 differs"):
        leave(disks, claim(given))


def test_facts_of_something_else_are_refused_whatever_their_digest(disks: World) -> None:
    for changes in ({"namespace": "bank"}, {"backup": "weekly"}, {"backup_started": "20260201T120000Z"}):
        changed(disks, FACTS, NamespaceFacts, **changes)
        entry = schema.SealedObject(key=FACTS, sha256=documents.digest(disks.store.get(FACTS)))
        changed(disks, SEAL, Seal, namespaces=(entry,))
        disks.restart()
        with pytest.raises(Corrupt, match=next(iter(changes.values()))):
            leave(disks, claim("data"))


def test_facts_that_a_seal_lists_and_that_are_gone_are_missed(disks: World) -> None:
    disks.store.delete(FACTS)
    with pytest.raises(Exception, match="is gone: cannot tell which claims of namespace shop are disks") as caught:
        leave(disks, claim("data"))
    assert caught.value.code == "not-found"  # type: ignore[attr-defined]


DOUBTS = {
    "no seal": "there is no seal",
    "a seal that is not a document": "cannot be read as Seal",
    "another backup's seal": "its Backup is 'weekly'",
    "a seal without the namespace": "does not list",
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_facts_that_nothing_vouches_for_skip_no_volume_in_silence(disks: World, log: LogCapture, doubt: str) -> None:
    if doubt == "no seal":
        disks.store.delete(SEAL)
    elif doubt == "another backup's seal":
        changed(disks, SEAL, Seal, backup="weekly")
    elif doubt == "a seal without the namespace":
        changed(disks, SEAL, Seal, namespaces=())
    else:
        disks.store.replace(SEAL, b"{", sha256=documents.digest(b"{"))
    with pytest.raises(Corrupt, match="claim shop/data is not restored") as caught:
        leave(disks, claim("data"))
    assert DOUBTS[doubt] in caught.value.message
    assert not leave(disks, claim("notes")).skip
    (line,) = [entry for entry in log.entries if entry["event"] == "restored in doubt"]
    assert (line["log_level"], line["object"]) == ("warning", "PersistentVolumeClaim shop/notes")
    assert DOUBTS[doubt] in line["reason"]


def test_a_namespace_of_vms_alone_has_its_facts_in_the_seal(world: World) -> None:
    world.cluster.seed(vm("web-1", claims=["data"]))
    world.withhold(vm("web-1", claims=["data"]))
    world.app.actions.ended("")
    world.restart()
    assert leave(world, claim("data")).skip


def test_the_facts_of_a_replay_are_those_that_the_link_refers_to(disks: World, item: dict[str, Any]) -> None:
    """Even where facts and seal were both replaced, which nothing shows while volumes are restored."""
    changed(disks, FACTS, NamespaceFacts, **with_disks(facts(disks), "notes"))
    entry = schema.SealedObject(key=FACTS, sha256=documents.digest(disks.store.get(FACTS)))
    changed(disks, SEAL, Seal, namespaces=(entry,))
    disks.lose(item)
    progress = finished(disks, item)
    assert FACTS in progress.error
    assert "SHA-256 differs" in progress.error
    assert not disks.exists("VirtualMachineService", "front")


def test_a_link_of_an_earlier_release_leaves_the_facts_to_the_seal(disks: World, item: dict[str, Any]) -> None:
    disks.lose(item)
    item["metadata"]["annotations"][LINK] = link(disks, FRONT, vms=["web-1"])
    before = disks.store.calls.counts["get"]
    progress = finished(disks, item)
    assert progress.error == ""
    assert "facts" not in progress.description
    assert disks.store.calls.counts["get"] - before <= 3 + 1  # seal, facts, capture, an earlier result


def test_facts_that_nothing_vouches_for_are_not_used_by_a_replay(disks: World, item: dict[str, Any]) -> None:
    disks.lose(item)
    disks.store.delete(SEAL)
    item["metadata"]["annotations"][LINK] = link(disks, FRONT, vms=["web-1"])
    progress = finished(disks, item)
    assert progress.error == ""
    assert "the facts of namespace shop are not used: there is no seal" in progress.description


def test_a_backup_without_any_documents_was_taken_without_the_plugin(world: World) -> None:
    world.cluster.seed(backup("foreign"))
    assert not leave(world, claim("data"), of="foreign").skip
