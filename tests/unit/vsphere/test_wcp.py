"""Expectations: the guide's stages (12.3), its tree (4.3), failover (6.4) and limits (1.3, 7.2)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice.vmoperator.releases import Generation
from velero_vmservice.vsphere.wcp import Course, Decision, Situation, automatic, decide, overlong, progress_text, stage

NINE, EIGHT, UNKNOWN = Generation.VCF_9, Generation.VSPHERE_8_U3, Generation.UNKNOWN
SEEN = {"recorded": True, "enabled": True, "exists": False, "other_vcenter": False}
"""A VM that vCenter shows in its folder, opted in, and no VirtualMachine yet."""
ALIVE = {**SEEN, "exists": True, "annotated_version": "1700"}


@pytest.mark.parametrize(
    ("percent", "name"),
    [
        (None, None),
        (-1, None),
        (0, None),
        (4, None),
        (5, "client setup"),
        (9, "client setup"),
        (10, "retrieve VM properties"),
        (20, "validate VM"),
        (39, "validate VM"),
        (40, "restore additional resources"),
        (79, "restore additional resources"),
        (80, "register volumes"),
        (99, "register volumes"),
        (100, "complete"),
        (1000, "complete"),
    ],
)
def test_between_two_stages_the_last_one_reached_is_shown(percent: int | None, name: str | None) -> None:
    assert stage(percent) == name


def test_progress_in_words_is_never_out_of_range() -> None:
    given = (None, -5, 3, 80, 900)
    assert [progress_text(progress) for progress in given] == [
        "",
        "0 %",
        "3 %",
        "80 %, register volumes",
        "100 %, complete",
    ]


@pytest.mark.parametrize(
    ("generation", "enabled", "disabled", "by_itself"),
    [
        (NINE, None, None, False),
        (NINE, False, None, False),
        (NINE, True, None, True),
        (NINE, True, True, True),  # the opt-out is of before
        (EIGHT, None, None, True),
        (EIGHT, True, None, True),
        (EIGHT, None, False, True),
        (EIGHT, None, True, False),
        (EIGHT, True, True, False),
        (UNKNOWN, None, None, None),
        (UNKNOWN, True, None, True),
        (UNKNOWN, None, True, False),
        (UNKNOWN, True, True, None),
    ],
)
def test_automatic_registration_is_opt_in_since_vcf_9_and_opt_out_before(
    *, generation: Generation, enabled: bool | None, disabled: bool | None, by_itself: bool | None
) -> None:
    assert automatic(generation, enabled=enabled, disabled=disabled) is by_itself


@dataclass(frozen=True)
class Case:
    why: str
    course: Course
    excerpt: str
    known: dict[str, Any] = field(default_factory=dict)
    generation: Generation = NINE
    by_hand: Course | None = None
    code: str = ""


CASES = [
    Case(
        "no YAML in the ExtraConfig", Course.IGNORED, "not take it for a VM of VM Service", {**SEEN, "recorded": False}
    ),
    Case("no VirtualMachine", Course.NEW, "RegisterVM makes one", SEEN),
    Case("an older record", Course.EXISTING, "older than the VirtualMachine", {**ALIVE, "recorded_version": "1699"}),
    Case("the same record", Course.DISK_ONLY, "as new as the VirtualMachine", {**ALIVE, "recorded_version": "1700"}),
    Case("a newer record", Course.DISK_ONLY, "as new as the VirtualMachine", {**ALIVE, "recorded_version": "1701"}),
    Case(
        "no version to compare",
        Course.UNKNOWN,
        "without a backup version on both sides: restore to existing or disk-only restore",
        ALIVE,
    ),
    Case("another vCenter", Course.FAILOVER, "another vCenter", {**SEEN, "other_vcenter": True}),
    Case(
        "another vCenter counts more than a VirtualMachine that is there",
        Course.FAILOVER,
        "another vCenter",
        {**ALIVE, "recorded_version": "1699", "other_vcenter": True},
    ),
    Case(
        "not opted in",
        Course.AUTOMATIC_OFF,
        "enableAutomaticRegistration=true (VCF 9.0+): call RegisterVM for it",
        {**SEEN, "enabled": None},
        by_hand=Course.NEW,
    ),
    Case(
        "opted out before VCF 9.0",
        Course.AUTOMATIC_OFF,
        "disableAutomaticRegistration: call RegisterVM",
        {**SEEN, "disabled": True},
        generation=EIGHT,
        by_hand=Course.NEW,
    ),
    Case("not opted out before VCF 9.0", Course.NEW, "makes one", {**SEEN, "enabled": None}, generation=EIGHT),
    Case(
        "before VCF 9.0 nothing is registered over a VirtualMachine",
        Course.REFUSED,
        "cannot register over it",
        ALIVE,
        generation=EIGHT,
        code="VCenterWcpWorkloadRegisterVMAlreadyExistsOnSupervisor",
    ),
    Case(
        "before VCF 9.0 nothing is failed over",
        Course.REFUSED,
        "cannot fail VMs over (guide 1.3)",
        {**SEEN, "other_vcenter": True},
        generation=EIGHT,
    ),
    Case(
        "being reverted to a snapshot",
        Course.AUTOMATIC_OFF,
        "reverted to a snapshot, after which WCP registers nothing",
        {**ALIVE, "recorded_version": "1699", "reverting": True},
        by_hand=Course.EXISTING,
    ),
    Case(
        "the generation is unknown and the rules differ",
        Course.UNKNOWN,
        "depends on the Supervisor's generation",
        {**SEEN, "enabled": None},
        generation=UNKNOWN,
        by_hand=Course.NEW,
    ),
    Case("the generation is unknown and both rules agree", Course.NEW, "makes one", SEEN, generation=UNKNOWN),
    Case(
        "without vCenter, no VirtualMachine",
        Course.UNKNOWN,
        "without vCenter it is unknown whether WCP registers it by itself;"
        " the restore type is unknown without knowing from which vCenter it comes: restore to new or failover",
        {"exists": False},
    ),
    Case(
        "without vCenter, a VirtualMachine",
        Course.UNKNOWN,
        "restore to existing or disk-only restore or failover",
        {"exists": True},
    ),
    Case("without any source", Course.UNKNOWN, "without knowing whether the VirtualMachine exists"),
    Case(
        "without vCenter before VCF 9.0 the type is known all the same",
        Course.UNKNOWN,
        "without vCenter it is unknown",
        {"exists": False},
        generation=EIGHT,
        by_hand=Course.NEW,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_the_guides_tree(case: Case) -> None:
    decision = decide(Situation(generation=case.generation, **case.known))

    assert decision.course is case.course
    assert case.excerpt in decision.reason
    assert decision.by_hand is (case.by_hand or case.course)
    assert decision.code == case.code


SITUATIONS = st.builds(
    Situation,
    generation=st.sampled_from(Generation),
    recorded=st.sampled_from([None, False, True]),
    enabled=st.sampled_from([None, False, True]),
    disabled=st.sampled_from([None, False, True]),
    exists=st.sampled_from([None, False, True]),
    recorded_version=st.sampled_from(["", "1", "2", "x"]),
    annotated_version=st.sampled_from(["", "1", "2", "x"]),
    other_vcenter=st.sampled_from([None, False, True]),
    reverting=st.booleans(),
)
RESTORES = {Course.NEW, Course.EXISTING, Course.DISK_ONLY, Course.FAILOVER}


@given(SITUATIONS)
def test_nothing_is_foreseen_for_a_vm_that_vcenter_was_not_asked_about(situation: Situation) -> None:
    decision = decide(replace(situation, recorded=None))
    assert decision.course not in RESTORES


@given(SITUATIONS)
def test_every_outcome_has_a_sentence_and_a_call_is_never_refused_for_the_switch(situation: Situation) -> None:
    decision: Decision = decide(situation)
    assert decision.reason
    assert decision.by_hand is not Course.AUTOMATIC_OFF
    if decision.course in RESTORES:
        assert situation.recorded
        assert decision.by_hand is decision.course


@pytest.mark.parametrize(
    ("percent", "excerpt"),
    [
        (None, "runs for more than the 5 minutes that it gets (guide 12.2); it cannot be cancelled"),
        (3, "that it gets (guide 12.2); it cannot be cancelled"),
        (40, "at 40 % (restore additional resources); it cannot be cancelled"),
        (85, "at 85 % (register volumes): look at the CnsRegisterVolumes of the namespace, the datastore, the disk"),
    ],
)
def test_a_task_past_its_time_says_where_it_stands_and_what_to_look_at(percent: int | None, excerpt: str) -> None:
    assert excerpt in overlong("task-1", percent)
