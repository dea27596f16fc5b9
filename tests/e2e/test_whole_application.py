"""A large application as a whole: thirty VMs in three levels of groups, six services that overlap."""

from __future__ import annotations

import random
from datetime import datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, SERVICES, VMS, Scene, specs, states
from tests.emulator import machines, nested
from velero_vmservice.report.model import Report
from velero_vmservice.report.stage import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.cluster import Manifest
    from tests.e2e.saved import Saved

LARGE: Final = "large"
SCRAMBLED: Final = 4
"""Seed of the order in which the VMs come back."""
ARRIVALS: Final = 7
"""VMs that come between two looks at what was created."""
DEADLINE: Final = 240


@pytest.fixture(scope="module")
def large(scene: Scene) -> Iterator[Saved]:
    yield saved(scene, nested.three_levels("shop", namespace=LARGE), deadline=DEADLINE)
    for namespace in (LARGE, f"{LARGE}-b"):  # so many VMs slow down the tests that follow
        scene.supervisor.lose(namespace)


@pytest.fixture(scope="module")
def restored(large: Saved) -> str:
    """Lose the application and restore it in place, its VMs in no order; return the restore's name."""
    large.scene.supervisor.lose(LARGE)
    large.scene.start_restore(LARGE)
    come_back(large, LARGE, into=LARGE)
    return LARGE


def come_back(lost: Saved, restore: str, *, into: str) -> None:
    """Register all VMs in a scrambled order, see after every few that nothing came early, and wait for the end."""
    scene = lost.scene
    scene.wait_described(restore, "not registered yet")
    names = list(lost.application.vm_names)
    random.Random(SCRAMBLED).shuffle(names)
    for start in range(0, len(names), ARRIVALS):
        scene.register(lost.point, *names[start : start + ARRIVALS], into=into)
        absent = set(names[start + ARRIVALS :])
        present = {(kind, name) for kind in (GROUPS, SERVICES) for name in scene.names(kind, into)}
        assert all(absent.isdisjoint(needs(lost)[name]) for name in present)
    scene.wait_restored(restore, deadline=DEADLINE)


def needs(of: Saved) -> dict[tuple[str, str], set[str]]:
    """Return the VMs behind each group and service, by resource and name, as their owner wrote them."""
    selected: dict[tuple[str, str], set[str]] = {}
    for group in of.groups:
        members = [member for step in group["spec"]["bootOrder"] for member in step["members"]]
        behind = {member["name"] for member in members if member["kind"] == "VirtualMachine"}
        selected[GROUPS, group["metadata"]["name"]] = behind
    for service in of.services:
        selector = service["spec"]["selector"].items()
        chosen = [vm for vm in of.application.machines if selector <= vm["metadata"]["labels"].items()]
        selected[SERVICES, service["metadata"]["name"]] = {vm["metadata"]["name"] for vm in chosen}
    return selected


def created(manifest: Manifest) -> datetime:
    return datetime.fromisoformat(manifest["metadata"]["creationTimestamp"])


def assert_as_captured(of: Saved, restore: str, namespace: str) -> None:
    scene = of.scene
    groups, services = scene.all(GROUPS, namespace), scene.all(SERVICES, namespace)
    assert specs(groups) == specs(of.groups, "powerState")
    assert specs(services) == specs(of.services)
    for manifest in (*groups, *services):
        assert manifest["metadata"]["labels"]["velero.io/restore-name"] == restore
        assert not any("velero" in key for key in manifest["metadata"].get("annotations", {}))
    assert scene.names(VMS, namespace) == set(of.application.vm_names)


def test_every_object_is_as_captured_after_a_restore_in_place(large: Saved, restored: str) -> None:
    assert_as_captured(large, restored, LARGE)
    assert {vm["status"]["powerState"] for vm in large.scene.all(VMS, LARGE)} == {"PoweredOff"}
    assert {stage for stage, _ in large.scene.stages(restored).values()} == {"verified"}


def test_nothing_is_created_before_its_vms_and_no_group_before_its_parent(large: Saved, restored: str) -> None:
    assert restored
    scene = large.scene
    arrived = {vm["metadata"]["name"]: created(vm) for vm in scene.all(VMS, LARGE)}
    for (kind, name), behind in needs(large).items():
        made = created(scene.cluster.get(kind, name, namespace=LARGE))
        assert all(made > arrived[machine] for machine in behind), name
    groups = {group["metadata"]["name"]: group for group in scene.all(GROUPS, LARGE)}
    for name, group in groups.items():
        parent = group["spec"].get("groupName")
        assert not parent or created(groups[parent]) <= created(group), name


def test_large_application_into_another_namespace(large: Saved) -> None:
    source, target = states(large.scene.all(GROUPS, LARGE)), f"{LARGE}-b"
    large.scene.supervisor.cluster.create(machines.namespace(target))
    large.scene.start_restore(target, backup=LARGE, namespaceMapping={LARGE: target})

    come_back(large, target, into=target)

    assert_as_captured(large, target, target)
    assert states(large.scene.all(GROUPS, LARGE)) == source


def test_the_same_restore_again_changes_nothing(large: Saved, restored: str) -> None:
    scene, again = large.scene, f"{restored}-again"
    before = [states(scene.all(kind, LARGE)) for kind in (GROUPS, SERVICES)]
    vms_before = specs(scene.all(VMS, LARGE)), scene.uids(VMS, LARGE)

    scene.start_restore(again, backup=LARGE)
    scene.wait_restored(again)

    assert [states(scene.all(kind, LARGE)) for kind in (GROUPS, SERVICES)] == before
    assert (specs(scene.all(VMS, LARGE)), scene.uids(VMS, LARGE)) == vms_before
    assert set(scene.stages(again).values()) == {("verified", "was there already, as captured")}


class VisibleText(HTMLParser):
    """The text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


def test_report_names_every_object_its_outcome_the_policy_and_the_next_step(large: Saved, restored: str) -> None:
    _, reports = large.scene.results(restored)
    bodies = {key.rpartition("/")[2]: body for key, body in reports.items()}
    report = Report.model_validate_json(bodies["report.json"])
    page = VisibleText(bodies["report.html"].decode()).text

    assert report.outcome is Outcome.VERIFIED
    assert {(result.kind, result.name) for result in report.objects} == {
        (manifest["kind"], manifest["metadata"]["name"]) for manifest in (*large.groups, *large.services)
    }
    assert {result.stage for result in report.objects} == {"verified"}
    assert {vm.name for vm in report.machines if vm.registered} == set(large.application.vm_names)
    assert report.policy["power"] == "leave"
    assert report.policy["conflict"] == "retain"
    powered = "virtualmachinegroup shop" if large.groups else "virtualmachine shop-db-1"
    assert f"kubectl -n {LARGE} patch {powered} " in "\n".join(report.next_steps)
    for name in (*(name for _, name in needs(large)), *large.application.vm_names, *report.policy):
        assert name in page
    for step in report.next_steps:
        assert all(line in page for line in step.splitlines())
