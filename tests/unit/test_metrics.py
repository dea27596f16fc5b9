"""The metrics by Prometheus' conventions, as docs/observability.md lists them, and what restores show of themselves."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry

from tests.tools.metrics_page import PAGE, families, labels, rendered
from velero_vmservice.metrics.now import Application, Applications, OpenRestore, OpenRestores

NAME = re.compile(r"vmservice(_[a-z0-9]+)+")
LABEL = re.compile(r"[a-z]+(_[a-z]+)*")
OF_PROMETHEUS = {"namespace", "pod", "container", "endpoint", "service", "job", "instance"}
"""What a scrape adds of its target: a metric with such a label would be shown under another name."""


def test_the_page_lists_every_metric_and_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rendered(page) == page, "run `make docs`"


def test_names_follow_the_conventions() -> None:
    for family in families():
        name = family.name
        assert NAME.fullmatch(name), name
        assert not re.search(r"(milli|micro|nano)?seconds?_|minutes|hours|_ms$|_count$|_bucket$", f"{name}$"), name
        assert family.type != "histogram" or name.endswith("_seconds"), name
        assert "timestamp" not in name or name.endswith("_timestamp_seconds"), name
        assert family.documentation.endswith("."), name
        assert all(LABEL.fullmatch(label) for label in labels(name)), name
        assert OF_PROMETHEUS.isdisjoint(labels(name)), name


@pytest.fixture(name="shown")
def _shown() -> CollectorRegistry:
    return CollectorRegistry()


def test_restores_under_way_are_summed_up(shown: CollectorRegistry) -> None:
    restores = OpenRestores()
    shown.register(restores)
    restores.update(
        "one", OpenRestore(stages={"waiting": 2}, waiting_since=200.0, registrations={("failed", "VMPoweredOn"): 1})
    )
    restores.update(
        "two",
        OpenRestore(
            stages={"waiting": 1, "replayed": 3},
            waiting_since=100.0,
            registrations={("failed", "VMPoweredOn"): 1, ("absent", ""): 4},
        ),
    )
    assert shown.get_sample_value("vmservice_open_operations", {"stage": "waiting"}) == 3
    assert shown.get_sample_value("vmservice_open_operations", {"stage": "replayed"}) == 3
    assert shown.get_sample_value("vmservice_waiting_since_timestamp_seconds") == 100.0
    assert shown.get_sample_value("vmservice_registrations", {"state": "failed", "code": "VMPoweredOn"}) == 2
    assert shown.get_sample_value("vmservice_registrations", {"state": "absent", "code": ""}) == 4


def test_a_restore_that_has_ended_leaves_no_series(shown: CollectorRegistry) -> None:
    restores = OpenRestores()
    shown.register(restores)
    restores.update("one", OpenRestore(stages={"waiting": 2}, waiting_since=200.0))
    restores.update("one", OpenRestore(stages={}))
    assert [sample for family in shown.collect() for sample in family.samples] == []


def test_a_restore_that_velero_no_longer_asks_about_is_forgotten(shown: CollectorRegistry) -> None:
    now = 0.0
    restores = OpenRestores(timer=lambda: now)
    shown.register(restores)
    restores.update("one", OpenRestore(stages={"waiting": 2}, waiting_since=200.0))
    now = OpenRestores.STALE_SECONDS
    assert shown.get_sample_value("vmservice_open_operations", {"stage": "waiting"}) == 2
    now += 1
    assert [sample for family in shown.collect() for sample in family.samples] == []


def test_applications_show_what_is_known_of_them(shown: CollectorRegistry) -> None:
    applications = Applications()
    shown.register(applications)
    web = Application(namespace="shop", kind="VirtualMachineGroup", name="web", protected=True, last_capture=100.0)
    applications.update([web], {"backups": False, "captures": True})
    named = {"application_namespace": "shop", "kind": "VirtualMachineGroup", "application": "web"}
    assert shown.get_sample_value("vmservice_applications") == 1
    assert shown.get_sample_value("vmservice_application_protected", named) == 1
    assert shown.get_sample_value("vmservice_application_last_capture_timestamp_seconds", named) == 100.0
    assert shown.get_sample_value("vmservice_application_restorable", named) is None
    assert shown.get_sample_value("vmservice_survey_unread", {"part": "captures"}) == 1
    assert shown.get_sample_value("vmservice_survey_unread", {"part": "backups"}) == 0


def test_an_application_that_is_gone_leaves_no_series(shown: CollectorRegistry) -> None:
    applications = Applications()
    shown.register(applications)
    applications.update([Application(namespace="shop", kind="VirtualMachineGroup", name="web", protected=True)], {})
    applications.update(None, {"applications": True})
    assert shown.get_sample_value("vmservice_applications") == 1, "they could not be read, and stay as they were"
    applications.update([], {})
    assert shown.get_sample_value("vmservice_applications") == 0
    (family,) = (family for family in shown.collect() if family.name == "vmservice_application_protected")
    assert family.samples == []


def test_of_very_many_applications_the_unprotected_have_series(shown: CollectorRegistry) -> None:
    applications = Applications()
    shown.register(applications)
    protected = [
        Application(namespace="shop", kind="VirtualMachineGroup", name=f"a-{number}", protected=True)
        for number in range(Applications.MOST)
    ]
    unprotected = Application(namespace="shop", kind="VirtualMachineGroup", name="z", protected=False)
    applications.update([*protected, unprotected], {})
    (family,) = (family for family in shown.collect() if family.name == "vmservice_application_protected")
    assert len(family.samples) == Applications.MOST
    assert family.samples[0].labels["application"] == "z"
    assert shown.get_sample_value("vmservice_applications") == Applications.MOST + 1
