"""Kubernetes opens a gate; what the other sources say can only shut it, and explains it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from velero_vmservice.errors import InReason
from velero_vmservice.registration.merge import registered_gate
from velero_vmservice.registration.model import Registration, Source, State
from velero_vmservice.supervisor.readiness import Gate
from velero_vmservice.vsphere.registervm_errors import PREFIX

K, V, E = Source.KUBERNETES, Source.VCENTER, Source.ENGINE
OPEN = Gate(ready=True, never_lost=True, registered=True)
ABSENT = Gate(ready=False, reason="not registered yet")
ANOTHER = Gate(ready=False, reason="is another VM of that name", blocked=True)


def registration(state: State, reason: str = "", **known: Any) -> Registration:
    return Registration(name="web-1", state=state, reason=reason, **{"sources": (E,), **known})


@dataclass(frozen=True)
class Case:
    why: str
    kubernetes_gate: Gate
    registration: Registration | None
    expected: Gate


CASES = [
    Case("no other source is asked", OPEN, None, OPEN),
    Case(
        "Kubernetes decides, and gives its own reason",
        ABSENT,
        registration(State.ABSENT, "x", sources=(K,)),
        ABSENT,
    ),
    Case("all say ready", OPEN, registration(State.READY, sources=(E, K)), OPEN),
    Case("no source can tell", OPEN, registration(State.UNKNOWN, "away"), OPEN),
    Case(
        "no source opens what Kubernetes holds shut",
        ABSENT,
        registration(State.READY),
        Gate(ready=False, reason="ready"),
    ),
    Case(
        "progress is shown",
        ABSENT,
        registration(State.REGISTERING, "task-7", percent=80),
        Gate(ready=False, reason="registering (80 %, register volumes): task-7"),
    ),
    Case(
        "a VM that is there and restored over is not ready",
        OPEN,
        registration(State.RESTORED, "VADP is at work"),
        Gate(ready=False, registered=True, reason="restored, not registered: VADP is at work"),
    ),
    Case(
        "a known code brings its remedy",
        ABSENT,
        registration(
            State.FAILED, "no disk", code="VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder", can_wait=False
        ),
        Gate(
            ready=False,
            blocked=True,
            reason="failed: no disk",
            remedy="Move it into the folder that bears the namespace's name, and have the registration engine register"
            " it once more; then repeat the restore.",
        ),
    ),
    Case(
        "a known code of RegisterVM's own task as well",
        ABSENT,
        registration(
            State.FAILED,
            "no disk",
            code="VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder",
            can_wait=False,
            sources=(K, V),
        ),
        Gate(
            ready=False,
            blocked=True,
            reason="failed: no disk",
            remedy="Move it into the folder that bears the namespace's name, then call RegisterVM; then repeat the"
            " restore.",
        ),
    ),
    Case(
        "a reason that says the remedy is not followed by it",
        ABSENT,
        registration(
            State.FAILED,
            "its own words",
            code="",
            can_wait=False,
            remedy="look there",
            remedy_said=True,
            sources=(K, V),
        ),
        Gate(
            ready=False,
            blocked=True,
            reason="failed: its own words",
            remedy="Look there; then repeat the restore.",
            remedy_said=InReason.ACTION,
        ),
    ),
    Case(
        "the remedy for a state that stays is given, and the state is waited for",
        ABSENT,
        registration(
            State.ABSENT,
            "nothing came",
            remedy="look at what came instead",
            sources=(K, V),
        ),
        Gate(
            ready=False,
            reason="absent: nothing came",
            remedy="Look at what came instead; then repeat the restore.",
        ),
    ),
    Case(
        "Kubernetes names the state where its reason does not",
        replace(ABSENT, reason="waits for PVC data"),
        registration(State.REGISTERING, "waits for PVC data", sources=(K,)),
        Gate(ready=False, reason="registering: waits for PVC data"),
    ),
    Case(
        "an unknown code is put right as it says",
        ABSENT,
        registration(State.FAILED, "boom", code="boom", can_wait=False, sources=(V,)),
        Gate(
            ready=False,
            blocked=True,
            reason="failed: boom",
            remedy="Put right what is named, and call RegisterVM once more; then repeat the restore.",
        ),
    ),
    Case(
        "beside an engine no remedy asks for a call of RegisterVM",
        ABSENT,
        registration(State.FAILED, "disk 3 is locked", code="ENGINE-42", can_wait=False),
        Gate(
            ready=False,
            blocked=True,
            reason="failed: disk 3 is locked",
            remedy="Put right what is named, and have the registration engine register it once more; then repeat the"
            " restore.",
        ),
    ),
    Case(
        "nor where it has given up before it began",
        ABSENT,
        registration(State.RESTORED, "switched off", can_wait=False),
        Gate(
            ready=False,
            blocked=True,
            reason="restored, not registered: switched off",
            remedy="Have the registration engine register it; then repeat the restore.",
        ),
    ),
    Case(
        "a VM that nothing registers by itself is called for",
        ABSENT,
        registration(State.RESTORED, "automatic registration is off", can_wait=False, sources=(V,)),
        Gate(
            ready=False,
            blocked=True,
            reason="restored, not registered: automatic registration is off",
            remedy="Call RegisterVM for it; then repeat the restore.",
        ),
    ),
    Case(
        "a snapshot revert is for the report's first step",
        ABSENT,
        registration(State.SNAPSHOT_REVERT, "reverting"),
        Gate(ready=False, by_hand=True, reason="reverting to a snapshot: reverting"),
    ),
    Case(
        "after a revert RegisterVM is called only for a VM that was also restored",
        ABSENT,
        registration(State.SNAPSHOT_REVERT, "reverting", can_wait=False, sources=(K, V)),
        Gate(
            ready=False,
            by_hand=True,
            blocked=True,
            reason="reverting to a snapshot: reverting",
            remedy="Wait until the revert has ended; if the VM was also restored, call RegisterVM for it; then"
            " repeat the restore.",
        ),
    ),
    Case(
        "a code of what a call would answer now deletes no VM that is being reverted",
        ABSENT,
        registration(
            State.SNAPSHOT_REVERT,
            "reverting",
            code="VCenterWcpWorkloadRegisterVMAlreadyExistsOnSupervisor",
            can_wait=False,
        ),
        Gate(
            ready=False,
            by_hand=True,
            blocked=True,
            reason="reverting to a snapshot: reverting",
            remedy="Wait until the revert has ended; if the VM was also restored, have the registration engine"
            " register it; then repeat the restore.",
        ),
    ),
    Case(
        "another VM of that name keeps its own remedy",
        ANOTHER,
        registration(State.FAILED, "boom", can_wait=False, sources=(E, K)),
        Gate(ready=False, blocked=True, reason="failed: boom"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_the_worst_that_is_certain_counts(case: Case) -> None:
    assert registered_gate(case.kubernetes_gate, case.registration) == case.expected


@pytest.mark.parametrize("state", State)
def test_no_answer_opens_a_gate(state: State) -> None:
    assert not registered_gate(ABSENT, registration(state)).ready


ONCE_MORE = ", and have the registration engine register it once more; then repeat the restore."
RISK = " (data loss risk: never done by this product)"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (f"{PREFIX}VMNotFound", f"its id is spelled (vm-123){ONCE_MORE}"),
        (f"{PREFIX}DuplicateVMBiosUUID", f"delete the conflicting VM{RISK}{ONCE_MORE}"),
        (f"{PREFIX}NotFoundInNamespaceFolder", f"bears the namespace's name{ONCE_MORE}"),
        (f"{PREFIX}ValidateVMResourceFailed", "that loses them has to be corrected; then repeat the restore."),
        (f"{PREFIX}AlreadyExistsOnSupervisor", f"have the owner delete the VirtualMachine{RISK}{ONCE_MORE}"),
        (f"{PREFIX}RegisterPVCFailed", f"put it right{ONCE_MORE}"),
        (f"{PREFIX}ConvertUnstructuredToVMTypeFailed", "cannot be registered; then repeat the restore."),
        ("AlreadyInDesiredState", "once VM Operator has reconciled it; then repeat the restore."),
    ],
)
def test_beside_an_engine_a_code_is_put_right_without_a_call_and_registered_once_more_if_it_can_be(
    code: str, remedy: str
) -> None:
    advice = registered_gate(ABSENT, registration(State.FAILED, "boom", code=code, can_wait=False)).remedy
    assert advice.endswith(remedy)
    assert "RegisterVM" not in advice
