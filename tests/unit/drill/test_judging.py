"""What a drill comes to, of what was tried."""

from __future__ import annotations

import pytest

from velero_vmservice.archive.findings import ApplicationVerdict, Finding, FindingCode, Verdict
from velero_vmservice.drill.judging import drilled, verdict
from velero_vmservice.drill.model import DrilledObject, DrillVerdict, Trial


def tried(trial: Trial) -> DrilledObject:
    return DrilledObject(kind="VirtualMachineService", namespace="shop", target="drill", name="front", trial=trial)


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
        ((), Trial.NAME_TAKEN, (), DrillVerdict.READY),
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
