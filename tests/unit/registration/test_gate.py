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
NOT_IN_FOLDER = f"{PREFIX}NotFoundInNamespaceFolder"


def registration(state: State, reason: str = "", **known: Any) -> Registration:
    return Registration(name="web-1", state=state, reason=reason, **{"sources": (E,), **known})


def lasting(state: State, reason: str, **known: Any) -> Registration:
    """Return a registration that cannot be waited out."""
    return registration(state, reason, can_wait=False, **known)


def shut(reason: str, **known: Any) -> Gate:
    return Gate(ready=False, reason=reason, **known)


def blocked(reason: str, remedy: str = "", **known: Any) -> Gate:
    return shut(reason, blocked=True, remedy=f"{remedy}; then repeat the restore." if remedy else "", **known)


@dataclass(frozen=True)
class Case:
    why: str
    kubernetes_gate: Gate
    registration: Registration | None
    expected: Gate


CASES = [
    Case("no other source is asked", OPEN, None, OPEN),
    Case("Kubernetes decides, and gives its own reason", ABSENT, registration(State.ABSENT, "x", sources=(K,)), ABSENT),
    Case("all say ready", OPEN, registration(State.READY, sources=(E, K)), OPEN),
    Case("no source can tell", OPEN, registration(State.UNKNOWN, "away"), OPEN),
    Case("no source opens what Kubernetes holds shut", ABSENT, registration(State.READY), shut("ready")),
    Case(
        "progress is shown",
        ABSENT,
        registration(State.REGISTERING, "task-7", percent=80),
        shut("registering (80 %, register volumes): task-7"),
    ),
    Case(
        "a VM that is there and restored over is not ready",
        OPEN,
        registration(State.RESTORED, "VADP is at work"),
        shut("restored, not registered: VADP is at work", registered=True),
    ),
    Case(
        "a known code brings its remedy",
        ABSENT,
        lasting(State.FAILED, "no disk", code=NOT_IN_FOLDER),
        blocked(
            "failed: no disk",
            "Move it into the folder that bears the namespace's name, and have the registration engine register it once"
            " more",
        ),
    ),
    Case(
        "a known code of RegisterVM's own task as well",
        ABSENT,
        lasting(State.FAILED, "no disk", code=NOT_IN_FOLDER, sources=(K, V)),
        blocked("failed: no disk", "Move it into the folder that bears the namespace's name, then call RegisterVM"),
    ),
    Case(
        "a reason that says the remedy is not followed by it",
        ABSENT,
        lasting(State.FAILED, "its own words", code="", remedy="look there", remedy_said=True, sources=(K, V)),
        blocked("failed: its own words", "Look there", remedy_said=InReason.ACTION),
    ),
    Case(
        "the remedy for a state that stays is given, and the state is waited for",
        ABSENT,
        registration(State.ABSENT, "nothing came", remedy="look at what came instead", sources=(K, V)),
        shut("absent: nothing came", remedy="Look at what came instead; then repeat the restore."),
    ),
    Case(
        "Kubernetes names the state where its reason does not",
        replace(ABSENT, reason="waits for PVC data"),
        registration(State.REGISTERING, "waits for PVC data", sources=(K,)),
        shut("registering: waits for PVC data"),
    ),
    Case(
        "an unknown code is put right as it says",
        ABSENT,
        lasting(State.FAILED, "boom", code="boom", sources=(V,)),
        blocked("failed: boom", "Put right what is named, and call RegisterVM once more"),
    ),
    Case(
        "beside an engine no remedy asks for a call of RegisterVM",
        ABSENT,
        lasting(State.FAILED, "disk 3 is locked", code="ENGINE-42"),
        blocked(
            "failed: disk 3 is locked",
            "Put right what is named, and have the registration engine register it once more",
        ),
    ),
    Case(
        "nor where it has given up before it began",
        ABSENT,
        lasting(State.RESTORED, "switched off"),
        blocked("restored, not registered: switched off", "Have the registration engine register it"),
    ),
    Case(
        "a VM that nothing registers by itself is called for",
        ABSENT,
        lasting(State.RESTORED, "automatic registration is off", sources=(V,)),
        blocked("restored, not registered: automatic registration is off", "Call RegisterVM for it"),
    ),
    Case(
        "a snapshot revert is for the report's first step",
        ABSENT,
        registration(State.SNAPSHOT_REVERT, "reverting"),
        shut("reverting to a snapshot: reverting", by_hand=True),
    ),
    Case(
        "after a revert RegisterVM is called only for a VM that was also restored",
        ABSENT,
        lasting(State.SNAPSHOT_REVERT, "reverting", sources=(K, V)),
        blocked(
            "reverting to a snapshot: reverting",
            "Wait until the revert has ended; if the VM was also restored, call RegisterVM for it",
            by_hand=True,
        ),
    ),
    Case(
        "a code of what a call would answer now deletes no VM that is being reverted",
        ABSENT,
        lasting(State.SNAPSHOT_REVERT, "reverting", code=f"{PREFIX}AlreadyExistsOnSupervisor"),
        blocked(
            "reverting to a snapshot: reverting",
            "Wait until the revert has ended; if the VM was also restored, have the registration engine register it",
            by_hand=True,
        ),
    ),
    Case(
        "another VM of that name keeps its own remedy",
        ANOTHER,
        lasting(State.FAILED, "boom", sources=(E, K)),
        blocked("failed: boom"),
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
        (NOT_IN_FOLDER, f"bears the namespace's name{ONCE_MORE}"),
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
    advice = registered_gate(ABSENT, lasting(State.FAILED, "boom", code=code)).remedy
    assert advice.endswith(remedy)
    assert "RegisterVM" not in advice
