from __future__ import annotations

import pytest

from tests.fakes.store import MemoryStore
from tests.unit.builders import NAMESPACE, backup, obj, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice.captures.naming import Flaw
from velero_vmservice.documents import digest
from velero_vmservice.errors import Corrupt, InvalidItem, InvalidSettings, NotFound, Unavailable
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION, ObjectRef
from velero_vmservice.vadp.capturing import CaptureRequest
from velero_vmservice.velero.runs import Maker

LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")


@pytest.fixture(name="world")
def _world() -> World:
    """A Velero backup was made, and later a capture of the command line."""
    world = World()
    world.cluster.seed(LOCATION, backup(), obj("Namespace", NAMESPACE, api="v1", namespace=""), vm("web-1"))
    world.back_up(service("front"))
    world.clock.advance(60.0)
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold"))
    return world


def test_captures_of_velero_and_of_the_command_line_are_listed_newest_first(world: World) -> None:
    listing = world.app.catalogue.list()
    assert [(capture.run.maker, capture.sealed) for capture in listing.captures] == [
        (Maker.COMMAND, True),
        (Maker.VELERO, True),
    ]
    assert [str(ref) for ref in listing.captures[1].objects] == ["VirtualMachineService shop/front"]
    assert listing.unread == []


def test_a_capture_is_found_by_name_and_by_name_and_time(world: World) -> None:
    assert world.app.catalogue.find("nightly").run.started == "20260301T120000Z"
    assert world.app.catalogue.find("nightly/20260301T120000Z").run.name == "nightly"
    with pytest.raises(NotFound) as raised:
        world.app.catalogue.find("nightly/20260302T120000Z")
    assert raised.value.hint == "captures of that name: nightly/20260301T120000Z"


def test_a_name_in_two_buckets_is_refused_with_both_places(world: World) -> None:
    world.cluster.seed(obj("BackupStorageLocation", "second", api="velero.io/v1", namespace="velero"))
    world.locations.stores["second"] = second = MemoryStore()
    second.endpoint = "elsewhere"
    for key in world.store.list(CAPTURES):
        second.put(key, world.store.get(key), sha256=digest(world.store.get(key)))
    with pytest.raises(InvalidItem, match="several captures are named nightly"):
        world.app.catalogue.find("nightly")
    assert world.app.catalogue.find("nightly", location="second").store is second


def test_a_bucket_that_cannot_be_listed_hides_nothing_else(world: World) -> None:
    world.cluster.seed(obj("BackupStorageLocation", "second", api="velero.io/v1", namespace="velero"))
    world.locations.stores["second"] = away = MemoryStore()
    away.calls.fail("list", Unavailable("the second bucket is away"))
    listing = world.app.catalogue.list()
    assert (len(listing.captures), [error.message for error in listing.unread]) == (2, ["the second bucket is away"])
    with pytest.raises(Unavailable):
        world.app.catalogue.find("unknown")


def test_seals_are_read_and_what_is_wrong_with_the_others_is_kept(world: World) -> None:
    nightly = world.app.catalogue.find("nightly")
    world.store.tamper(nightly.run.seal_key, b"{}")
    seals = world.app.catalogue.seals(world.app.catalogue.list().captures)
    assert [seal.vadp.job for seal in seals.whole.values()] == ["gold"]
    assert {type(error) for error in seals.unusable.values()} == {Corrupt}


def test_without_any_bucket_there_is_no_catalogue(world: World) -> None:
    world.cluster.remove(ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default"))
    with pytest.raises(InvalidSettings, match="no bucket to look in"):
        world.app.catalogue.list()


def test_the_newest_that_is_sealed_is_meant_and_newer_ones_without_a_seal_are_told(world: World) -> None:
    sealed = world.app.catalogue.find("gold").ref
    world.clock.advance(60.0)
    stopped = world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold")).ref
    world.store.delete(f"vadp/{stopped}/capture.json")
    named = world.app.catalogue.named("gold")
    assert (named.stored.ref, [passed.flaw for passed in named.passed_over]) == (sealed, [Flaw.UNSEALED])
    assert world.app.catalogue.named(str(stopped)).stored.ref == stopped, "named with its time it is meant as it is"
    world.store.delete(f"vadp/{sealed}/capture.json")
    assert world.app.catalogue.find("gold").ref == stopped, "where none is sealed, the newest"


@pytest.mark.parametrize("reference", ["", "/20260301T120000Z", "nightly/", "../../nightly", "nightly/2026/1"])
def test_what_is_no_name_is_refused(world: World, reference: str) -> None:
    with pytest.raises(InvalidItem, match="is neither NAME nor NAME/TIME"):
        world.app.catalogue.find(reference)
