"""The page of a drill: what is in the way first, nothing but text of the report, no request for anything."""

from __future__ import annotations

import re
from typing import Any

import pytest

from velero_vmservice.archive.findings import ApplicationObject, ApplicationVerdict, Finding, Verdict
from velero_vmservice.drill.model import DrilledCapture, DrilledObject, DrillReport, DrillTarget, DrillVerdict, Trial
from velero_vmservice.drill.page import render

HOSTILE = '<script>alert("x")</script>\u202e'


def application(name: str, verdict: Verdict, *reasons: str) -> ApplicationVerdict:
    return ApplicationVerdict(
        verdict=verdict,
        kind="VirtualMachineService",
        namespace="shop",
        name=name,
        objects=(ApplicationObject(kind="VirtualMachineService", name=name),),
        vms=(f"{name}-1",),
        reasons=tuple(Finding(code="vm-changed", severity="warning", message=reason) for reason in reasons),
    )


def drilled(name: str, trial: Trial, *, message: str = "", target: str = "drill") -> DrilledObject:
    return DrilledObject(
        kind="VirtualMachineService",
        namespace="shop",
        target=target,
        name=name,
        trial=trial,
        message=message,
        action="wait",
        reason=f"{name}-1: not registered yet",
    )


def report(**rest: Any) -> DrillReport:
    content: dict[str, Any] = {
        "drill": "nightly",
        "started": "2026-11-30T04:00:00+00:00",
        "ended": "2026-11-30T04:00:09+00:00",
        "verdict": DrillVerdict.NOT_READY,
        "capture": DrilledCapture(name="nightly", started="20261130T030000Z", maker="command", vadp_job="Gold"),
        "target": DrillTarget(cluster="https://supervisor.example:6443", release="VCF 9.0+"),
        "namespace_mapping": {"shop": "drill"},
        "applications": (
            application("calm", Verdict.RESTORABLE),
            application("warned", Verdict.WITH_WARNINGS, "changed since"),
            application("refused", Verdict.RESTORABLE),
        ),
        "objects": (
            drilled("calm", Trial.ACCEPTED),
            drilled("warned", Trial.ACCEPTED),
            drilled("refused", Trial.REFUSED, message="the webhook wants another port"),
        ),
        "not_tried": ("the VMs' records in vCenter: the settings name no vCenter",),
    }
    return DrillReport(**{**content, **rest})


def test_what_is_in_the_way_comes_first() -> None:
    page = render(report())
    headings = re.findall(r"<h3>shop/(\w+)", page)
    assert headings == ["refused", "warned", "calm"]
    assert page.index("Not tried") < page.index("<h3>")
    for text in ("not ready", "the webhook wants another port", "nightly/20261130T030000Z", "Gold", "VCF 9.0+"):
        assert text in page


def test_a_taken_name_is_in_the_way_but_for_where_it_lives() -> None:
    objects = (drilled("calm", Trial.NAME_TAKEN),)
    assert "name taken" in render(report(objects=objects))
    lives = (drilled("calm", Trial.NAME_TAKEN, target="shop"),)
    assert "lives there" in render(report(objects=lives, namespace_mapping={}))


def test_a_drill_of_nothing_says_so() -> None:
    assert "The capture holds no application and no VM." in render(report(applications=(), objects=()))


@pytest.mark.parametrize("verdict", ["unheard-of", *DrillVerdict])
def test_every_verdict_has_a_look(verdict: str) -> None:
    assert "<h1>nightly</h1>" in render(report(verdict=verdict))


def test_names_and_messages_are_text() -> None:
    page = render(report(objects=(drilled("calm", Trial.REFUSED, message=HOSTILE),), not_tried=(HOSTILE,)))
    assert "<script" not in page
    assert "\u202e" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert re.findall(r'(?:src|href)="(?!#)', page) == []
