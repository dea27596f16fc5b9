"""What stands in a restore's way is said in words, holds nothing else back, and is never removed by the product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, SERVICES, VMS, Scene, specs
from tests.emulator import machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.saved import Saved

WEB = "VirtualMachineService shop-web"
ROOT = "VirtualMachineGroup shop"
WRONG_LABEL = "is not selected: its label tier is batch, not web"


@pytest.fixture(scope="module", name="shop")
def _shop(scene: Scene) -> Iterator[Saved]:
    """An application whose VMs stay; the tests take its web service away."""
    application = saved(scene, machines.two_tier("shop", namespace=scene.space("obstacles")))
    yield application
    application.lose()


def without_web_service(of: Saved, *, tier: str) -> None:
    """Remove the web service as its owner might, and say of which tier its second VM is."""
    of.scene.cluster.kubectl("delete", SERVICES, "shop-web", f"--namespace={of.namespace}", "--ignore-not-found")
    label(of, tier)


def label(of: Saved, tier: str) -> None:
    machine = of.scene.supervisor.cluster.get("VirtualMachine", "shop-web-2", of.namespace)
    assert machine
    of.scene.supervisor.cluster.patch(machine, {"metadata": {"labels": {"tier": tier}}})


def test_service_whose_vm_lost_its_label_is_incomplete_and_no_failure(shop: Saved) -> None:
    without_web_service(shop, tier="batch")
    name = f"{shop.namespace}-warn"
    shop.scene.start_restore(name, backup=shop.namespace)
    shop.scene.wait_restored(name)

    results, _ = shop.scene.results(name)
    assert results[WEB]["stage"] == "incomplete"
    assert results[WEB]["endpoints"] == ["shop-web-1"]
    assert any(f"shop-web-2 {WRONG_LABEL}" in warning for warning in results[WEB]["warnings"])


def test_vm_that_lost_its_label_is_waited_for_if_asked(shop: Saved) -> None:
    without_web_service(shop, tier="batch")
    name = f"{shop.namespace}-wait"
    shop.scene.start_restore(name, backup=shop.namespace, policy={"label-mismatch": "wait"})
    shop.scene.wait_described(name, f"shop-web-2 {WRONG_LABEL}")
    assert "shop-web" not in shop.scene.names(SERVICES, shop.namespace)

    label(shop, "web")
    shop.scene.wait_restored(name)

    assert specs(shop.scene.all(SERVICES, shop.namespace)) == specs(shop.services)


def test_vm_that_lost_its_label_fails_its_service_if_asked(shop: Saved) -> None:
    without_web_service(shop, tier="batch")
    name = f"{shop.namespace}-fail"
    shop.scene.start_restore(name, backup=shop.namespace, policy={"label-mismatch": "fail"})
    shop.scene.wait_restored(name, "PartiallyFailed")

    stages = shop.scene.stages(name)
    assert stages.pop(WEB) == ("failed", f"blocked: shop-web-2 {WRONG_LABEL}")
    assert {stage for stage, _ in stages.values()} == {"verified"}
    assert "shop-web" not in shop.scene.names(SERVICES, shop.namespace)


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("powre", "on", "did you mean power?"),
        ("power", "always", "power has to be 'leave', 'captured' or 'on'"),
        ("registered-within", "soon", "registered-within has to be a duration such as 90s or 12h, or none"),
    ],
)
def test_policy_that_does_not_exist_creates_nothing(shop: Saved, key: str, value: str, valid: str) -> None:
    without_web_service(shop, tier="web")
    name = f"{shop.namespace}-{key}-{value}"
    shop.scene.start_restore(name, backup=shop.namespace, policy={key: value})
    shop.scene.wait_restored(name, "PartiallyFailed")

    described = shop.scene.describe(name)
    assert f"velero-plugin-for-vmservice/{key}" in described
    assert valid in described
    assert "shop-web" not in shop.scene.names(SERVICES, shop.namespace)


def test_missing_vm_and_another_vm_of_its_name(scene: Scene, space: str) -> None:
    shop = saved(scene, machines.two_tier("shop", namespace=space))
    shop.lose()
    missing, another = f"{space}-missing", f"{space}-another"
    scene.start_restore(missing, backup=space, itemOperationTimeout="35s")
    scene.wait_described(missing, "not registered yet")
    shop.register("shop-db-1", "shop-web-1")
    scene.wait_restored(missing, "PartiallyFailed")

    stages = scene.stages(missing)
    ended = {label: stage for label, (stage, _) in stages.items()}
    if scene.release.groups:
        # Velero gives operations up one by one: a root that it still polls after its member group ends by itself.
        assert ended.pop(ROOT) in {"cancelled", "incomplete"}
        assert "VirtualMachineGroup shop-web" in stages[ROOT][1]
    cancelled = {label for label, stage in ended.items() if stage == "cancelled"}
    assert cancelled == {WEB, *(f"VirtualMachineGroup {name}" for name in scene.grouped("shop-web"))}
    assert {stage for label, stage in ended.items() if label.endswith(" shop-db")} == {"verified"}
    assert "itemOperationTimeout" in stages[WEB][1]
    assert "shop-web-2: not registered yet" in stages[WEB][1]
    assert scene.names(SERVICES, space) == {"shop-db"}
    assert scene.names(GROUPS, space) == scene.grouped("shop", "shop-db")

    stranger = machines.virtual_machine("shop-web-2", namespace=space, labels={"app": "shop", "tier": "web"})
    scene.supervisor.cluster.create(stranger)
    uids = scene.uids(VMS, space)
    scene.start_restore(another, backup=space, policy={"registered-within": "20s"})
    scene.wait_described(another, "shop-web-2: is another VM of that name (instance UUID ")
    scene.wait_restored(another, "PartiallyFailed")

    stage, reason = scene.stages(another)[WEB]
    assert stage == "failed"
    assert reason.startswith("the policy's registered-within=20s is over: blocked: ")
    assert "shop-web-2: is another VM of that name (instance UUID " in reason
    assert scene.names(SERVICES, space) == {"shop-db"}
    assert scene.names(GROUPS, space) == scene.grouped("shop", "shop-db")
    assert scene.uids(VMS, space) == uids


def test_strict_restore_creates_nothing_before_every_gate_is_open(scene: Scene, space: str) -> None:
    shop = saved(scene, machines.two_tier("shop", namespace=space))
    shop.lose()
    scene.start_restore(space, policy={"mode": "strict"})
    scene.wait_described(space, "not registered yet")
    shop.register("shop-db-1")
    scene.wait_described(space, "the policy is mode=strict, and VirtualMachine")
    assert scene.names(SERVICES, space) | scene.names(GROUPS, space) == set()

    shop.register("shop-web-1", "shop-web-2")
    scene.wait_restored(space)

    assert specs(scene.all(GROUPS, space)) == specs(shop.groups, "powerState")
    assert specs(scene.all(SERVICES, space)) == specs(shop.services)
