from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING

import pytest

from tests.contract.object_store_contract import put
from tests.fakes.store import MemoryStore
from tests.unit.builders import backup, obj, restore, service
from tests.unit.world import CAPTURES, World
from velero_vmservice.errors import Forbidden, ReadOnlyStorage, Unavailable
from velero_vmservice.kube.manifest import BACKUP, BACKUP_STORAGE_LOCATION, RESTORE, ObjectRef
from velero_vmservice.settings.reading import BucketSettings

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
OLD = "restores/again/20260101T000000Z/"
MONTH = 31 * 24 * 3600.0
NIGHTLY = ObjectRef(BACKUP, "velero", "nightly")


@pytest.fixture(name="place")
def _place(command: CommandLine) -> World:
    """A month ago a backup was made and a restore ended; then the Backup was deleted, and Velero did not call us."""
    world = World()
    world.cluster.seed(LOCATION, backup())
    world.back_up(service("front"))
    for name in ("report.json", "virtualmachineservices/shop/front.json"):
        world.store.replace(
            f"{OLD}{name}", b"", sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
    world.clock.advance(MONTH)
    world.cluster.remove(NIGHTLY)
    command.connects_to(world.start)
    return world


def keys(world: World) -> list[str]:
    return list(world.store.list(""))


def second_location(world: World, store: MemoryStore) -> None:
    world.cluster.seed(obj("BackupStorageLocation", "second", api="velero.io/v1", namespace="velero"))
    world.locations.stores["second"] = store


def moved_to_a_bucket_of_the_settings(world: World) -> None:
    """Let the documents lie in the settings' own bucket, beside a location whose archive holds nothing of them."""
    world.settings = world.settings.model_copy(update={"bucket": BucketSettings(name="captures")})
    world.locations.stores = {"": world.store}


def test_a_dry_run_lists_with_size_and_age_and_deletes_nothing(place: World, command: CommandLine) -> None:
    before = keys(place)
    ran = command("prune")
    assert (ran.code, ran.err) == (0, "")
    capture, results = ran.rows[1:3]
    assert ran.rows[0] == ["WHAT", "NAME", "STARTED", "AGE", "SIZE", "DOCUMENTS", "WHERE"]
    assert capture[:4] == ["capture", "nightly", "20260301T120000Z", "31d"]
    assert capture[5:] == ["3", f"memory://plugins/vmservice/{CAPTURES}*"]
    where = f"memory://plugins/vmservice/{OLD}*"
    assert results == ["results", "again", "20260101T000000Z", "31d", "0 bytes", "2", where]
    assert ran.lines[-1].startswith("5 documents of ")
    assert ran.lines[-1].endswith(" would be deleted: repeat the command with --delete")
    assert keys(place) == before


@pytest.mark.parametrize("flag", ["--delete", "--yes"])
def test_the_listed_documents_are_deleted_when_asked(place: World, command: CommandLine, flag: str) -> None:
    ran = command("prune", flag)
    assert (ran.code, ran.lines[-1]) == (0, "5 of 5 documents are deleted")
    assert keys(place) == []
    again = command("prune", flag)
    assert (again.code, again.lines) == (0, ["nothing is to be deleted"])


def test_json_says_what_stays_and_why(place: World, command: CommandLine) -> None:
    place.cluster.seed(backup())
    listed = json.loads(command("prune", "-o", "json", "--older-than", "40d").out)
    assert [(run["what"], run["name"], run["verdict"], run["removable"]) for run in listed["runs"]] == [
        ("capture", "nightly", "backup-exists", False),
        ("results", "again", "not-expired", False),
    ]
    assert listed["runs"][1] | {"documents": 2, "bytes": 0, "age_seconds": int(MONTH)} == listed["runs"][1]
    assert (listed["deleted"], listed["unread"]) == (False, [])


@pytest.mark.parametrize("phase", ["New", "InProgress", "Failed", "Deleting", ""])
def test_nothing_of_a_backup_that_exists_is_deleted_in_whatever_phase(
    place: World, command: CommandLine, phase: str
) -> None:
    place.cluster.seed({**backup(), "status": {"phase": phase} if phase else {}})
    ran = command("prune", "--delete")
    assert "kept: 1 capture: the cluster has a backup of this name" in ran.lines
    assert len([key for key in keys(place) if key.startswith(CAPTURES)]) == 3


def test_a_capture_whose_backup_is_in_veleros_archive_stays(place: World, command: CommandLine) -> None:
    place.locations.archived["default"] = frozenset({"nightly"})
    ran = command("prune", "--delete")
    assert "kept: 1 capture: Velero's archive in the bucket has a backup of this name" in ran.lines
    assert len([key for key in keys(place) if key.startswith(CAPTURES)]) == 3


def test_captures_stay_where_veleros_archive_cannot_be_listed(place: World, command: CommandLine) -> None:
    place.locations.calls.fail("stored_backups", Forbidden("cannot list backups", hint="allow it"))
    ran = command("prune", "--delete")
    assert ran.code == 1
    assert ran.err == "note: not listed: cannot list backups\n"
    assert all(key.startswith(CAPTURES) for key in keys(place))
    assert len(keys(place)) == 3


@pytest.mark.parametrize("kind", [BACKUP, RESTORE, BACKUP_STORAGE_LOCATION])
def test_nothing_is_deleted_beside_a_list_that_cannot_be_read(place: World, command: CommandLine, kind: object) -> None:
    before = keys(place)
    place.cluster.calls.fail("list", Unavailable("the API server does not answer"), on=f"{kind.name} ")
    ran = command("prune", "--delete")
    assert ran.code == 1
    assert "the API server does not answer" in ran.err
    assert keys(place) == before


@pytest.mark.parametrize("kind", [BACKUP, RESTORE])
def test_nothing_is_deleted_where_the_cluster_has_no_velero(place: World, command: CommandLine, kind: object) -> None:
    before = keys(place)
    place.cluster.serve(kind)
    ran = command("prune", "--delete")
    assert ran.code == 1
    assert "cannot tell which backups exist" in ran.err
    assert keys(place) == before


def test_nothing_is_deleted_where_the_namespace_has_no_location(place: World, command: CommandLine) -> None:
    before = keys(place)
    place.cluster.remove(ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default"))
    ran = command("prune", "--delete")
    assert (ran.code, ran.out) == (1, "")
    assert "namespace velero has no BackupStorageLocation" in ran.err
    assert keys(place) == before


@pytest.mark.parametrize("phase", ["InProgress", "WaitingForPluginOperations", "Finalizing", ""])
def test_results_of_a_restore_that_goes_on_stay(place: World, command: CommandLine, phase: str) -> None:
    place.cluster.seed({**restore(), "status": {"phase": phase} if phase else {}})
    ran = command("prune", "--delete")
    assert "kept: the results of 1 restore: the restore has not ended" in ran.lines
    assert [key for key in keys(place) if key.startswith(OLD)]


@pytest.mark.parametrize("phase", ["New", "InProgress", "WaitingForPluginOperations", "Finalizing", ""])
def test_the_capture_that_a_restore_goes_on_from_stays_without_its_backup(
    place: World, command: CommandLine, phase: str
) -> None:
    place.cluster.seed({**restore("weekly-test", of="nightly"), "status": {"phase": phase} if phase else {}})
    ran = command("prune", "--delete")
    assert "kept: 1 capture: a restore of it has not ended" in ran.lines
    assert len([key for key in keys(place) if key.startswith(CAPTURES)]) == 3


@pytest.mark.parametrize("phase", ["Completed", "PartiallyFailed", "Failed", "FailedValidation"])
def test_a_restore_that_has_ended_keeps_no_capture(place: World, command: CommandLine, phase: str) -> None:
    place.cluster.seed({**restore("weekly-test", of="nightly"), "status": {"phase": phase}})
    assert command("prune", "--delete").code == 0
    assert keys(place) == []


def test_captures_in_a_bucket_of_the_settings_stay_unless_the_bucket_is_said_to_be_unshared(
    place: World, command: CommandLine
) -> None:
    moved_to_a_bucket_of_the_settings(place)
    ran = command("prune", "--delete")
    assert (
        "kept: 1 capture: the settings' bucket may hold captures of another cluster, or of a location that was removed"
        " (if it holds none, add --own-bucket-unshared)" in ran.lines
    )
    assert len(keys(place)) == 3
    assert all(key.startswith(CAPTURES) for key in keys(place))
    unshared = command("prune", "--delete", "--own-bucket-unshared")
    assert (unshared.code, unshared.lines[-1]) == (0, "3 of 3 documents are deleted")
    assert keys(place) == []


def test_an_unshared_bucket_of_the_settings_keeps_captures_whose_backup_an_archive_has(
    place: World, command: CommandLine
) -> None:
    moved_to_a_bucket_of_the_settings(place)
    place.locations.archived["default"] = frozenset({"nightly"})
    ran = command("prune", "--delete", "--own-bucket-unshared")
    assert "kept: 1 capture: Velero's archive in the bucket has a backup of this name" in ran.lines
    assert len(keys(place)) == 3


def test_a_document_that_cannot_be_deleted_is_named_and_the_seal_stays_with_it(
    place: World, command: CommandLine
) -> None:
    place.store.calls.fail(
        "delete", Forbidden("object lock", hint="wait until its retention ends"), on="namespaces/shop"
    )
    ran = command("prune", "--delete")
    assert ran.code == 5
    assert (
        f"not deleted: memory://plugins/vmservice/{CAPTURES}namespaces/shop.json: object lock: wait until its"
        " retention ends" in ran.lines
    )
    assert keys(place) == [f"{CAPTURES}capture.json", f"{CAPTURES}namespaces/shop.json"]
    place.store.calls.heal()
    assert command("prune", "--delete").code == 0
    assert keys(place) == []


def test_a_location_that_is_read_only_keeps_all_that_it_holds(place: World, command: CommandLine) -> None:
    place.store.read_only = True
    for flags in ((), ("--delete",)):
        ran = command("prune", *flags)
        assert ran.code == 0
        assert ran.lines == [
            "kept: 1 capture: its location is ReadOnly",
            "kept: the results of 1 restore: its location is ReadOnly",
            "nothing is to be deleted",
        ]
    assert len(keys(place)) == 5


@pytest.mark.parametrize("writable", ["default", "second"])
def test_of_two_locations_that_are_one_bucket_the_writable_one_deletes(
    place: World, command: CommandLine, writable: str
) -> None:
    read_only = copy(place.store)
    read_only.read_only = True
    second_location(place, read_only)
    if writable == "second":
        place.locations.stores = {"default": read_only, "second": place.store}
    ran = command("prune", "--delete")
    assert (ran.code, ran.lines[-1]) == (0, "5 of 5 documents are deleted")
    assert keys(place) == []


def test_buckets_of_one_name_on_two_servers_are_two_buckets(place: World, command: CommandLine) -> None:
    elsewhere = MemoryStore()
    elsewhere.now = place.store.now
    for key in keys(place):
        put(elsewhere, key, place.store.get(key))
    place.clock.advance(MONTH)
    elsewhere.endpoint = "https://s3.example.com"
    second_location(place, elsewhere)
    listed = json.loads(command("prune", "-o", "json").out)["runs"]
    assert [(run["what"], run["endpoint"]) for run in listed] == [
        ("capture", "memory"),
        ("capture", "https://s3.example.com"),
        ("results", "memory"),
        ("results", "https://s3.example.com"),
    ]
    ran = command("prune", "--delete")
    assert (ran.code, ran.lines[-1]) == (0, "10 of 10 documents are deleted")
    assert [*keys(place), *elsewhere.list("")] == []


def test_a_location_that_became_read_only_is_reported_once_a_run(place: World, command: CommandLine) -> None:
    place.store.calls.fail("delete", ReadOnlyStorage("location default is ReadOnly"))
    ran = command("prune", "--delete")
    assert ran.code == 5
    assert len([line for line in ran.lines if "is ReadOnly" in line]) == 2
    assert len(keys(place)) == 5


def test_a_removal_that_was_cut_is_repeated(place: World, command: CommandLine) -> None:
    place.store.calls.fail("delete", KeyboardInterrupt(), on=f"{CAPTURES}objects/")
    assert command("prune", "--delete").code == 130
    assert f"{CAPTURES}capture.json" in keys(place)
    place.store.calls.heal()
    assert command("prune", "--delete").code == 0
    assert keys(place) == []


def test_two_locations_that_are_one_bucket_show_a_run_once_and_what_keeps_it_holds(
    place: World, command: CommandLine
) -> None:
    second_location(place, place.store)
    assert len(command("prune").lines) == 4
    place.locations.calls.fail("stored_backups", Forbidden("cannot list backups"), on="second")
    ran = command("prune", "--delete")
    assert ran.code == 1
    assert len([key for key in keys(place) if key.startswith(CAPTURES)]) == 3


def test_a_bucket_that_cannot_be_listed_hides_no_other(place: World, command: CommandLine) -> None:
    broken = MemoryStore()
    second_location(place, broken)
    broken.calls.fail("list", Unavailable("bucket second is away"))
    ran = command("prune", "--delete")
    assert ran.code == 1
    assert "note: not listed: bucket second is away" in ran.err
    assert keys(place) == []


def test_an_age_that_is_none_is_a_usage_error(command: CommandLine) -> None:
    ran = command("prune", "--older-than", "soon")
    assert ran.code == 2
    assert '"soon" is not a duration such as 90s, 10m or 12h' in ran.err
