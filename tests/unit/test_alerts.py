"""Alerts and dashboard of the chart: each alert is provoked on the product, and its metrics are the product's.

Here the metric that an alert asks for moves; in `tests/e2e/test_alerts.py` Prometheus itself evaluates the alerts.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest

from tests.alert_scenes import RULES, SCENES, Stage, forget, rules
from tests.scraped import Scrape, parsed
from tests.tools.markdown import ROOT, read
from tests.tools.metrics_page import families
from velero_vmservice.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

DASHBOARD = RULES.parent / "dashboard.json"
NAME = re.compile(r"\bvmservice_[a-z0-9_]+")
ALERTS = {rule["alert"]: rule for rule in rules()}


@pytest.fixture(name="stage")
def _stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    directory = Path(tempfile.mkdtemp(prefix="alert-"))
    yield Stage(patch=monkeypatch, directory=directory)
    forget()
    shutil.rmtree(directory)


def scraped() -> Scrape:
    return parsed(generate_latest(REGISTRY).decode())


def series() -> set[str]:
    """Every name under which Prometheus finds a sample of ours."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {f"{family.name}{suffix}" for family in families() for suffix in suffixes.get(family.type, ("",))}


def expressions(panels: Any) -> Iterator[str]:
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", ()))
        yield from expressions(panel.get("panels", ()))


def test_every_alert_has_a_scene() -> None:
    assert set(SCENES) == set(ALERTS)


@pytest.mark.parametrize("alert", sorted(set(SCENES) - {"VmServiceDown"}))
def test_a_scene_moves_the_metric_that_its_alert_asks_for(alert: str, stage: Stage) -> None:
    (name, *_others) = NAME.findall(ALERTS[alert]["expr"])
    before = scraped()
    SCENES[alert].play(stage)
    after = scraped()
    moved = [sample for sample in after.samples if sample.name == name and sample not in before.samples]
    assert any(SCENES[alert].labels.items() <= sample.labels.items() for sample in moved), f"{name}: {moved}"


def test_alerts_use_metrics_that_there_are() -> None:
    for alert, rule in ALERTS.items():
        assert set(NAME.findall(rule["expr"])) <= series(), alert


def test_the_dashboard_uses_metrics_that_there_are_and_shows_all() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    used = {name for expression in expressions(dashboard["panels"]) for name in NAME.findall(expression)}
    assert used <= series()
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    known = {re.sub(r"_(bucket|count|sum)$", "", name) for name in series()}
    assert known - shown == set(), "a metric that is nowhere shown is not worth its series"


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_leads_to_the_runbook(alert: str) -> None:
    annotations = ALERTS[alert]["annotations"]
    page, _, anchor = annotations["runbook_url"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor in read(ROOT / page).anchors()
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert ALERTS[alert]["labels"]["severity"] in {"warning", "critical"}
