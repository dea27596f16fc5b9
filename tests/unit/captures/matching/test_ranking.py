from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.builders import m, vm
from velero_vmservice.archive.facts import VmFacts
from velero_vmservice.captures.matching.ranking import Candidate, Fit, Presence, Uuids, by_vms, counted
from velero_vmservice.velero.runs import CaptureRef, Maker
from velero_vmservice.vmoperator.marks import BACKUP_VERSION_ANNOTATION, FAILED_OVER_ANNOTATION
from velero_vmservice.vmoperator.virtual_machine import ObservedVm, read_vm

WEB = ("shop", "web-1")


def capture(version: str, *, instance: str = "instance-of-web-1") -> Candidate:
    return Candidate(
        ref=CaptureRef(maker=Maker.COMMAND, name="nightly", started="20260301T120000Z"),
        started=datetime(2026, 3, 1, 12, tzinfo=UTC),
        vms={WEB: VmFacts(name="web-1", backup_version=version, instance_uuid=instance)},
    )


def live(version: str, **annotations: str) -> ObservedVm:
    marks = {BACKUP_VERSION_ANNOTATION: version, **annotations} if version else annotations
    return read_vm(m(vm("web-1", meta={"annotations": marks})))


@pytest.mark.parametrize(
    ("captured", "now", "fit"),
    [
        ("1700", "1700", Fit.EXACT),
        ("1700", "1800", Fit.OLDER),
        ("1800", "1700", Fit.NEWER),
        ("", "1700", Fit.UNKNOWN),
        ("1700", "", Fit.UNKNOWN),
    ],
)
def test_the_version_of_a_vm_says_how_a_capture_fits(captured: str, now: str, fit: Fit) -> None:
    (match,) = by_vms([capture(captured)], {WEB: live(now)}, mapping={})
    assert match.fit is fit
    assert (match.vms[0].captured, match.vms[0].live, match.vms[0].uuids) == (captured, now, Uuids.EQUAL)


def test_a_vm_with_other_uuids_is_another_one() -> None:
    (match,) = by_vms([capture("1700", instance="elsewhere")], {WEB: live("1700")}, mapping={})
    assert (match.fit, match.vms[0].presence) == (Fit.UNRELATED, Presence.ANOTHER)


def test_a_vm_that_failed_over_may_have_other_uuids() -> None:
    over = live("1700", **{FAILED_OVER_ANNOTATION: ""})
    (match,) = by_vms([capture("1700", instance="elsewhere")], {WEB: over}, mapping={})
    assert (match.fit, match.vms[0].uuids) == (Fit.EXACT, Uuids.DIFFERENT)


def test_a_vm_that_is_not_there_says_nothing() -> None:
    (match,) = by_vms([capture("1700")], {}, mapping={})
    assert (match.fit, counted(match.vms)) == (Fit.UNKNOWN, "1 missing")


def test_vms_are_looked_for_where_the_restore_brings_them_back() -> None:
    (match,) = by_vms([capture("1700")], {("dr", "web-1"): live("1700")}, mapping={"shop": "dr"})
    assert match.fit is Fit.EXACT
