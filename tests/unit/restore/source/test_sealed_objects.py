"""What the command line replays: what the seal lists, each object for itself; other backups where that is of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import backup, group, m, restore, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice import documents
from velero_vmservice.archive import schema
from velero_vmservice.archive.schema import Seal
from velero_vmservice.errors import NotFound, NotRestorable, Unavailable, VmServiceError
from velero_vmservice.restore.model import Action
from velero_vmservice.velero.runs import RestoreRun, replay_id

if TYPE_CHECKING:
    from collections.abc import Mapping

WEB = {"app": "web"}
SEAL = f"{CAPTURES}capture.json"
NAMES = ("a", "b", "c", "d", "e")


def key(name: str) -> str:
    return f"{CAPTURES}objects/virtualmachineservices/shop/{name}.json"


def run(**spec: Any) -> RestoreRun:
    return RestoreRun.read(m(restore(**spec)))


def planned(world: World, **spec: Any) -> dict[str, tuple[Action, str]]:
    this = run(**spec)
    replays = world.app.backup_objects.captured(this, m(restore(**spec)).spec)
    steps = world.app.planning.plan(replays, this, world.app.replays.policy(this))
    return {
        planned_object.ref.name: (planned_object.step.action, planned_object.step.reason) for planned_object in steps
    }


def seal(world: World, **changes: Any) -> None:
    """Replace the seal, its digest included."""
    read = documents.parse(Seal, world.store.get(SEAL), key=SEAL)
    body = documents.canonical(read.model_copy(update=changes))
    world.store.replace(SEAL, body, sha256=documents.digest(body))


@pytest.fixture(name="five")
def _five(world: World) -> World:
    services = [service(name, WEB, meta={"labels": {"part": name}}) for name in NAMES]
    world.back_up(vm("web-1", labels=WEB), *services)
    world.lose(*services)
    return world


@pytest.mark.parametrize(
    ("damage", "excerpt"),
    [
        ("gone", "is gone"),
        ("rotten", "do not match their digest"),
        ("replaced", "SHA-256 differs"),
        ("no document", "SHA-256 differs"),
        ("another backup's", "Backup weekly, not nightly"),
    ],
)
def test_one_damaged_capture_is_blocked_and_the_others_are_planned(five: World, damage: str, excerpt: str) -> None:
    if damage == "gone":
        five.store.delete(key("c"))
    elif damage == "rotten":
        five.store.tamper(key("c"), b"x")
    elif damage == "another backup's":
        body = five.store.get(key("c"))
        elsewhere = key("c").replace("nightly", "weekly")
        five.store.put(elsewhere, body, sha256=documents.digest(body))
        entries = documents.parse(Seal, five.store.get(SEAL), key=SEAL).objects
        moved = {key("c"): elsewhere}
        seal(
            five, objects=tuple(entry.model_copy(update={"key": moved.get(entry.key, entry.key)}) for entry in entries)
        )
    else:
        body = five.store.get(key("d")) if damage == "replaced" else b"{"
        five.store.replace(key("c"), body, sha256=documents.digest(body))
    steps = planned(five)
    assert steps.keys() == set(NAMES)
    assert steps.pop("c")[0] is Action.BLOCKED
    assert excerpt in planned(five)["c"][1]
    assert {action for action, _ in steps.values()} == {Action.CREATE}


def test_a_restore_without_velero_replays_the_others_and_fails_the_damaged_one(five: World) -> None:
    five.store.delete(key("c"))
    this = run()
    for replay in five.app.backup_objects.captured(this, {}):
        five.app.replays.announce(replay_id(replay), replay, this)
    for _ in range(5):
        five.clock.advance(10)
        tasks = five.app.replays.advance(this)
        five.vm_operator()
    stages = {task.replay.name: str(task.stage) for task in tasks}
    assert stages == {"a": "verified", "b": "verified", "c": "failed", "d": "verified", "e": "verified"}


def test_a_capture_that_cannot_be_read_may_be_selected_whatever_the_labels(five: World) -> None:
    five.store.delete(key("c"))
    assert planned(five, labelSelector={"matchLabels": {"part": "a"}}).keys() == {"a", "c"}
    assert planned(five, includedNamespaces=["bank"]) == {}


def test_labels_are_read_only_where_they_are_asked_for(five: World) -> None:
    five.restart()
    before = five.store.calls.counts["get"]
    five.app.backup_objects.captured(run(), {})
    assert five.store.calls.counts["get"] == before + 1


def test_a_store_that_is_away_is_not_a_damaged_capture(five: World) -> None:
    five.store.calls.fail("get", Unavailable("away"), on=key("c"))
    with pytest.raises(Unavailable):
        planned(five, labelSelector={"matchLabels": {"part": "a"}})


@pytest.mark.parametrize(
    "entry",
    [f"{CAPTURES}namespaces/shop.json", f"{CAPTURES}objects/virtualmachinewidgets/shop/a.json", "x", ""],
)
def test_a_seal_that_lists_what_is_no_captured_object_is_damaged(five: World, entry: str) -> None:
    seal(five, objects=(schema.SealedObject(key=entry, sha256="0" * 64),))
    with pytest.raises(NotRestorable, match="not a captured object"):
        planned(five)


# Other backups.


def other(name: str, day: int, *, spec: Mapping[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    made = backup(name, started=f"2026-02-{day:02}T12:00:00Z")
    made["status"]["phase"] = rest.pop("phase", "Completed")
    made["metadata"]["labels"] = rest
    return {**made, "spec": {**made["spec"], **(spec or {})}}


def sealed(world: World, *backups: dict[str, Any]) -> None:
    for velero_backup in backups:
        world.cluster.seed(velero_backup)
        started = velero_backup["status"]["startTimestamp"].replace("-", "").replace(":", "")
        world.store.put(
            f"captures/{velero_backup['metadata']['name']}/{started}/capture.json", b"x", sha256=documents.digest(b"x")
        )


SHOP = {"includedNamespaces": ["shop"]}
OTHERS = [
    other("oldest", 1, spec=SHOP),
    other("older", 2, spec=SHOP),
    other("partly", 3, spec=SHOP, phase="PartiallyFailed"),
    other("newest", 9, spec=SHOP),
]


def without(world: World) -> str:
    """Return what a plan of the backup says where nothing of it can be used."""
    with pytest.raises(VmServiceError) as caught:
        planned(world)
    return caught.value.hint


@pytest.fixture(name="nightly")
def _nightly(world: World) -> World:
    world.cluster.seed({**backup(), "spec": {"storageLocation": "default", **SHOP}})
    return world


def test_the_newest_other_backups_are_named_where_there_is_no_seal(nightly: World) -> None:
    sealed(nightly, *OTHERS)
    assert without(nightly).endswith(
        "others with a sealed capture, newest first: newest (20260209T120000Z), partly (20260203T120000Z),"
        " older (20260202T120000Z)"
    )


@pytest.mark.parametrize(
    "given",
    [
        other("failed", 5, spec=SHOP, phase="Failed"),
        other("running", 5, spec=SHOP, phase="InProgress"),
        other("foreign", 5, spec={"includedNamespaces": ["bank"]}),
    ],
    ids=lambda given: given["metadata"]["name"],
)
def test_a_backup_that_is_of_no_use_is_not_named(nightly: World, given: dict[str, Any]) -> None:
    sealed(nightly, given)
    assert without(nightly).endswith("no other backup of these namespaces has a sealed capture")


def test_a_backup_without_a_seal_is_not_named(nightly: World) -> None:
    nightly.cluster.seed(OTHERS[0])
    assert "oldest" not in without(nightly)


@pytest.mark.parametrize(
    "given",
    [
        other("all", 5),
        other("pattern", 5, spec={"includedNamespaces": ["sh*"]}),
        other("both", 5, spec={"includedNamespaces": ["bank", "shop"]}),
    ],
    ids=lambda given: given["metadata"]["name"],
)
def test_a_backup_of_common_namespaces_is_named(nightly: World, given: dict[str, Any]) -> None:
    sealed(nightly, given)
    assert given["metadata"]["name"] in without(nightly)


def test_a_backup_of_the_same_schedule_is_named_whatever_its_namespaces(world: World) -> None:
    label = {"velero.io/schedule-name": "nightly"}
    this = {**backup(), "spec": {"storageLocation": "default", **SHOP}}
    this["metadata"]["labels"] = label
    world.cluster.seed(this)
    sealed(world, other("before", 5, spec={"includedNamespaces": ["bank"]}, **label))
    assert "before" in without(world)


def test_a_backup_that_is_not_there_has_others(world: World) -> None:
    sealed(world, *OTHERS)
    with pytest.raises(NotFound, match="typo") as caught:
        planned(world, of="typo")
    assert "newest (20260209T120000Z)" in caught.value.hint


def test_a_search_that_fails_hides_no_error(nightly: World) -> None:
    sealed(nightly, *OTHERS)
    nightly.store.calls.fail("exists", Unavailable("away"))
    assert "no other backup" in without(nightly)
    nightly.cluster.calls.fail("list", Unavailable("away"))
    assert "check whether the backup finished" in without(nightly)


def test_the_number_of_backups_that_are_looked_at_is_bounded(nightly: World) -> None:
    for number in range(200):
        nightly.cluster.seed(other(f"b{number}", 1 + number % 28, spec=SHOP))
    without(nightly)
    assert nightly.store.calls.counts["exists"] == 20


@pytest.mark.parametrize("damage", ["no document", "of another backup", "an empty digest"])
def test_a_damaged_seal_says_what_else_there_is(five: World, damage: str) -> None:
    sealed(five, *OTHERS)
    if damage == "of another backup":
        seal(five, backup="weekly")
    elif damage == "an empty digest":
        body = five.store.get(SEAL).replace(b'"sha256":"', b'"sha256":"","was":"')
        five.store.replace(SEAL, body, sha256=documents.digest(body))
    else:
        five.store.replace(SEAL, b"[", sha256=documents.digest(b"["))
    with pytest.raises(NotRestorable, match=r"captures/nightly/20260301T120000Z/capture\.json") as caught:
        planned(five)
    assert caught.value.hint.startswith("restore the backup with Velero, which needs no seal to find the 5 captured")
    assert "newest (20260209T120000Z)" in caught.value.hint


# Namespaces.


def test_namespaces_that_the_backup_does_not_include_are_known(world: World) -> None:
    world.cluster.seed({**backup(), "spec": {"storageLocation": "default", **SHOP}})
    world.back_up(vm("web-1"), group("tier", ["web-1"]), service("ledger", meta={"namespace": "bank"}))
    replays = world.app.backup_objects.captured(run(), {})
    assert world.app.backup_objects.beyond(run(), replays) == ["bank"]
    world.cluster.seed(backup())
    assert world.app.backup_objects.beyond(run(), replays) == []
