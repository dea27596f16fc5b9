"""What RegisterVM is played to leave behind is what the guide's tables, as the product has them, expect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator import vadp
from tests.emulator.kubernetes.kmock_api import emulated_api
from tests.emulator.machines import claims_of, two_tier
from tests.emulator.supervisor import Supervisor
from tests.emulator.wcp.register_steps import State, Step
from tests.emulator.wcp.registered_vm import KEPT_IN_PLACE, RESTORED
from velero_vmservice.archive.facts import vm_facts
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.restore.verify.vm import consequences, deviations
from velero_vmservice.supervisor.readiness import RestoreType, restore_type
from velero_vmservice.vmoperator import marks
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kubernetes.client import ApiClient

    from tests.emulator.kubernetes.cluster import Object
    from tests.emulator.vadp import RestorePoint
    from tests.emulator.wcp.register_vm import Registration
    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

NAMESPACE, DATABASE = "shop", "shop-db-1"


class Site:
    """A database VM with two data disks that was backed up, on both sides, while it ran."""

    def __init__(self, api_client: ApiClient) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.supervisor = Supervisor(api_client, operator={"clock": lambda: self.now})
        application = two_tier(web=0, grouped=False)
        (database,) = application.machines
        database["spec"]["volumes"].append({"name": "log", "persistentVolumeClaim": {"claimName": f"{DATABASE}-log"}})
        database["metadata"]["annotations"] = {**dict.fromkeys(KEPT_IN_PLACE, "1.0"), "example.com/owner": "shop team"}
        self.supervisor.deploy(replace(application, claims=claims_of(database)))
        self.expected: VmFacts = vm_facts(Manifest.read(self.live()))
        self.point: RestorePoint = self.supervisor.back_up(NAMESPACE)

    def live(self) -> Object:
        manifest = self.supervisor.cluster.get("VirtualMachine", DATABASE, NAMESPACE)
        assert manifest is not None
        return manifest

    def look(self) -> ObservedVm:
        return read_vm(Manifest.read(self.live()))

    def settle(self) -> None:
        self.now += timedelta(minutes=1)
        self.supervisor.operator.settle()

    def change(self, **fields: Any) -> None:
        self.supervisor.cluster.patch(self.live(), fields)


@pytest.fixture
def site() -> Iterator[Site]:
    with emulated_api() as api:
        yield Site(api.client)


def as_new(site: Site) -> Registration:
    site.supervisor.lose(NAMESPACE)
    return site.supervisor.restore(site.point, DATABASE)


def in_place(site: Site) -> Registration:
    site.change(metadata={"labels": {"since": "backup"}})
    site.settle()
    restored = vadp.restore(site.supervisor.vcenter, site.point.of(DATABASE), in_place=True)
    return site.supervisor.wcp.register(restored.moid)


def one_disk(site: Site) -> Registration:
    moid = site.look().unique_id
    vadp.restore_disks(site.supervisor.vcenter, moid, "data")
    return site.supervisor.wcp.register(moid)


def failed_over(site: Site) -> Registration:
    site.supervisor.lose(NAMESPACE)
    site.supervisor.vcenter.uuid = "another vCenter"
    return site.supervisor.restore(site.point, DATABASE)


WAYS = {
    RestoreType.NEW: as_new,
    RestoreType.EXISTING: in_place,
    RestoreType.DISK_ONLY: one_disk,
    RestoreType.FAILOVER: failed_over,
}


@pytest.fixture(params=WAYS, ids=str)
def kind(request: pytest.FixtureRequest) -> RestoreType:
    restore_type: RestoreType = request.param
    return restore_type


def test_a_vm_that_comes_back_as_the_guide_says_deviates_in_nothing(site: Site, kind: RestoreType):
    task = WAYS[kind](site)
    task.run_to(Step.VM)
    assert deviations(site.look(), site.expected, untouched=True) == ()
    assert task.finish() is State.SUCCEEDED
    site.settle()
    assert restore_type(site.look(), site.expected) is kind
    assert deviations(site.look(), site.expected, untouched=True) == ()


def test_it_still_does_not_once_it_was_powered_on(site: Site, kind: RestoreType):
    WAYS[kind](site).finish()
    site.settle()
    site.change(spec={"powerState": "PoweredOn", "image": {"kind": "VirtualMachineImage", "name": "vmi-new"}})
    site.settle()
    assert site.look().power_state == "PoweredOn"
    assert restore_type(site.look(), site.expected) is kind
    assert deviations(site.look(), site.expected) == ()


def test_a_vm_that_was_never_lost_deviates_in_nothing(site: Site):
    site.settle()
    assert restore_type(site.look(), site.expected) is RestoreType.NEVER_LOST
    assert deviations(site.look(), site.expected, untouched=True) == ()


def test_a_failover_says_what_the_cleared_image_means(site: Site):
    failed_over(site).finish()
    (sentence,) = consequences(site.look(), site.expected)
    assert "day-2" in sentence


@pytest.mark.parametrize(
    ("tampered", "attributes"),
    [
        (lambda site: site.change(metadata={"labels": {"tier": None}}), ["label tier"]),
        (
            lambda site: site.change(metadata={"annotations": {"example.com/owner": None}}),
            ["annotation example.com/owner"],
        ),
        (lambda site: site.change(metadata={"annotations": {RESTORED: None}}), [f"annotation {RESTORED}"]),
        (
            lambda site: site.change(
                spec={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": f"{DATABASE}-data"}}]}
            ),
            ["volume log", "claim of volume data"],
        ),
        (
            lambda site: site.change(
                spec={"bootstrap": {"cloudInit": {"instanceID": site.expected.instance_id}}, "powerState": "PoweredOn"}
            ),
            ["cloud-init instance id", "power state"],
        ),
    ],
    ids=["a label", "an annotation", "the mark", "the disks", "cloud-init and power"],
)
def test_a_change_on_a_new_vm_is_found(site: Site, tampered: Callable[[Site], None], attributes: list[str]):
    as_new(site).finish()
    site.settle()
    tampered(site)
    site.settle()
    deviating = deviations(site.look(), site.expected, untouched=True)
    assert sorted(deviation.attribute for deviation in deviating) == sorted(attributes)


def test_a_restore_in_place_that_forgets_where_the_vm_comes_from_is_found(site: Site):
    in_place(site).finish()
    site.change(metadata={"annotations": dict.fromkeys(KEPT_IN_PLACE), "labels": {marks.ZONE_LABEL: "zone-x"}})
    attributes = {deviation.attribute for deviation in deviations(site.look(), site.expected)}
    assert attributes == {*(f"annotation {key}" for key in KEPT_IN_PLACE), "zone label"}
