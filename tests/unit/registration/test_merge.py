"""Expectations: the worst of which a source is certain counts; no source is believed for what it cannot see."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice.registration.merge import FROM_BEST_TO_WORST, combine, distinct_notes
from velero_vmservice.registration.model import Answer, Registration, Role, Source, State, by_source

NOON, LATER = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)


def says(source: Source, state: State, reason: str = "", **known: Any) -> Answer:
    registration = Registration(name="web-1", state=state, reason=reason, sources=(source,), **known)
    return Answer(source=source, registrations={"web-1": registration})


def nothing(reason: str = "not registered yet", **known: Any) -> Answer:
    """What Kubernetes says where it has no VirtualMachine, and one can come."""
    return says(K, State.ABSENT, reason, nothing_there=True, **known)


def away(source: Source, problem: str = "is away") -> Answer:
    return Answer(source=source, problem=problem)


def merged(*answers: Answer) -> Registration:
    return combine(["web-1"], answers)["web-1"]


@dataclass(frozen=True)
class Case:
    why: str
    kubernetes: Answer
    vcenter: Answer
    state: State
    notes: tuple[str, ...] = ()
    source: str = "vcenter"
    reason: str = ""
    more: dict[str, Any] = field(default_factory=dict)


K, V, E = Source.KUBERNETES, Source.VCENTER, Source.ENGINE
SEE = (
    "see in vCenter under which name and in which namespace it was registered, and whether the VirtualMachine was"
    " deleted since, as Kubernetes does where its saved YAML names a lost group as owner"
)
NONE_THERE = f"and no VirtualMachine is there yet: if none comes, {SEE}"
CASES = [
    Case("both say ready", says(K, State.READY), says(V, State.READY), State.READY, source="kubernetes, vcenter"),
    Case(
        "ready there, failed here",
        says(K, State.READY),
        says(V, State.FAILED, "no CNS", code="X", can_wait=False),
        State.FAILED,
        ("kubernetes says ready",),
        reason="no CNS",
        more={"code": "X", "can_wait": False},
    ),
    Case(
        "what registers is more than what is absent",
        nothing(),
        says(V, State.REGISTERING, percent=40),
        State.REGISTERING,
        more={"percent": 40},
    ),
    Case(
        "restored and absent agree",
        says(K, State.ABSENT),
        says(V, State.RESTORED, "wait"),
        State.RESTORED,
        reason="wait",
    ),
    Case(
        "an engine that is done before the VirtualMachine shows",
        nothing(),
        says(V, State.READY),
        State.ABSENT,
        source="kubernetes, vcenter",
        reason=f"it is registered, {NONE_THERE}",
        more={"remedy": SEE},
    ),
    Case(
        "the VADP restore still runs over a VM that is alive",
        says(K, State.READY, "never lost"),
        says(V, State.RESTORED, "VADP still restores it"),
        State.RESTORED,
        ("kubernetes says ready: never lost",),
        reason="VADP still restores it",
    ),
    Case(
        "vCenter concludes what it cannot see",
        says(K, State.READY),
        says(V, State.RESTORED, "no task was seen", certain=False, notes=("no record",)),
        State.READY,
        ("no record",),
        source=K,
    ),
    Case(
        "only a conclusion is there",
        says(K, State.UNKNOWN, "not served"),
        says(V, State.RESTORED, "in its folder", certain=False),
        State.RESTORED,
        ("kubernetes cannot tell: not served",),
        reason="in its folder",
        more={"certain": False},
    ),
    Case(
        "paused by what registers it",
        says(K, State.PAUSED, "annotation"),
        says(V, State.REGISTERING, percent=80),
        State.REGISTERING,
        ("kubernetes says paused: annotation",),
        more={"percent": 80},
    ),
    Case(
        "one has no opinion and no reason",
        says(K, State.REGISTERED, "not reconciled"),
        says(V, State.UNKNOWN),
        State.REGISTERED,
        source=K,
        reason="not reconciled",
    ),
    Case(
        "neither knows",
        says(K, State.UNKNOWN, "not served"),
        says(V, State.UNKNOWN),
        State.UNKNOWN,
        source="kubernetes, vcenter",
        reason="not served",
    ),
    Case(
        "one is away",
        says(K, State.READY),
        away(V, "cannot log in: correct the password"),
        State.READY,
        ("vcenter cannot be asked: cannot log in: correct the password",),
        source=K,
    ),
    Case(
        "two tasks have failed in two ways",
        says(K, State.FAILED, "first", code="A"),
        says(V, State.FAILED, "second", code="B", can_wait=False),
        State.FAILED,
        source="kubernetes, vcenter",
        reason="second; first",
        more={"code": "B", "can_wait": False},
    ),
    Case(
        "no source has it, and one knows where it is instead",
        nothing(),
        says(V, State.ABSENT, "it is in another folder", certain=False),
        State.ABSENT,
        source="kubernetes, vcenter",
        reason="not registered yet; it is in another folder",
    ),
    Case(
        "RegisterVM has succeeded, and no VirtualMachine is there",
        nothing(),
        says(V, State.REGISTERED, "the task succeeded", certain=False),
        State.ABSENT,
        source="kubernetes, vcenter",
        reason=f"the task succeeded, {NONE_THERE}",
        more={"remedy": SEE, "code": ""},
    ),
    Case(
        "RegisterVM has nothing to do, and no VirtualMachine is there",
        nothing(),
        says(V, State.REGISTERED, "it is in its desired state", code="AlreadyInDesiredState", certain=False),
        State.ABSENT,
        source="kubernetes, vcenter",
        reason=f"it is in its desired state, {NONE_THERE}",
        more={"remedy": SEE, "code": "AlreadyInDesiredState"},
    ),
    Case(
        "registered, and being deleted",
        says(K, State.ABSENT, "is being deleted"),
        says(V, State.REGISTERED, "the task succeeded", certain=False),
        State.ABSENT,
        ("vcenter says registered: the task succeeded",),
        source=K,
        reason="is being deleted",
        more={"remedy": ""},
    ),
    Case(
        "restored over a VM that is there, and nothing registers it by itself",
        says(K, State.RESTORED, "restored in vCenter", since=NOON),
        says(V, State.RESTORED, "automatic registration is off", can_wait=False),
        State.RESTORED,
        source="kubernetes, vcenter",
        reason="automatic registration is off; restored in vCenter",
        more={"can_wait": False, "since": NOON},
    ),
    Case(
        "of two that can be waited for vCenter has the word",
        says(K, State.RESTORED, "z"),
        says(V, State.RESTORED, "a"),
        State.RESTORED,
        source="kubernetes, vcenter",
        reason="a; z",
    ),
    Case(
        "the earlier of two times, and a person if either says so",
        says(K, State.ABSENT, since=LATER, can_wait=False),
        says(V, State.ABSENT, since=NOON),
        State.ABSENT,
        source="kubernetes, vcenter",
        more={"since": NOON, "can_wait": False},
    ),
    Case(
        "whether the earlier of two times is only that of a first look",
        says(K, State.REGISTERED, since=LATER),
        says(V, State.REGISTERED, since=NOON, first_seen=True, certain=False),
        State.REGISTERED,
        source="kubernetes, vcenter",
        more={"since": NOON, "first_seen": True},
    ),
]


def test_the_owners_in_a_record_are_kept_whichever_source_decides() -> None:
    owners = (("tier", "u-1"),)
    registration = merged(nothing(), says(V, State.REGISTERED, owners=owners, certain=False))
    assert (registration.state, registration.owners) == (State.ABSENT, owners)


def test_only_a_source_that_has_looked_for_it_says_that_nothing_is_there() -> None:
    registered = says(V, State.REGISTERED, "RegisterVM task task-1 succeeded", certain=False)
    assert NONE_THERE in merged(nothing(), registered).reason
    assert merged(says(K, State.ABSENT, "not registered yet"), registered).reason == "not registered yet"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_the_worst_certain_answer_counts(case: Case) -> None:
    registration = merged(case.kubernetes, case.vcenter)

    assert (registration.state, registration.told_by, registration.reason, registration.notes) == (
        case.state,
        case.source,
        case.reason,
        case.notes,
    )
    assert {key: getattr(registration, key) for key in case.more} == case.more


def test_all_away_is_waiting_with_the_reasons() -> None:
    registration = merged(away(V, "timed out"), away(K, "forbidden"))

    assert (registration.state, registration.can_wait, registration.notes) == (State.UNKNOWN, True, ())
    assert registration.reason == "kubernetes cannot be asked: forbidden; vcenter cannot be asked: timed out"


def test_the_lack_of_any_source_is_reported() -> None:
    assert merged().reason == "no registration source is set"


def test_a_source_without_an_answer_for_a_vm_is_reported() -> None:
    registration = merged(
        says(K, State.READY),
        Answer(source=E, registrations={"another": Registration(name="a", state=State.READY)}),
    )
    assert (registration.state, registration.notes) == (
        State.READY,
        ("engine cannot tell: it did not answer for this VM",),
    )


@pytest.mark.parametrize("state", [State.RESTORED, State.REGISTERING])
def test_a_vm_that_an_engine_is_to_register_is_waited_for(state: State) -> None:
    registration = merged(
        nothing(),
        says(V, State.RESTORED, "automatic registration is off: call RegisterVM for it", can_wait=False),
        says(E, state, "queued behind 12 others"),
    )
    assert (registration.state, registration.reason, registration.can_wait, registration.notes) == (
        state,
        "queued behind 12 others",
        True,
        (),
    )


def test_a_vm_that_an_engine_looks_out_for_is_waited_for() -> None:
    registration = merged(
        says(V, State.RESTORED, "automatic registration is off: call RegisterVM for it", can_wait=False),
        says(E, State.ABSENT, "its restore has not begun"),
    )
    assert (registration.state, registration.reason, registration.can_wait) == (
        State.ABSENT,
        "its restore has not begun",
        True,
    )


@pytest.mark.parametrize("more", [{"certain": False}, {"can_wait": False}], ids=["a guess", "a person has to act"])
def test_an_engine_that_does_nothing_about_it_is_not_waited_for(more: dict[str, bool]) -> None:
    off = "automatic registration is off: call RegisterVM for it"
    registration = merged(
        says(V, State.RESTORED, off, can_wait=False),
        says(E, State.RESTORED, "queued", **more),
    )
    assert (registration.reason, registration.can_wait) == (f"{off}; queued", False)


def test_every_state_has_its_place() -> None:
    assert sorted(FROM_BEST_TO_WORST) == sorted(State)


def test_a_note_of_many_vms_is_reported_once() -> None:
    many = [Registration(name=f"web-{n}", state=State.READY, notes=("same", f"note {n % 2}")) for n in range(4)]
    assert distinct_notes(many) == ("same", "note 0", "note 1")


TEXTS = st.sampled_from(["", "a", "b"])
REGISTRATIONS = st.builds(
    Registration,
    name=st.just("web-1"),
    state=st.sampled_from(State),
    reason=TEXTS,
    code=TEXTS,
    percent=st.none() | st.integers(0, 100),
    can_wait=st.booleans(),
    certain=st.booleans(),
    since=st.sampled_from([None, NOON, LATER]),
    first_seen=st.booleans(),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
)
REGISTRATIONS_BY_VM = st.none() | st.dictionaries(st.sampled_from(["web-1", "web-2"]), REGISTRATIONS)
ANSWERS = st.dictionaries(st.sampled_from(list(Source)), REGISTRATIONS_BY_VM).map(
    lambda given: [
        Answer(source=source, registrations=registrations, problem="away") for source, registrations in given.items()
    ]
)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_the_sources_does_not_matter(answers: list[Answer], random: Any) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)
    assert combine(["web-1", "web-2"], answers) == combine(["web-1", "web-2"], shuffled)


@given(ANSWERS)
def test_a_vm_is_ready_unless_a_certain_source_says_otherwise(answers: list[Answer]) -> None:
    registration = merged(*answers)
    known = by_source("web-1", answers).values()
    certain = {answer.state for answer in known if answer.certain and answer.state is not State.UNKNOWN}
    if registration.state is State.READY:
        assert certain <= {State.READY}
        assert any(answer.state is State.READY for answer in known)
    if certain:
        assert registration.state is max(certain, key=FROM_BEST_TO_WORST.index)


def test_sources_are_spelled_as_settings_and_answers_have_them() -> None:
    assert [str(source) for source in Source] == ["kubernetes", "vcenter", "engine", "trigger"]


def test_only_an_engine_registers_vms_itself() -> None:
    assert [source for source in Source if source.role is Role.ENGINE] == [Source.ENGINE]
