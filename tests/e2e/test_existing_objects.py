"""Objects of the backup that are there already: as captured, different, or being made by another restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, SERVICES, Scene, specs, states
from tests.emulator import machines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.cluster import Manifest
    from tests.e2e.saved import Saved

WEB, DATABASE, GROUP = "VirtualMachineService shop-web", "VirtualMachineService shop-db", "VirtualMachineGroup shop"


@pytest.fixture(scope="module", name="changed")
def _changed(scene: Scene) -> Iterator[Saved]:
    """An application that runs; each test changes some of its objects again."""
    application = saved(scene, machines.two_tier("shop", namespace=scene.space("existing")))
    yield application
    application.lose()


def change(of: Saved) -> None:
    """Change a port, which an update can undo, a group's boot delay likewise, and a type, which it cannot."""
    cluster, where = of.scene.supervisor.cluster, of.namespace
    web = cluster.get("VirtualMachineService", "shop-web", where)
    database = cluster.get("VirtualMachineService", "shop-db", where)
    assert web
    assert database
    cluster.patch(web, {"spec": {"ports": [{**web["spec"]["ports"][0], "port": 8443}]}})
    if root := cluster.get("VirtualMachineGroup", "shop", where):
        later = [{**step, "powerOnDelay": "99s"} for step in root["spec"]["bootOrder"]]
        cluster.patch(root, {"spec": {"bootOrder": later}})
    if database["spec"]["type"] == "ClusterIP":
        of.scene.cluster.kubectl("delete", SERVICES, "shop-db", f"--namespace={where}")
        cluster.create(machines.service("shop-db", namespace=where, selector={"tier": "db"}, port=5432, target=5432))


def services_and_root(scene: Scene, where: str) -> dict[str, Manifest]:
    """Return what a restore that changes nothing leaves as it is, of the services and the outermost group."""
    groups = states(scene.all(GROUPS, where))
    return states(scene.all(SERVICES, where)) | {f"group {name}": groups[name] for name in scene.grouped("shop")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How a restore is asked for, and how it ends for what can be updated and what cannot."""

    policy: Mapping[str, str]
    spec: Mapping[str, Any]
    phase: str
    mutable: tuple[str, str]
    immutable: tuple[str, str]


RETAINED = Case(
    policy={},
    spec={},
    phase="Completed",
    mutable=("retained", "left as it is"),
    immutable=("retained", "left as it is"),
)
UPDATED = Case(
    policy={},
    spec={"existingResourcePolicy": "update"},
    phase="PartiallyFailed",
    mutable=("verified", "as expected"),
    immutable=("failed", "conflict: exists and cannot be updated: spec.type cannot be changed"),
)
CASES: Final = {
    "none": RETAINED,
    "existing-update": UPDATED,
    "retain-goes-first": Case(
        policy={"conflict": "retain"},
        spec={"existingResourcePolicy": "update"},
        phase="Completed",
        mutable=RETAINED.mutable,
        immutable=RETAINED.immutable,
    ),
    "update": Case(
        policy={"conflict": "update"},
        spec={"existingResourcePolicy": "none"},
        phase="PartiallyFailed",
        mutable=UPDATED.mutable,
        immutable=UPDATED.immutable,
    ),
    "fail": Case(
        policy={"conflict": "fail"},
        spec={},
        phase="PartiallyFailed",
        mutable=("failed", "conflict=fail"),
        immutable=("failed", "conflict=fail"),
    ),
}


@pytest.mark.parametrize(("suffix", "case"), CASES.items(), ids=CASES)
def test_object_that_differs(changed: Saved, suffix: str, case: Case) -> None:
    scene, where = changed.scene, changed.namespace
    name = f"{where}-{suffix}"
    change(changed)
    before = services_and_root(scene, where)

    scene.start_restore(name, backup=where, policy=case.policy, **case.spec)
    scene.wait_restored(name, case.phase)

    ended = scene.stages(name)
    expected = {WEB: case.mutable, DATABASE: case.immutable}
    if scene.release.groups:
        assert ended["VirtualMachineGroup shop-db"] == ("verified", "was there already, as captured")
        expected[GROUP] = case.mutable
    for label, (stage, reason) in expected.items():
        assert ended[label][0] == stage, ended[label]
        assert reason in ended[label][1]
    after = services_and_root(scene, where)
    assert after["shop-db"] == before["shop-db"]
    if case.mutable[0] == "verified":
        assert specs(scene.all(GROUPS, where)) == specs(changed.groups)
        assert after["shop-web"]["spec"] == specs(changed.services)["shop-web"]
        assert {key: manifest["uid"] for key, manifest in after.items()} == {
            key: manifest["uid"] for key, manifest in before.items()
        }
    else:
        assert after == before


def test_two_restores_at_once_in_one_namespace(scene: Scene, space: str) -> None:
    lost = saved(scene, machines.two_tier("shop", namespace=space))
    lost.lose()
    both = [f"{space}-1", f"{space}-2"]
    for name in both:
        scene.start_restore(name, backup=space)
    for name in both:
        scene.wait_described(name, "not registered yet")
    early = scene.uids(GROUPS, space)
    lost.register()
    for name in both:
        scene.wait_restored(name)

    assert specs(scene.all(GROUPS, space)) == specs(lost.groups, "powerState")
    assert specs(scene.all(SERVICES, space)) == specs(lost.services)
    assert early.items() <= scene.uids(GROUPS, space).items()
    assert {stage for name in both for stage, _ in scene.stages(name).values()} == {"verified"}
