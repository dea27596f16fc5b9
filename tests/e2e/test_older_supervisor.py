"""Captured on a Supervisor of tomorrow, restored on an older one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e import crds
from tests.e2e.releases import NEWEST, RELEASES, Release
from tests.e2e.saved import Saved, saved
from tests.e2e.scene import GROUPS, SERVICES, Scene, specs
from tests.e2e.sidecar import Sidecar
from tests.e2e.stack import Stack
from tests.emulator import machines
from tests.emulator.vm_operator.admission import Rules
from velero_vmservice.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.cluster import Manifest

NAMESPACE: Final = "traveller"
NEXT_TO_NEWEST: Final = next(release for release in RELEASES if release.groups and release.api != NEWEST.api)


@dataclass(frozen=True, kw_only=True)
class Restored:
    """An application on the older Supervisor, and what Velero and the report say of it."""

    lost: Saved
    older: Release
    phase: str
    services: list[Manifest]
    groups: list[Manifest]
    report: Report


@pytest.fixture(name="restored", scope="module")
def _restored(vsphere: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    """Bring the application over; a stack of its own, as its served versions change."""
    older = vsphere if vsphere.api != NEWEST.api else NEXT_TO_NEWEST
    apart = Stack(tmp_path_factory.mktemp("apart"), replace(NEWEST, velero=vsphere.velero))
    try:
        apart.start()
        yield bring_over(apart, older)
    finally:
        apart.stop()


def bring_over(apart: Stack, older: Release) -> Restored:
    """Save an application on the newest Supervisor, lose it, and restore it once that has become the older one."""
    server = apart.velero()
    sidecar = Sidecar(server)
    sidecar.start()
    try:
        server.start()
        with apart.supervisor(Rules(telco=True, ipv6=True)) as newer:
            lost = saved(Scene(server=server, sidecar=sidecar, supervisor=newer), application())
            lost.lose()
        crds.serve_as(apart.cluster, older)
        server.stop()
        sidecar.stop()
        sidecar.start()  # both anew, as on the other Supervisor: both remember what was served
        server.start()
        apart.release = server.release = older
        with apart.supervisor(vcenter=newer.vcenter) as playing:
            scene = Scene(server=server, sidecar=sidecar, supervisor=playing)
            scene.start_restore(NAMESPACE)
            scene.wait_described(NAMESPACE, "not registered yet")
            scene.register(lost.point, *lost.application.vm_names, into=NAMESPACE)
            phase = server.wait_over("restores.velero.io", NAMESPACE)["status"]["phase"]
            _, reports = scene.results(NAMESPACE)
            return Restored(
                lost=lost,
                older=older,
                phase=phase,
                services=scene.all(SERVICES, NAMESPACE),
                groups=scene.all(GROUPS, NAMESPACE),
                report=Report.model_validate_json(next(body for key, body in reports.items() if key.endswith(".json"))),
            )
    finally:
        server.close()
        sidecar.stop()


def application() -> machines.Application:
    """An application with every field that only the newest API knows."""
    application = machines.two_tier("shop", namespace=NAMESPACE)
    for step in application.groups[0]["spec"]["bootOrder"]:
        step["powerOffDelay"] = "10s"
    application.services[0]["spec"] |= {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    return application


def test_services_come_back_without_the_fields_that_are_unknown_there(restored: Restored) -> None:
    captured_at = {manifest["apiVersion"] for manifest in (*restored.lost.groups, *restored.lost.services)}
    assert captured_at == {f"{crds.VM_OPERATOR}/{NEWEST.newest_api}"}
    assert {service["apiVersion"] for service in restored.services} == {
        f"{crds.VM_OPERATOR}/{restored.older.newest_api}"
    }
    assert specs(restored.services) == specs(restored.lost.services, "ipFamilies", "ipFamilyPolicy")
    assert trimmed(restored, "VirtualMachineService") == {"shop-web": {"spec.ipFamilies", "spec.ipFamilyPolicy"}}


@pytest.mark.groups
def test_groups_come_back_without_the_fields_that_are_unknown_there(restored: Restored) -> None:
    assert restored.phase == "Completed"
    assert {group["apiVersion"] for group in restored.groups} == {f"{crds.VM_OPERATOR}/{restored.older.newest_api}"}
    expected = specs(restored.lost.groups, "powerState")
    for spec in expected.values():
        spec["bootOrder"] = [
            {key: value for key, value in step.items() if key != "powerOffDelay"} for step in spec["bootOrder"]
        ]
    assert specs(restored.groups) == expected
    delays = {f"spec.bootOrder[{number}].powerOffDelay" for number in (0, 1)}
    assert trimmed(restored, "VirtualMachineGroup") == {"shop": delays}


@pytest.mark.without_groups
def test_groups_are_an_error_with_the_reason_where_there_are_none(restored: Restored) -> None:
    assert restored.phase == "PartiallyFailed"
    groups = {entry.name: entry for entry in restored.report.objects if entry.kind == "VirtualMachineGroup"}
    assert set(groups) == {"shop", "shop-web", "shop-db"}
    for entry in groups.values():
        assert entry.stage == "failed"
        assert f"this Supervisor does not serve {GROUPS}" in entry.reason


def trimmed(restored: Restored, kind: str) -> dict[str, set[str]]:
    """Return which fields the report says were left out, by name of the object."""
    entries = [entry for entry in restored.report.objects if entry.kind == kind]
    return {entry.name: set(entry.trimmed) for entry in entries if entry.trimmed}
