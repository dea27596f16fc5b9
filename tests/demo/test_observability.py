"""Metrics and log of the demo's sidecar: its real process, Kubernetes' and S3's own protocols, Velero played."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.demo import application
from tests.demo.application import NAMESPACE
from tests.demo.place import place
from tests.demo.velero import Velero
from tests.scraped import scrape
from tests.waiting import wait_until
from velero_vmservice import live_actions
from velero_vmservice.metrics.now import APPLICATIONS
from velero_vmservice.monitoring import endpoint
from velero_vmservice.monitoring.health import Health
from velero_vmservice.monitoring.surveying import surveying
from velero_vmservice.reachability import Reachability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.place import Place

PARTS = ("applications", "backups", "schedules", "captures")
OF_SHOP = {"application_namespace": NAMESPACE, "kind": "VirtualMachineGroup", "application": "shop"}


@pytest.fixture(name="stage")
def _stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "VMSERVICE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with place() as stage:
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        application.deploy(stage.supervisor)
        yield stage
    APPLICATIONS.update([], {})


def test_a_backup_makes_an_application_protected_and_its_id_leads_to_the_bucket(stage: Place) -> None:
    velero = Velero(stage)
    velero.objects.install(stage.bucket)
    backup = velero.back_up("nightly", NAMESPACE, annotations={})
    for _states in velero.poll(backup):
        pass
    velero.objects.end(backup.record, "Completed")

    (run,) = {line["run"] for line in backup.log if "run" in line}
    own = [json.loads(line) for line in stage.sidecar.log.read_text("utf-8").splitlines()]
    assert {"captured", "namespace facts stored", "capture sealed"} <= {
        line["@message"] for line in own if line.get("run") == run
    }
    stored = stage.bucket.client.list_objects_v2(Bucket=stage.bucket.name, Prefix=f"plugins/vmservice/{run}/")
    assert f"plugins/vmservice/{run}/capture.json" in {entry["Key"] for entry in stored["Contents"]}

    live = live_actions.first_actions()
    health = Health(stage.plugins, settings_problem=lambda: live.problem, stores=Reachability())
    with (
        endpoint.serving("127.0.0.1:0", health) as bound,
        surveying(live.app.survey.look, first=0, pause=3600),
    ):
        assert bound is not None
        wait_until(lambda: scrape(*bound).has("vmservice_application_restorable", **OF_SHOP), 60, "a look")
        seen = scrape(*bound)
    assert seen.value("vmservice_applications") == 1
    assert seen.value("vmservice_application_protected", **OF_SHOP) == 1
    assert seen.value("vmservice_application_restorable", **OF_SHOP) == 1
    assert {part: seen.value("vmservice_survey_unread", part=part) for part in PARTS} == dict.fromkeys(PARTS, 0)
