"""Prune never removes the last good capture of an application, whatever the rules and whatever was captured."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice.archive.findings import Verdict as Judgement
from velero_vmservice.captures.pruning.retention import Candidate, Rules, Verdict, decide
from velero_vmservice.velero.runs import CaptureRef, Maker

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVICE, FIRST, SECOND = "VirtualMachineService shop/web", "VirtualMachine shop/web-1", "VirtualMachine shop/web-2"
PARTS = st.sampled_from(
    [frozenset(parts) for parts in ((SERVICE,), (SERVICE, FIRST), (SERVICE, FIRST, SECOND), (FIRST,))]
)
JUDGEMENTS = st.sampled_from((*Judgement, None))


@st.composite
def candidates(draw: st.DrawFn) -> Sequence[Candidate]:
    """Draw captures of a few applications, which join, split and change their verdicts."""
    drawn = []
    for at in range(draw(st.integers(0, 8))):
        started = NOW - timedelta(days=draw(st.integers(0, 200)))
        drawn.append(
            Candidate(
                ref=CaptureRef(maker=Maker.COMMAND, name=f"job-{at}", started=f"{started:%Y%m%dT%H%M%SZ}"),
                started=started,
                written=started + timedelta(minutes=draw(st.integers(0, 3000))),
                sealed=draw(st.booleans() | st.just(value=True)),
                known=draw(st.booleans() | st.just(value=True)),
                whole=draw(st.booleans() | st.just(value=True)),
                bucket=draw(st.sampled_from([("s3", "ours"), ("s3", "theirs")])),
                cluster=draw(st.sampled_from(["here", "there"])),
                job=draw(st.sampled_from(["gold", "silver"])),
                namespaces=frozenset({draw(st.sampled_from(["shop", "mail"]))}),
                applications=draw(st.dictionaries(PARTS, JUDGEMENTS, max_size=3)),
                meant=draw(st.booleans() | st.just(value=True)),
                being_restored=draw(st.booleans()),
                restore_stale=draw(st.booleans()),
            )
        )
    return drawn


def old(number: int, applications: dict[frozenset[str], Judgement | None]) -> Candidate:
    """Return a whole capture that began so many hours after the first, and that age alone would let go."""
    started = NOW - timedelta(days=99) + timedelta(hours=number)
    ref = CaptureRef(maker=Maker.COMMAND, name="job", started=f"{started:%Y%m%dT%H%M%SZ}")
    return Candidate(ref=ref, started=started, written=started, sealed=True, applications=applications)


RULES = st.builds(
    Rules, older_than=st.integers(0, 250).map(lambda days: timedelta(days=days)), keep_last=st.integers(0, 5)
)


def left(captures: Sequence[Candidate], rules: Rules) -> list[Candidate]:
    verdicts = decide(captures, rules, now=NOW)
    return [each for each in captures if not verdicts[each.ref].removable]


def holds(each: Candidate, parts: frozenset[str], *judgements: Judgement | None) -> bool:
    """Whether a capture that can be restored holds all of an application, VMs included, with one of these verdicts."""
    held = any(parts <= others and judged in judgements for others, judged in each.applications.items())
    return each.usable and held


BESIDE = {
    Judgement.RESTORABLE: (Judgement.RESTORABLE,),
    Judgement.WITH_WARNINGS: (Judgement.RESTORABLE, Judgement.WITH_WARNINGS),
    None: (Judgement.RESTORABLE, None),
    Judgement.NOT_RESTORABLE: (*Judgement, None),
}
"""The verdicts that are known to be no worse than each, itself among them."""


SHORT = Rules(older_than=timedelta(days=1), keep_last=0)


@given(st.lists(st.dictionaries(PARTS, JUDGEMENTS, min_size=1, max_size=2), min_size=2, max_size=4))
def test_every_application_stays_whole_in_a_capture_no_older_and_judged_no_worse(
    history: Sequence[dict[frozenset[str], Judgement | None]],
) -> None:
    captures = [old(number, applications) for number, applications in enumerate(history)]
    kept = left(captures, SHORT)
    for each in captures:
        for parts, judgement in each.applications.items():
            as_good = [other for other in kept if holds(other, parts, *BESIDE[judgement])]
            assert any(other.started >= each.started for other in as_good)


@given(candidates(), RULES)
def test_the_last_capture_of_each_verdict_or_a_better_one_stays_whatever_the_rules(
    captures: Sequence[Candidate], rules: Rules
) -> None:
    kept = left(captures, rules)
    for each in captures:
        for parts, judgement in each.applications.items() if each.usable else ():
            same = [other for other in kept if other.origin == each.origin]
            assert any(holds(other, parts, *BESIDE[judgement]) for other in same)


@given(candidates(), RULES)
def test_a_second_run_removes_nothing_more(captures: Sequence[Candidate], rules: Rules) -> None:
    kept = left(captures, rules)
    assert left(kept, rules) == kept


@given(candidates(), RULES, st.integers(1, 3))
def test_who_keeps_more_loses_no_more(captures: Sequence[Candidate], rules: Rules, more: int) -> None:
    kept = {each.ref for each in left(captures, rules)}
    assert kept <= {each.ref for each in left(captures, replace(rules, keep_last=rules.keep_last + more))}


@given(candidates(), RULES)
def test_what_is_young_restored_or_not_meant_stays(captures: Sequence[Candidate], rules: Rules) -> None:
    kept = {each.ref for each in left(captures, rules)}
    day_ago = NOW - timedelta(days=1)
    for each in captures:
        if (
            each.written > day_ago
            or each.being_restored
            or not each.meant
            or (each.restore_stale and each.sealed)
            or (each.sealed and not (each.known and each.whole))
        ):
            assert each.ref in kept


@given(candidates(), RULES)
def test_as_many_of_each_series_stay_as_asked_for(captures: Sequence[Candidate], rules: Rules) -> None:
    kept = left(captures, rules)
    for series in {each.series for each in captures}:
        whole = [each for each in captures if each.series == series and each.usable]
        assert sum(each in kept for each in whole) >= min(rules.keep_last, len(whole))


@given(candidates())
def test_an_unsealed_leftover_goes_after_a_day(captures: Sequence[Candidate]) -> None:
    verdicts = decide(captures, Rules(older_than=timedelta(days=365), keep_last=5), now=NOW)
    for each in captures:
        if not each.sealed and each.meant and not each.being_restored:
            recent = NOW - each.written < timedelta(days=1)
            assert verdicts[each.ref] is (Verdict.RECENT if recent else Verdict.UNFINISHED)
