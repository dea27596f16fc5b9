"""A Backup object that is gone while a restore of it runs: its capture tells what it held, and nothing is guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.store import MemoryStore
from tests.unit.builders import claim, obj, restore, service, vm
from tests.unit.restore.actions.test_leave import leave, volume
from tests.unit.restore.source.test_vms_alone import PREFIX, anchored, back_up
from tests.unit.world import CAPTURES, World
from velero_vmservice import documents
from velero_vmservice.errors import Forbidden, ForeignStorage, MissingBackup, Unavailable, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, BACKUP_STORAGE_LOCATION, Manifest, ObjectRef
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Callable

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB, claims=["data"]), service("front", WEB)
ALONE = vm("alone")


def location(name: str) -> dict[str, Any]:
    return obj("BackupStorageLocation", name, api="velero.io/v1", namespace="velero", spec={"provider": "aws"})


class OtherBucket(MemoryStore):
    """A second bucket, which has a name of its own."""

    def where(self, key: str) -> str:
        return f"memory://other/{key}"


def copied(store: MemoryStore, *, to: MemoryStore, started: str = "20260301T120000Z") -> None:
    """Store what one bucket has of the backup in another one, or under another start time."""
    for key in list(store.list(CAPTURES)):
        body = store.get(key)
        to.replace(key.replace("20260301T120000Z", started), body, sha256=documents.digest(body))


@pytest.fixture(name="items")
def _items(world: World) -> list[dict[str, Any]]:
    """Back up one application and a VM without any; the Backup is then deleted, and the process remembers nothing."""
    world.cluster.seed(location("default"))
    items = back_up(world, ALONE, VM, FRONT)
    world.lose(ALONE, VM, FRONT)
    world.cluster.remove(ObjectRef(BACKUP, "velero", "nightly"))
    world.restart()
    return items


def back(world: World) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, claims=["data"], uid="new"), claim("data"), vm("alone", uid="new-2"))


def test_disks_of_vms_are_recognised_by_what_was_captured(world: World, items: list[dict[str, Any]]) -> None:
    assert items
    assert leave(world, claim("data")).skip
    assert leave(world, volume("pv", "data")).skip
    assert not leave(world, claim("mine")).skip


def test_its_objects_and_vms_are_restored_and_reported(world: World, items: list[dict[str, Any]]) -> None:
    operations = [*world.replay_all(items), anchored(world).operation_id]
    world.restart()
    back(world)
    ended = world.finish(operations)
    assert [progress.error for progress in ended.values()] == ["", ""]
    assert not any("without this plugin" in progress.description for progress in ended.values())
    report = world.document(f"{PREFIX}report.json")
    assert (report["outcome"], [vm["name"] for vm in report["machines"]]) == ("verified", ["alone", "web-1"])


def test_nothing_in_the_cluster_says_any_more_which_namespaces_it_included(
    world: World, items: list[dict[str, Any]]
) -> None:
    assert items
    run = RestoreRun.read(Manifest(restore()))
    assert world.app.backup_objects.beyond(run, world.app.backup_objects.captured(run, {})) == ["shop"]


def test_the_run_of_that_name_that_the_restore_can_have_read_is_taken(
    world: World, items: list[dict[str, Any]]
) -> None:
    assert items
    for started in ("20260201T120000Z", "20260302T120000Z"):
        copied(world.store, to=world.store, started=started)
    backup = world.app.restore_points.backup(RestoreRun.read(Manifest(restore())))
    assert (backup.started, backup.location, backup.object_gone) == ("20260301T120000Z", "default", True)


def test_two_names_of_one_bucket_are_one_place(world: World, items: list[dict[str, Any]]) -> None:
    assert items
    world.locations.stores["again"] = world.store
    world.cluster.seed(location("again"))
    assert leave(world, claim("data")).skip


def _no_capture(world: World) -> None:
    for key in list(world.store.list("captures/")):
        world.store.delete(key)


def _no_location(world: World) -> None:
    world.cluster.remove(ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default"))


def _not_s3(world: World) -> None:
    world.locations.calls.fail("open", ForeignStorage("it is not S3"))


@pytest.mark.parametrize("lost", [_no_capture, _no_location, _not_s3])
def test_a_backup_without_any_trace_is_not_taken_for_one_without_the_plugin(
    world: World, items: list[dict[str, Any]], lost: Callable[[World], None]
) -> None:
    lost(world)
    with pytest.raises(MissingBackup, match="Backup velero/nightly is gone") as caught:
        leave(world, claim("data"))
    assert caught.value.message.endswith("its capture cannot be found: no location has one")
    operations = [*world.replay_all(items), anchored(world).operation_id]
    for _ in range(4):
        polled = world.round(operations)
    replayed, alone = (polled[operation] for operation in operations)
    assert "cannot be read (Backup velero/nightly is gone" in replayed.description
    assert "is gone: the backup's own item is taken" not in replayed.description
    assert alone.description.startswith(
        "failed: the VMs without an application of namespace shop are not watched: Backup velero/nightly is gone"
    )


def test_two_locations_with_captures_of_its_name_are_both_named(world: World, items: list[dict[str, Any]]) -> None:
    assert items
    other = OtherBucket()
    copied(world.store, to=other)
    world.locations.stores["dr"] = other
    world.cluster.seed(location("dr"))
    with pytest.raises(MissingBackup, match="several locations have captures of that name") as caught:
        leave(world, claim("data"))
    for bucket in (world.store, other):
        assert bucket.where(f"{CAPTURES}capture.json") in caught.value.message


@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("denied", hint="grant it")])
def test_a_location_that_cannot_be_searched_may_have_it(
    world: World, items: list[dict[str, Any]], error: VmServiceError
) -> None:
    assert items
    world.store.calls.fail("list", error)
    with pytest.raises(type(error), match="cannot tell whether default has its capture") as caught:
        leave(world, claim("data"))
    assert caught.value.hint == error.hint
    world.store.calls.heal()
    world.clock.advance(60)
    assert leave(world, claim("data")).skip


def test_an_item_without_a_link_is_replayed_as_it_is(world: World, items: list[dict[str, Any]]) -> None:
    assert items
    _no_capture(world)
    (operation,) = world.replay_all([FRONT])
    for _ in range(4):
        progress = world.polled(operation)
    assert "note: the item has no link to a capture, and is taken as it is" in progress.description
