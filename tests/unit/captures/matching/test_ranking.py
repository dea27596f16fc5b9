from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.builders import m, vm
from tests.unit.captures.matching import builders
from tests.unit.captures.matching.builders import SHOP
from velero_vmservice.archive.facts import VmFacts
from velero_vmservice.captures.matching.candidate import Candidate
from velero_vmservice.captures.matching.evidence import Fit, Presence, Uuids, counted
from velero_vmservice.captures.matching.ranking import Timing, best, by_restore_point, by_time, by_vms, passed_over
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


def shop(**versions: str) -> dict[tuple[str, str], ObservedVm]:
    """Return VMs as they are registered, each at a backup version."""
    return {
        (SHOP, name): read_vm(m(vm(name, meta={"annotations": {BACKUP_VERSION_ANNOTATION: version}})))
        for name, version in versions.items()
    }


THREE = {"a": "1", "b": "1", "c": "1"}


@pytest.mark.parametrize(
    ("registered", "fit", "evidence"),
    [
        ({"a": "10", "b": "10", "c": "10"}, Fit.EXACT, "3 as captured"),
        ({"a": "10", "b": "10"}, Fit.PARTIAL, "2 as captured, 1 missing"),
        ({"a": "10"}, Fit.UNKNOWN, "2 missing, 1 as captured"),
        ({"a": "10", "b": "11"}, Fit.PARTIAL, "1 as captured, 1 recorded since, 1 missing"),
        ({"a": "10", "b": "9"}, Fit.NEWER, "1 as captured, 1 from an older restore point, 1 missing"),
        ({"a": "10", "b": "10", "c": "10", "d": "10"}, Fit.OLDER, "3 as captured, 1 not in the capture"),
    ],
)
def test_every_vm_of_the_capture_and_of_its_namespaces_counts(
    registered: dict[str, str], fit: Fit, evidence: str
) -> None:
    taken = builders.capture(1, THREE, versions=dict.fromkeys(THREE, "10"))
    (match,) = by_vms([taken], shop(**registered), mapping={})
    assert (match.fit, counted(match.vms)) == (fit, evidence)


@pytest.mark.parametrize(
    ("foreign", "fit"), [(("a",), Fit.PARTIAL), (("a", "b"), Fit.UNRELATED), (("a", "b", "c"), Fit.UNRELATED)]
)
def test_a_capture_most_of_whose_vms_are_others_is_not_exact(foreign: tuple[str, ...], fit: Fit) -> None:
    versions = dict.fromkeys(THREE, "10")
    taken = builders.capture(1, THREE, versions=versions, instances=dict.fromkeys(foreign, "elsewhere"))
    (match,) = by_vms([taken], shop(**versions), mapping={})
    assert (match.fit, match.compared) == (fit, 3 - len(foreign))


def test_a_vm_of_the_namespace_that_a_restore_moves_into_says_nothing() -> None:
    taken = builders.capture(1, {"a": "1"}, versions={"a": "10"})
    live = {("dr", name): observed for (_, name), observed in shop(a="10", other="10").items()}
    (match,) = by_vms([taken], live, mapping={SHOP: "dr"})
    assert match.fit is Fit.EXACT


def test_a_recent_capture_with_a_missing_vm_is_preferred_to_an_old_one_of_fewer_vms() -> None:
    old = builders.capture(1, {"a": "1"}, versions={"a": "5"})
    recent = builders.capture(2, {"a": "1", "b": "1"}, versions={"a": "10", "b": "10"})
    ranked = by_vms([old, recent], shop(a="10"), mapping={})
    assert [(match.candidate.ref.name, match.fit) for match in ranked] == [("c2", Fit.PARTIAL), ("c1", Fit.OLDER)]


def test_a_capture_of_a_recovery_comes_after_one_that_lacks_nothing_whatever_decides() -> None:
    whole = builders.capture(1, {"a": "old"}, {"front": ("a",)}, versions={"a": "10"})
    during = builders.capture(2, {"a": "new"}, versions={"a": "20"})
    for ranked in (by_vms([whole, during], shop(a="20"), mapping={}), by_time([whole, during], during.started)):
        assert [match.candidate.ref.name for match in ranked] == ["c1", "c2"]
        chosen, allowed = best(ranked[1:]), best(ranked[1:], allow_fewer=True)
        assert (chosen, allowed) == (None, ranked[1])
        assert [lack.ref.name for lack in ranked[1].fewer] == ["front"]


@pytest.mark.parametrize(
    ("before", "after", "fits"),
    [
        ("10", "10", [("c1", Fit.EXACT, Timing.BEFORE), ("c2", Fit.EXACT, Timing.UNCHANGED)]),
        ("10", "11", [("c1", Fit.OLDER, Timing.BEFORE), ("c2", Fit.NEWER, Timing.CHANGED)]),
        ("", "", [("c1", Fit.OLDER, Timing.BEFORE), ("c2", Fit.UNKNOWN, Timing.UNSURE)]),
    ],
)
def test_the_capture_before_a_job_is_preferred_to_the_one_after_it(
    before: str, after: str, fits: list[tuple[str, Fit, Timing]]
) -> None:
    captures = [
        builders.capture(1, {"a": "1"}, versions={"a": before}, job="nightly"),
        builders.capture(2, {"a": "1"}, versions={"a": after}, job="nightly", restore_point="4711"),
    ]
    ranked = by_restore_point(captures, "4711")
    assert [(match.candidate.ref.name, match.fit, match.timing) for match in ranked] == fits


def test_the_capture_before_another_run_of_the_job_is_not_of_the_restore_point() -> None:
    captures = [
        builders.capture(minute, {"a": "1"}, versions={"a": "10"}, job="nightly", restore_point=point)
        for minute, point in ((1, ""), (2, "4710"), (3, "4711"))
    ]
    ranked = by_restore_point(captures, "4711")
    assert [(match.candidate.ref.name, match.fit, match.timing) for match in ranked] == [
        ("c3", Fit.EXACT, Timing.UNSURE),
        ("c2", Fit.OLDER, None),
        ("c1", Fit.OLDER, None),
    ]


def test_a_capture_between_those_of_a_job_is_newer_than_its_restore_point() -> None:
    captures = [
        builders.capture(1, {"a": "1"}, versions={"a": "10"}, job="nightly"),
        builders.capture(2, {"a": "1"}, versions={"a": "11"}, job="by hand"),
        builders.capture(3, {"a": "1"}, versions={"a": "11"}, job="nightly", restore_point="4711"),
    ]
    chosen = best(by_restore_point(captures, "4711"))
    assert chosen is not None
    assert chosen.candidate.ref.name == "c1"


def test_what_is_not_asked_for_does_not_change_the_order() -> None:
    services = {"front": ("a",), "back": ("b",)}
    whole = builders.capture(1, {"a": "1", "b": "1"}, services, versions={"a": "10", "b": "10"})
    during = builders.capture(2, {"a": "2", "b": "2"}, {"front": ("a",)}, versions={"a": "20", "b": "20"})
    for concerned, first in (("front", "c2"), ("back", "c1")):
        ranked = by_vms(
            [whole, during],
            shop(a="20", b="20"),
            mapping={},
            concerns=lambda lack, name=concerned: lack.ref.name == name,
        )
        assert ranked[0].candidate.ref.name == first
        assert (best(ranked[1:]) is None) == (concerned == "back")


def test_what_was_away_with_its_vms_is_waited_for_once_they_are_registered() -> None:
    whole = builders.capture(1, {"a": "1", "b": "1"}, {"front": ("a",), "back": ("b",)})
    alone = [builders.capture(minute, {"a": "1"}, {"front": ("a",)}, versions={"a": "10"}) for minute in (2, 3)]
    (_, before), (*_, after) = (
        [match.recovering for match in by_vms([whole, *alone], live, mapping={}) if match.candidate.ref.name != "c1"]
        for live in (shop(a="10"), shop(a="10", b="10"))
    )
    assert (before, after) == (False, True)


def test_a_newer_capture_that_fits_as_well_is_passed_over() -> None:
    whole = builders.capture(1, {"a": "1"}, {"front": ("a",)}, versions={"a": "10"})
    newer = builders.capture(2, {"a": "2"}, versions={"a": "10"})
    newest = builders.capture(3, {"a": "2"}, versions={"a": "11"})
    ranked = by_vms([whole, newer, newest], shop(a="10"), mapping={})
    assert [match.candidate.ref.name for match in passed_over(ranked, ranked[0])] == ["c2"]
