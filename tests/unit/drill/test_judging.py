"""What a drill comes to, of what was tried."""

from __future__ import annotations

import pytest

from velero_vmservice.archive.findings import ApplicationVerdict, Finding, FindingCode, Verdict
from velero_vmservice.drill.judging import drilled, verdict
from velero_vmservice.drill.model import DrilledObject, DrillVerdict, Trial
from velero_vmservice.restore.model import Action


def tried(trial: Trial, action: str = "", *, target: str = "drill") -> DrilledObject:
    return DrilledObject(
        kind="VirtualMachineService", namespace="shop", target=target, name="front", trial=trial, action=action
    )


def application(*codes: FindingCode) -> ApplicationVerdict:
    reasons = tuple(
        Finding(code=code, severity="warning", message="-").about("VirtualMachine", "web-1") for code in codes
    )
    return ApplicationVerdict(
        verdict=Verdict.RESTORABLE,
        kind="VirtualMachineService",
        namespace="shop",
        name="front",
        vms=("web-1",),
        reasons=reasons,
    )


@pytest.mark.parametrize(
    ("codes", "trial", "not_tried", "expected"),
    [
        ((), Trial.ACCEPTED, (), DrillVerdict.READY),
        ((), Trial.NAME_TAKEN, (), DrillVerdict.NOT_READY),
        ((FindingCode.REFERENCE_MISSING,), Trial.ACCEPTED, (), DrillVerdict.WITH_WARNINGS),
        ((), Trial.ACCEPTED, ("vCenter",), DrillVerdict.INCOMPLETE),
        ((FindingCode.TARGET_MISSING,), Trial.NO_NAMESPACE, ("-",), DrillVerdict.INCOMPLETE),
        ((FindingCode.RELEASE_UNKNOWN,), Trial.ACCEPTED, (), DrillVerdict.INCOMPLETE),
        ((FindingCode.VM_RECORD_UNUSABLE,), Trial.ACCEPTED, ("vCenter",), DrillVerdict.NOT_READY),
        ((), Trial.REFUSED, ("vCenter",), DrillVerdict.NOT_READY),
        ((), Trial.UNREADABLE, (), DrillVerdict.NOT_READY),
    ],
)
def test_the_worst_decides(
    codes: tuple[FindingCode, ...], trial: Trial, not_tried: tuple[str, ...], expected: DrillVerdict
) -> None:
    assert verdict([application(*codes)], [tried(trial)], not_tried) is expected


@pytest.mark.parametrize(
    ("trial", "action", "expected"),
    [
        (Trial.NAME_TAKEN, Action.RETAIN, DrillVerdict.NOT_READY),
        (Trial.NAME_TAKEN, Action.WAIT, DrillVerdict.NOT_READY),
        (Trial.NAME_TAKEN, Action.CONFLICT, DrillVerdict.NOT_READY),
        (Trial.ACCEPTED, Action.CONFLICT, DrillVerdict.NOT_READY),
        (Trial.ACCEPTED, Action.BLOCKED, DrillVerdict.NOT_READY),
        (Trial.NAME_TAKEN, Action.SKIP, DrillVerdict.READY),
        (Trial.NAME_TAKEN, Action.UPDATE, DrillVerdict.READY),
        (Trial.ACCEPTED, Action.WAIT, DrillVerdict.READY),
    ],
)
def test_a_conflict_is_not_ready_but_for_the_object_that_lives_where_it_was_captured(
    trial: Trial, action: Action, expected: DrillVerdict
) -> None:
    assert verdict([application()], [tried(trial, action)], ()) is expected
    assert verdict([application()], [tried(trial, action, target="shop")], ()) is DrillVerdict.READY
    assert verdict([application()], [tried(trial, action, target="shop")], (), other=True) is expected


def test_a_drill_of_nothing_is_not_ready() -> None:
    assert verdict([], [], ()) is DrillVerdict.NOT_READY


def test_that_the_application_still_lives_counts_only_where_it_would_be_in_the_way() -> None:
    judged = application(FindingCode.NAME_TAKEN)
    assert drilled(judged).verdict == Verdict.NOT_RESTORABLE
    assert drilled(judged, where_it_lives=True).verdict == Verdict.RESTORABLE


def test_what_vcenter_says_of_a_record_becomes_a_reason() -> None:
    finding = Finding(code=FindingCode.VM_RECORD_UNUSABLE, severity="warning", message="has no record")
    judged = drilled(application(), more=[finding.about("VirtualMachine", "web-1")])
    assert (judged.verdict, [reason.message for reason in judged.reasons]) == (
        Verdict.NOT_RESTORABLE,
        ["has no record"],
    )
