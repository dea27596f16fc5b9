"""Whatever captures and VMs there are: none that is newer than its VMs is preferred, none that lacks objects unsaid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import m, vm
from tests.unit.captures.matching.builders import capture
from velero_vmservice.archive.facts import VmFacts
from velero_vmservice.captures.matching.candidate import Candidate
from velero_vmservice.captures.matching.evidence import Fit
from velero_vmservice.captures.matching.ranking import best, by_restore_point, by_time, by_vms
from velero_vmservice.captures.matching.shortfall import fewer, lacks_of
from velero_vmservice.velero.runs import CaptureRef, Maker
from velero_vmservice.vmoperator.marks import BACKUP_VERSION_ANNOTATION
from velero_vmservice.vmoperator.virtual_machine import ObservedVm, read_vm

if TYPE_CHECKING:
    from random import Random

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ("web-1", "web-2", "db")
VERSIONS = st.sampled_from(["", "unreadable", *map(str, range(10, 16))])


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """Draw captures of several VMs, each begun at a time of its own."""
    minutes = draw(st.lists(st.integers(0, 50), unique=True, max_size=6))
    return [
        Candidate(
            ref=CaptureRef(maker=Maker.COMMAND, name=f"c{minute}", started=f"{minute}"),
            started=EPOCH + timedelta(minutes=minute),
            restore_point=draw(st.sampled_from(["", "4711", "4712"])),
            vms={
                ("shop", name): VmFacts(
                    name=name,
                    backup_version=draw(VERSIONS),
                    instance_uuid=draw(st.sampled_from(["", f"instance-of-{name}", "another"])),
                )
                for name in draw(st.sets(st.sampled_from(NAMES)))
            },
        )
        for minute in minutes
    ]


@st.composite
def registered(draw: st.DrawFn) -> dict[tuple[str, str], ObservedVm]:
    """Draw the VMs as they are registered."""
    live = {}
    for name in draw(st.sets(st.sampled_from(NAMES))):
        version = draw(VERSIONS)
        meta = {"annotations": {BACKUP_VERSION_ANNOTATION: version}} if version else {}
        live["shop", name] = read_vm(m(vm(name, meta=meta, status={"biosUUID": ""})))
    return live


def is_newer(candidate: Candidate, live: dict[tuple[str, str], ObservedVm]) -> bool:
    """Say, without the code under test, whether a capture has a higher version of a VM than the VM itself."""
    return any(
        name in live
        and facts.instance_uuid in ("", live[name].instance_uuid)
        and facts.backup_version.isdecimal()
        and live[name].backup_version.isdecimal()
        and int(facts.backup_version) > int(live[name].backup_version)
        for name, facts in candidate.vms.items()
    )


@given(candidates(), registered())
def test_a_capture_newer_than_its_vms_is_never_preferred(
    captures: list[Candidate], live: dict[tuple[str, str], ObservedVm]
) -> None:
    matches = by_vms(captures, live, mapping={})
    chosen = best(matches)
    assert chosen is None or not is_newer(chosen.candidate, live)
    newer = [is_newer(match.candidate, live) for match in matches if match.fit is not Fit.UNRELATED]
    assert newer == sorted(newer)
    with_newer = best(matches, allow_newer=True)
    assert chosen is None or with_newer == chosen


@given(candidates(), registered())
def test_of_older_captures_the_newest_is_the_best(
    captures: list[Candidate], live: dict[tuple[str, str], ObservedVm]
) -> None:
    older = [match.candidate.started for match in by_vms(captures, live, mapping={}) if match.fit is Fit.OLDER]
    assert older == sorted(older, reverse=True)


@given(candidates(), registered(), st.randoms())
def test_the_ranking_does_not_depend_on_the_order_of_the_captures(
    captures: list[Candidate], live: dict[tuple[str, str], ObservedVm], random: Random
) -> None:
    shuffled = list(captures)
    random.shuffle(shuffled)
    assert by_vms(captures, live, mapping={}) == by_vms(shuffled, live, mapping={})


@st.composite
def histories(draw: st.DrawFn) -> list[Candidate]:
    """Draw captures of one namespace, one a minute, whose VMs and services come, go, and are registered anew."""
    captures = []
    for minute in range(draw(st.integers(1, 6))):
        uids = {name: draw(st.sampled_from(["1", "2"])) for name in draw(st.sets(st.sampled_from(NAMES)))}
        services = {
            name: tuple(draw(st.sets(st.sampled_from(NAMES), min_size=1)))
            for name in draw(st.sets(st.sampled_from(["front", "back"])))
        }
        versions = {name: draw(VERSIONS) for name in uids}
        captures.append(capture(minute, uids, services, versions=versions))
    return captures


@given(histories(), registered())
def test_a_capture_with_fewer_objects_of_the_same_vms_is_never_chosen_silently(
    captures: list[Candidate], live: dict[tuple[str, str], ObservedVm]
) -> None:
    chosen = best(by_vms(captures, live, mapping={}))
    newest = captures[-1]
    lacks = {chosen.candidate.ref: chosen.fewer} if chosen else {}
    lacks[newest.ref] = fewer(lacks_of(captures)[newest.ref])
    for taken in [newest, *([chosen.candidate] if chosen else [])]:
        named = {lack.ref for lack in lacks[taken.ref]}
        for earlier in captures:
            of_its_vms = {
                ref
                for ref, application in earlier.objects.items()
                if any(("shop", name) in taken.vms for name in application.vms)
            }
            assert earlier.started >= taken.started or of_its_vms - taken.objects.keys() <= named


@given(histories(), registered())
def test_a_capture_that_may_be_of_a_recovery_is_chosen_only_where_fewer_objects_are_allowed(
    captures: list[Candidate], live: dict[tuple[str, str], ObservedVm]
) -> None:
    matches = by_vms(captures, live, mapping={})
    chosen = best(matches)
    assert chosen is None or not chosen.recovering
    allowed = best(matches, allow_fewer=True)
    assert chosen is None or allowed == chosen


@given(candidates(), st.integers(0, 50))
def test_nothing_later_than_a_time_is_preferred(captures: list[Candidate], minute: int) -> None:
    moment = EPOCH + timedelta(minutes=minute)
    chosen = best(by_time(captures, moment))
    fitting = [capture.started for capture in captures if capture.started <= moment]
    assert (chosen.candidate.started if chosen else None) == max(fitting, default=None)


@given(candidates())
def test_a_restore_point_that_no_capture_names_decides_nothing(captures: list[Candidate]) -> None:
    named = [capture for capture in captures if capture.restore_point == "4711"]
    chosen = best(by_restore_point(captures, "4711"))
    assert (chosen.candidate.restore_point if chosen else "") == ("4711" if named else "")
