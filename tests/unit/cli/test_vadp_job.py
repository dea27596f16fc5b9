"""The VADP job and restore point of a capture are shown wherever the capture is restored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import backup, group, obj, vm
from tests.unit.world import World
from velero_vmservice.report.html import page
from velero_vmservice.report.model import Report

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

LINE = "VADP job: gold, restore point: rp-17"
JOB = {"job": "gold", "restore_point": "rp-17"}
ANNOTATIONS = {
    "velero-plugin-for-vmservice/vadp-job": "gold",
    "velero-plugin-for-vmservice/vadp-restore-point": "rp-17",
}


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    """A Backup names its VADP job and restore point; its group is lost and its VM is back."""
    world = World()
    tier, web = group("tier", ["web-1"]), vm("web-1", group="tier")
    location = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
    world.cluster.seed(location, backup(annotations=ANNOTATIONS), tier, web)
    outcome = world.capture(world.live("VirtualMachineGroup", "tier").content, annotations=ANNOTATIONS)
    assert world.seal(outcome.operation_id, annotations=ANNOTATIONS).completed
    world.lose(tier)
    command.connects_to(world.start)
    return world


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("arguments", [("plan", "nightly"), ("registration", "status", "nightly")], ids=" ".join)
def test_table_and_document_name_the_job(command: CommandLine, arguments: tuple[str, ...]) -> None:
    assert LINE in command(*arguments).lines
    assert json.loads(command(*arguments, "-o", "json").out)["vadp"] == JOB


def test_the_report_of_a_restore_names_the_job(world: World, command: CommandLine) -> None:
    operation = world.replay(world.capture(group("tier", ["web-1"]), annotations=ANNOTATIONS).item).operation_id
    world.finish([operation])
    (key,) = [key for key in world.store.list("restores/again/") if key.endswith("report.json")]
    report = Report.model_validate(world.document(key))
    assert (report.vadp_job, report.vadp_restore_point) == ("gold", "rp-17")
    assert "<dt>VADP job</dt><dd>gold</dd>" in page.render(report)
    assert {"VADP job: gold", "restore point: rp-17"} <= set(
        command("report", "again", "--started", "20260301T120000Z").lines
    )
