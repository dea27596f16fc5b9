from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import NAMESPACE, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.archive.schema import Seal
from velero_vmservice.archive.store import is_key, read_document
from velero_vmservice.errors import InvalidSettings, NotFound, Unavailable
from velero_vmservice.restore.source.backup_objects import run_of
from velero_vmservice.vadp.capturing import CaptureRequest, JobVm, capture_name
from velero_vmservice.velero.runs import Maker, RestoreRun

LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
FRONT = service("front", {"app": "shop"})
WEB = vm("web-1", labels={"app": "shop"}, group="tier")
TIER = group("tier", ["web-1"])
LONELY = vm("lonely")
NAME = capture_name("Nightly Gold")
REQUEST = CaptureRequest(namespaces=(NAMESPACE,), job="Nightly Gold", restore_point="4711", tags={"site": "north"})


@pytest.fixture(name="world")
def _world() -> World:
    world = World()
    world.cluster.seed(LOCATION, obj("Namespace", NAMESPACE, api="v1", namespace=""), FRONT, WEB, TIER, LONELY)
    return world


def test_a_capture_is_sealed_below_a_root_that_no_backup_has(world: World) -> None:
    taken = world.app.capturing.take(REQUEST)
    started = taken.ref.started
    prefix = f"vadp/{NAME}/{started}/"
    assert taken.ref.maker is Maker.COMMAND
    assert list(world.store.list("")) == [
        f"{prefix}capture.json",
        f"{prefix}namespaces/shop.json",
        f"{prefix}objects/virtualmachinegroups/shop/tier.json",
        f"{prefix}objects/virtualmachineservices/shop/front.json",
    ]
    seal = read_document(world.store, f"{prefix}capture.json", Seal)
    assert (seal.vadp.job, seal.vadp.restore_point) == ("Nightly Gold", "4711")
    assert seal.taken is not None
    assert (seal.taken.namespaces, seal.taken.tags) == (("shop",), {"site": "north"})


def test_every_vm_of_the_job_is_returned_with_what_stands_for_it(world: World) -> None:
    vms = world.app.capturing.take(REQUEST).vms
    assert [(vm.name, vm.applications) for vm in vms] == [
        ("lonely", ()),
        ("web-1", ("VirtualMachineGroup tier", "VirtualMachineService front")),
    ]
    assert all(isinstance(vm, JobVm) and vm.namespace == "shop" for vm in vms)


def test_a_selector_chooses_objects_and_vms_alike(world: World) -> None:
    world.cluster.seed(
        service("front", {"app": "shop"}) | {"metadata": {**FRONT["metadata"], "labels": {"app": "shop"}}}
    )
    request = CaptureRequest(
        namespaces=(NAMESPACE,), selector={"matchLabels": {"app": "shop"}}, selector_text="app=shop"
    )
    taken = world.app.capturing.take(request)
    assert [str(entry.ref) for entry in taken.objects] == ["VirtualMachineService shop/front"]
    assert [vm.name for vm in taken.vms] == ["web-1"]
    assert [(missed.kind, missed.name) for missed in taken.seal.not_captured] == [("VirtualMachineGroup", "tier")]


def test_without_a_name_every_namespace_with_vms_is_captured(world: World) -> None:
    world.cluster.seed(vm("other", namespace="mail"))
    taken = world.app.capturing.take(CaptureRequest())
    assert taken.seal.taken is not None
    assert taken.seal.taken.namespaces == ("mail", "shop")
    assert taken.ref.name == "capture"


def test_two_captures_of_one_second_are_two(world: World) -> None:
    first, second = world.app.capturing.take(REQUEST), world.app.capturing.take(REQUEST)
    assert first.ref.name == second.ref.name == NAME
    assert first.ref.started < second.ref.started
    assert world.app.catalogue.find(NAME).ref == second.ref


def test_a_namespace_that_does_not_exist_is_an_error_and_stores_nothing(world: World) -> None:
    with pytest.raises(NotFound, match="namespace shopp does not exist"):
        world.app.capturing.take(CaptureRequest(namespaces=("shopp",)))
    assert list(world.store.list("")) == []


def test_a_store_that_is_away_leaves_no_seal(world: World) -> None:
    world.store.calls.fail("put", Unavailable("the store is away"))
    with pytest.raises(Unavailable):
        world.app.capturing.take(REQUEST)
    assert not any(key.endswith("/capture.json") for key in world.store.list(""))


def test_without_a_bucket_nothing_is_captured(world: World) -> None:
    second = obj("BackupStorageLocation", "second", api="velero.io/v1", namespace="velero")
    world.cluster.seed(second)
    with pytest.raises(InvalidSettings, match="has 2 BackupStorageLocations") as raised:
        world.app.capturing.take(REQUEST)
    assert raised.value.hint == "name one with --location: default, second"


def test_a_restore_reads_the_capture_that_it_is_given(world: World) -> None:
    taken = world.app.capturing.take(REQUEST)
    restore = run_of(taken.ref.name, namespace="velero", mapping={}, annotations={})
    run = RestoreRun.read(restore, capture=taken.ref)
    replays = world.app.backup_objects.captured(run, restore.spec)
    assert [replay.name for replay in replays] == ["tier", "front", ""]
    assert world.app.backup_objects.beyond(run, replays) == ()


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ("", "capture"),
        ("nightly-gold", "nightly-gold"),
        ("Nightly (Gold)", "nightly-gold-43d56d53"),
        ("nightly gold", "nightly-gold-"),
        ("Übernacht", "bernacht-"),
        ("///", "capture-"),
        ("capture", "capture-"),
    ],
)
def test_a_capture_is_named_after_its_job(job: str, name: str) -> None:
    assert capture_name(job).startswith(name)


JOBS = st.text("aA-/ é0", max_size=6) | st.from_regex("[a-z]{1,3}-[0-9a-f]{8}", fullmatch=True)


@given(JOBS, JOBS)
def test_jobs_of_different_names_never_share_the_name_of_their_captures(first: str, second: str) -> None:
    assert (capture_name(first) == capture_name(second)) == (first == second)
    assert is_key(f"vadp/{capture_name(first)}/20260301T120000Z/capture.json")
