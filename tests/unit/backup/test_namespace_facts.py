from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.unit.builders import group, obj, service, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice.errors import Unavailable

if TYPE_CHECKING:
    import pytest
    from structlog.testing import LogCapture

FACTS = f"{CAPTURES}namespaces/shop.json"


def test_one_list_per_kind_and_one_put_however_many_items(world: World) -> None:
    world.cluster.seed(*[vm(f"web-{n}") for n in range(50)], group("tier", ["web-1"]))
    for number in range(30):
        world.capture(service(f"front-{number}"))
    for number in range(50):
        world.withhold(vm(f"web-{number}"))
    lists = [subject for method, subject in world.cluster.calls.made if method == "list"]
    puts = [subject for method, subject in world.store.calls.made if method == "put"]
    assert sorted(lists) == ["VirtualMachine shop", "VirtualMachineGroup shop", "VirtualMachineService shop"]
    assert puts.count(FACTS) == 1
    assert len(puts) == 31
    document = world.document(FACTS)
    assert (len(document["machines"]), [group["name"] for group in document["groups"]]) == (50, ["tier"])


def test_parallel_workers_agree_on_one_document(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: world.capture(service(f"front-{n}")), range(40)))
        list(pool.map(lambda n: world.withhold(vm(f"web-{n}")), range(40)))
    puts = [subject for method, subject in world.store.calls.made if method == "put"]
    assert puts.count(FACTS) == 1
    assert world.cluster.calls.counts["list"] == 3


def test_parallel_workers_ask_a_store_that_is_away_once(world: World) -> None:
    world.store.calls.fail("put", Unavailable("away"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: world.withhold(vm(f"web-{n}")), range(40)))
    assert world.store.calls.counts["put"] == 1


def test_a_restarted_sidecar_goes_by_what_is_stored(world: World) -> None:
    world.cluster.seed(vm("web-1", labels={"app": "web"}))
    world.capture(service("front", {"app": "web"}))
    body = world.store.get(FACTS)
    world.clock.advance(60)
    world.cluster.seed(vm("web-2", labels={"app": "web"}))
    world.restart()
    world.capture(service("back", {"app": "web"}))
    assert world.store.get(FACTS) == body
    assert world.document(f"{CAPTURES}objects/virtualmachineservices/shop/back.json")["topology"]["needs"] == ["web-1"]


def test_each_namespace_and_each_backup_has_its_own(world: World) -> None:
    for namespace in ("shop", "bank"):
        world.withhold(vm("web-1", namespace=namespace))
    world.withhold(vm("web-1"), name="hourly")
    assert list(world.store.list("captures/")) == [
        "captures/hourly/20260301T120000Z/namespaces/shop.json",
        f"{CAPTURES}namespaces/bank.json",
        FACTS,
    ]


def test_a_group_that_a_vm_names_and_that_does_not_exist_is_reported(world: World, log: LogCapture) -> None:
    world.cluster.seed(vm("web-1", group="gone"))
    world.withhold(vm("web-1"))
    assert [entry["finding"] for entry in log.entries if entry["event"] == "restorability"] == [
        "group-name-without-group"
    ]


def test_facts_of_a_sealed_backup_are_not_kept_in_memory(world: World) -> None:
    world.cluster.seed(vm("web-1"))
    operation = world.capture(service("front")).operation_id
    world.capture(service("back"))
    assert world.cluster.calls.counts["list"] == 3
    assert world.seal(operation).completed
    world.capture(service("late"))
    assert world.cluster.calls.counts["list"] == 6


def test_facts_of_an_unsealed_backup_give_way_to_those_of_large_namespaces(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("velero_vmservice.backup.namespace_facts.REMEMBERED_VMS", 600)
    world.restart()
    for name in ("shop", "bank"):
        world.cluster.seed(*[vm(f"web-{n}", namespace=name) for n in range(500)])
        world.capture(obj("VirtualMachineService", "front", namespace=name, spec={"type": "ClusterIP"}))
    lists = world.cluster.calls.counts["list"]
    world.capture(obj("VirtualMachineService", "back", namespace="bank", spec={"type": "ClusterIP"}))
    assert world.cluster.calls.counts["list"] == lists
    world.capture(obj("VirtualMachineService", "back", spec={"type": "ClusterIP"}))
    assert world.cluster.calls.counts["list"] > lists


def test_the_lists_of_a_namespace_are_read_side_by_side(world: World) -> None:
    world.cluster.seed(vm("web-1"), group("tier", ["web-1"]), service("front"))
    vms_groups_services = threading.Barrier(3)
    world.cluster.calls.before("list", lambda _: vms_groups_services.wait(timeout=10) and None)
    world.capture(service("front"))
    facts = world.document(f"{CAPTURES}namespaces/shop.json")
    assert [[entry["name"] for entry in facts[kind]] for kind in ("machines", "groups", "services")] == [
        ["web-1"],
        ["tier"],
        ["front"],
    ]
