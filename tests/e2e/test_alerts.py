"""Prometheus itself evaluates the chart's alerts on what the product exports while each alert's scene is played.

The endpoint is scraped before a scene, after it and after it again, and what changed between the last two goes on in
each further minute. promtool then tells which alerts fire. Its time begins at 0, so times of the scrapes are moved.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.alert_scenes import RULES, SCENES, Stage, forget, rules
from tests.scraped import scrape
from velero_vmservice.monitoring import endpoint
from velero_vmservice.monitoring.health import Health
from velero_vmservice.reachability import Reachability

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.scraped import Scrape

ROOT = Path(__file__).parents[2]
QUIET, LOUD = 60, 90
"""Minutes before a scene, and minutes in which it goes on: longer than any alert waits."""
SEVERITY = {rule["alert"]: rule["labels"]["severity"] for rule in rules()}


@dataclass(frozen=True)
class Played:
    """Scrapes around a scene, and the time that it takes place at."""

    before: Scrape
    first: Scrape
    second: Scrape
    now: datetime


def promtool() -> str:
    """Prometheus' own tool: the system's, or the one that `make promtool` unpacks."""
    unpacked = ROOT / ".build" / "prometheus" / "usr" / "bin" / "promtool"
    path = os.environ.get("PROMTOOL") or shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None)
    assert path, "there is no promtool; run `make promtool`, or name one in the variable PROMTOOL"
    return path


def run(*arguments: str, directory: Path) -> str:
    done = subprocess.run([promtool(), *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(name="bound")
def _bound(tmp_path: Path) -> Iterator[tuple[str, int]]:
    health = Health(tmp_path, settings_problem=str, stores=Reachability())
    with endpoint.serving("127.0.0.1:0", health) as bound:
        assert bound is not None
        yield bound
    forget()


@pytest.fixture(name="stage")
def _stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    directory = Path(tempfile.mkdtemp(prefix="alert-"))
    yield Stage(patch=monkeypatch, directory=directory)
    shutil.rmtree(directory)


def play(alert: str, stage: Stage, bound: tuple[str, int]) -> Played:
    before = scrape(*bound)
    now = SCENES[alert].play(stage) or datetime.now(UTC)
    first = scrape(*bound)
    SCENES[alert].play(stage)
    return Played(before, first, scrape(*bound), now)


def by_series(scraped: Scrape, now: datetime) -> dict[str, float]:
    """The samples by the series that promtool reads; times count from its own."""
    shift = (QUIET + LOUD) * 60 - now.timestamp()
    return {
        f"{sample.name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in sorted(sample.labels.items()))}}}": (
            sample.value + (shift if sample.name.endswith("_timestamp_seconds") else 0)
        )
        for sample in scraped.samples
    }


def input_series(played: Played) -> list[dict[str, str]]:
    before, first, second = (by_series(each, played.now) for each in (played.before, played.first, played.second))
    lines = []
    for name in sorted({*before, *first, *second}):
        quiet = f"{before[name]!r}+0x{QUIET - 1}" if name in before else f"_x{QUIET}"
        lines.append({"series": name, "values": f"{quiet} {_going_on(first.get(name), second.get(name))}"})
    return lines


def _going_on(first: float | None, second: float | None) -> str:
    """What was different between the last two scrapes is different in each minute from then on."""
    if second is None:
        return "stale"
    change = second - (second if first is None else first)
    return f"{second!r}{'-' if change < 0 else '+'}{abs(change)!r}x{LOUD}"


def fire(series: list[dict[str, str]], expected: Mapping[str, Mapping[str, str] | None], directory: Path) -> None:
    """Have promtool check that each alert fires with its labels, or with None that it does not."""
    bare = [{key: value for key, value in rule.items() if key != "annotations"} for rule in rules()]
    (directory / "alerts.yaml").write_text(yaml.safe_dump({"groups": [{"name": "chart", "rules": bare}]}), "utf-8")
    at = f"{QUIET + LOUD - 1}m"
    alerts: list[dict[str, Any]] = [
        {"eval_time": at, "alertname": alert, "exp_alerts": [] if labels is None else [_with_severity(alert, labels)]}
        for alert, labels in expected.items()
    ]
    test = {
        "rule_files": ["alerts.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": alerts}],
    }
    (directory / "test.yaml").write_text(yaml.safe_dump(test, width=10_000), "utf-8")
    run("test", "rules", "test.yaml", directory=directory)


def _with_severity(alert: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {"exp_labels": {**labels, "severity": SEVERITY[alert]}}


def test_prometheus_accepts_the_alerts(tmp_path: Path) -> None:
    assert f"{len(SCENES)} rules found" in run("check", "rules", str(RULES), directory=tmp_path)


@pytest.mark.parametrize("alert", sorted(set(SCENES) - {"VmServiceDown"}))
def test_an_alert_fires_when_what_it_warns_of_happens(
    alert: str, stage: Stage, bound: tuple[str, int], tmp_path: Path
) -> None:
    fire(input_series(play(alert, stage, bound)), {alert: SCENES[alert].labels}, tmp_path)


def test_an_alert_fires_when_nothing_is_scraped(tmp_path: Path) -> None:
    fire([], {"VmServiceDown": {}}, tmp_path)


def test_no_alert_fires_while_nothing_happens(bound: tuple[str, int], tmp_path: Path) -> None:
    quiet = scrape(*bound)
    fire(input_series(Played(quiet, quiet, quiet, datetime.now(UTC))), dict.fromkeys(SCENES), tmp_path)


def test_a_failure_that_passes_fires_no_alert(stage: Stage, bound: tuple[str, int], tmp_path: Path) -> None:
    before = scrape(*bound)
    SCENES["VmServiceStorageErrors"].play(stage)
    after = scrape(*bound)
    fire(input_series(Played(before, after, after, datetime.now(UTC))), {"VmServiceStorageErrors": None}, tmp_path)
