"""Whatever is found: more of it never makes a verdict better, and no reason is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice.archive.findings import BLOCKING, ApplicationVerdict, Finding, FindingCode, Verdict, verdict
from velero_vmservice.backup.assessment import application_verdict, judged
from velero_vmservice.documents import canonical, parse
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef

RANKS = {each: rank for rank, each in enumerate(Verdict)}
FINDINGS = st.lists(
    st.builds(
        Finding,
        code=st.sampled_from([code.value for code in FindingCode]) | st.text(max_size=8),
        severity=st.sampled_from(["warning", "note"]),
        message=st.text(max_size=8),
        kind=st.sampled_from(["", "VirtualMachine", "Namespace"]),
        name=st.sampled_from(["web-1", "db-1"]),
    ),
    max_size=6,
)


@given(FINDINGS, FINDINGS)
def test_another_finding_never_makes_a_verdict_better(findings: list[Finding], more: list[Finding]) -> None:
    assert RANKS[verdict([*findings, *more])] >= RANKS[verdict(findings)]
    assert (verdict(findings) is Verdict.NOT_RESTORABLE) == any(finding.code in BLOCKING for finding in findings)


@given(FINDINGS)
def test_every_reason_is_kept_once_and_read_back(findings: list[Finding]) -> None:
    application = application_verdict(ObjectRef(VIRTUAL_MACHINE, "shop", "web-1"), (), ("web-1",), findings)
    assert {finding.model_dump_json() for finding in application.reasons} >= {
        finding.model_dump_json() for finding in findings if finding.severity == "warning"
    }
    assert len(application.reasons) == len({(f.code, f.kind, f.name, f.message) for f in findings})
    assert judged(application, application.reasons) == application
    assert parse(ApplicationVerdict, canonical(application), key="seal") == application
