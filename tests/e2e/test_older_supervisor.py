"""Captured on a Supervisor of tomorrow, restored on one that serves nothing above v1alpha4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e import crds
from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, SERVICES, Scene, specs
from tests.e2e.sidecar import Sidecar
from tests.e2e.stack import Stack
from tests.emulator import machines
from tests.emulator.vm_operator.admission import Rules
from velero_vmservice.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.velero import VeleroServer

NEWER: Final = "v1alpha6"
OLDER: Final = "v1alpha4"
NAMESPACE: Final = "traveller"


@pytest.fixture(name="apart")
def _apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own, as its served versions change."""
    running = Stack(tmp_path_factory.mktemp("apart", numbered=False))
    try:
        running.start(crds.with_newer_version())
        yield running
    finally:
        running.stop()


def restart(server: VeleroServer, sidecar: Sidecar) -> None:
    """Start both anew, as on the other Supervisor: both remember what was served."""
    server.stop()
    sidecar.stop()
    sidecar.start()
    server.start()


def application() -> machines.Application:
    """An application with every field that only v1alpha6 knows."""
    application = machines.two_tier("shop", namespace=NAMESPACE)
    for step in application.groups[0]["spec"]["bootOrder"]:
        step["powerOffDelay"] = "10s"
    application.services[0]["spec"] |= {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    return application


def test_restore_onto_a_supervisor_that_serves_only_v1alpha4(apart: Stack) -> None:
    server = apart.velero("1.18.2")
    sidecar = Sidecar(server)
    sidecar.start()
    try:
        server.start()
        with apart.supervisor(Rules(telco=True, ipv6=True), vm_operator=NEWER) as newer:
            lost = saved(Scene(server=server, sidecar=sidecar, supervisor=newer), application())
            lost.lose()
        crds.serve_only(apart.cluster, OLDER)
        restart(server, sidecar)
        with apart.supervisor(Rules(), vcenter=newer.vcenter, vm_operator=OLDER) as older:
            scene = Scene(server=server, sidecar=sidecar, supervisor=older)
            scene.start_restore(NAMESPACE)
            scene.wait_described(NAMESPACE, "not registered yet")
            scene.register(lost.point, *lost.application.vm_names, into=NAMESPACE)
            scene.wait_restored(NAMESPACE)

            groups, services = scene.all(GROUPS, NAMESPACE), scene.all(SERVICES, NAMESPACE)
            _, reports = scene.results(NAMESPACE)
    finally:
        server.close()
        sidecar.stop()

    assert {manifest["apiVersion"] for manifest in (*lost.groups, *lost.services)} == {f"{crds.VM_OPERATOR}/{NEWER}"}
    assert {manifest["apiVersion"] for manifest in (*groups, *services)} == {f"{crds.VM_OPERATOR}/{OLDER}"}
    assert specs(services) == specs(lost.services, "ipFamilies", "ipFamilyPolicy")
    for group in lost.groups:
        for step in group["spec"]["bootOrder"]:
            step.pop("powerOffDelay", None)
    assert specs(groups) == specs(lost.groups, "powerState")
    report = Report.model_validate_json(next(body for key, body in reports.items() if key.endswith(".json")))
    trimmed = {(result.kind, result.name): set(result.trimmed) for result in report.objects if result.trimmed}
    assert trimmed == {
        ("VirtualMachineGroup", "shop"): {f"spec.bootOrder[{number}].powerOffDelay" for number in (0, 1)},
        ("VirtualMachineService", "shop-web"): {"spec.ipFamilies", "spec.ipFamilyPolicy"},
    }
