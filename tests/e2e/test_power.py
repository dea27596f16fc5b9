"""VMs run again only if a restore is told so, and then in the order and with the delays of their groups."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, VMS, Scene
from tests.emulator import machines
from tests.emulator.vm_operator import conditions
from tests.emulator.vm_operator.group_controller import LAST_POWER_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.cluster import Manifest
    from tests.e2e.saved import Saved
    from tests.emulator.machines import Application

DELAY: Final = "300s"
SCALED: Final = timedelta(seconds=3)
"""What the player makes of it."""
APART: Final = {"shop-job-1": "PoweredOn", "shop-job-2": "PoweredOff"}
"""VMs in no group, and whether they ran at backup."""


def application(namespace: str) -> Application:
    """A database that starts before its web VMs, and two VMs in no group."""
    grouped = machines.two_tier("shop", namespace=namespace)
    root = grouped.groups[0]
    for step in root["spec"]["bootOrder"][1:]:
        step["powerOnDelay"] = DELAY
    apart = [
        machines.virtual_machine(name, namespace=namespace, labels={"app": "jobs"}, power=power)
        for name, power in APART.items()
    ]
    jobs = machines.service("shop-jobs", namespace=namespace, selector={"app": "jobs"}, kind="ClusterIP")
    return machines.Application(
        namespace=namespace,
        secrets=grouped.secrets,
        claims=grouped.claims,
        machines=[*grouped.machines, *apart],
        groups=grouped.groups,
        services=[*grouped.services, jobs],
    )


@pytest.fixture(scope="module", name="shop")
def _shop(scene: Scene) -> Iterator[Saved]:
    shop = saved(scene, application(scene.space("power")))
    yield shop
    shop.lose()


def powered_on_at(of: Saved, name: str) -> datetime:
    """Return when a VM was powered on in vCenter."""
    machine = next(
        vsphere_vm
        for vsphere_vm in of.scene.supervisor.vcenter.machines()
        if (vsphere_vm.folder, vsphere_vm.name) == (of.namespace, name)
    )
    assert machine.powered_on
    assert machine.boot_time
    return machine.boot_time


def since(status: dict[str, Any], condition: str) -> datetime:
    entry = conditions.find(status, condition)
    assert entry
    assert entry["status"] == "True"
    return datetime.fromisoformat(entry["lastTransitionTime"])


def endpoints(of: Saved) -> dict[str, set[str]]:
    """Return the VMs behind each service."""
    return {
        endpoints["metadata"]["name"]: set(behind(endpoints)) for endpoints in of.scene.all("endpoints", of.namespace)
    }


def behind(endpoints: Manifest) -> Iterator[str]:
    for subset in endpoints.get("subsets") or ():
        yield from (address["targetRef"]["name"] for address in subset.get("addresses") or ())


def restore(of: Saved, power: str) -> str:
    """Lose the application and restore it with this policy; return the restore's name."""
    name = f"{of.namespace}-{power}"
    of.lose()
    of.scene.start_restore(name, backup=of.namespace, policy={"power": power})
    of.scene.wait_described(name, "not registered yet")
    of.register()
    of.scene.wait_restored(name, deadline=120)
    return name


@pytest.mark.groups
def test_power_on_keeps_boot_order_and_delays_and_waits_for_the_last_member(shop: Saved) -> None:
    results, _ = shop.scene.results(restore(shop, "on"))

    for tier in ("web", "db"):
        assert "powered through its group shop" in results[f"VirtualMachineGroup shop-{tier}"]["notes"]
    groups = {group["metadata"]["name"]: group for group in shop.scene.all(GROUPS, shop.namespace)}
    requested_at = datetime.fromisoformat(groups["shop"]["metadata"]["annotations"][LAST_POWER_TIME])
    for group in groups.values():
        assert all(since(member, "GroupLinked") <= requested_at for member in group["status"]["members"])
    web = min(powered_on_at(shop, "shop-web-1"), powered_on_at(shop, "shop-web-2"))
    assert requested_at <= powered_on_at(shop, "shop-db-1") < web
    assert web >= requested_at + SCALED
    assert endpoints(shop) == {
        "shop-web": {"shop-web-1", "shop-web-2"},
        "shop-db": {"shop-db-1"},
        "shop-jobs": {"shop-job-1", "shop-job-2"},
    }


def test_power_as_captured_leaves_off_what_was_off(shop: Saved) -> None:
    name = restore(shop, "captured")

    running = {vm["metadata"]["name"] for vm in shop.scene.all(VMS, shop.namespace) if is_on(vm)}
    assert running == set(shop.application.vm_names) - {"shop-job-2"}
    assert endpoints(shop)["shop-jobs"] == {"shop-job-1"}
    assert {stage for stage, _ in shop.scene.stages(name).values()} == {"verified"}


def is_on(machine: Manifest) -> bool:
    return "PoweredOn" in (machine["spec"].get("powerState"), machine["status"].get("powerState"))
