from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.unit.captures.matching.builders import SHOP, capture, service
from velero_vmservice.captures.matching.shortfall import fewer, lacks_of, unreached
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef

if TYPE_CHECKING:
    from velero_vmservice.captures.matching.candidate import Candidate

FRONT, BACK = service("front"), service("back")
BOTH = {"front": ("web",), "back": ("db",)}
OLD, NEW = {"web": "1", "db": "1"}, {"web": "2", "db": "2"}


def lacking(*captures: Candidate) -> list[tuple[ObjectRef, str, bool]]:
    """Return what the last capture lacks: what, which capture holds it, and whether VMs were registered anew."""
    newest = max(captures, key=lambda candidate: candidate.started)
    return [(lack.ref, lack.holder.name, lack.recovering) for lack in lacks_of(captures)[newest.ref]]


def test_a_capture_of_vms_that_were_registered_anew_lacks_what_is_not_back_yet() -> None:
    assert lacking(capture(1, OLD, BOTH), capture(2, NEW)) == [(BACK, "c1", True), (FRONT, "c1", True)]


def test_a_later_capture_of_the_same_recovery_lacks_it_too() -> None:
    assert lacking(capture(1, OLD, BOTH), capture(2, NEW), capture(3, NEW, {"back": ("db",)})) == [(FRONT, "c1", True)]


def test_an_object_that_was_removed_beside_its_vms_is_told_from_one_that_was_lost() -> None:
    assert lacking(capture(1, OLD, BOTH), capture(2, OLD, {"back": ("db",)})) == [(FRONT, "c1", False)]


def test_what_was_removed_before_a_loss_is_not_what_the_recovery_lacks() -> None:
    rest = {"back": ("db",)}
    assert lacking(capture(1, OLD, BOTH), capture(2, OLD, rest), capture(3, NEW, rest)) == [(FRONT, "c1", False)]


def test_what_comes_back_is_held_again() -> None:
    captures = capture(1, OLD, BOTH), capture(2, NEW), capture(3, NEW, BOTH), capture(4, NEW, {"back": ("db",)})
    assert lacking(*captures) == [(FRONT, "c3", False)]


def test_an_application_whose_vms_alone_were_lost_is_lacking_with_its_vms() -> None:
    lost = capture(2, {"web": "1"}, {"front": ("web",)})
    assert [ref for ref, _, _ in lacking(capture(1, OLD, BOTH), lost)] == [
        ObjectRef(VIRTUAL_MACHINE, SHOP, "db"),
        BACK,
    ]
    back = capture(3, {"web": "1", "db": "2"}, {"front": ("web",)})
    assert lacking(capture(1, OLD, BOTH), lost, back) == [(BACK, "c1", True)]


def test_uids_that_are_not_known_prove_no_removal() -> None:
    unknown = {"web": "", "db": ""}
    assert lacking(capture(1, unknown, BOTH), capture(2, unknown)) == [(BACK, "c1", True), (FRONT, "c1", True)]


def test_a_capture_of_other_vms_lacks_nothing_that_it_leaves_out() -> None:
    web = ObjectRef(VIRTUAL_MACHINE, SHOP, "web")
    selected = capture(2, {"db": "2"}, {"back": ("db",)}, left_out=(FRONT, web))
    assert lacking(capture(1, OLD, BOTH), selected) == []


def test_a_capture_that_leaves_out_a_service_of_its_vms_lacks_it() -> None:
    assert lacking(capture(1, OLD, BOTH), capture(2, OLD, {"back": ("db",)}, left_out=(FRONT,))) == [
        (FRONT, "c1", False)
    ]


def test_a_vm_that_was_removed_speaks_against_no_restore() -> None:
    scaled = capture(2, {"db": "1"}, BOTH)
    again = capture(2, {"db": "2"}, BOTH)
    first = capture(1, OLD, BOTH)
    assert [len(fewer(lacks_of([first, later])[later.ref])) for later in (scaled, again)] == [0, 1]


FRONT_AND_ADMIN = {"front": ("web",), "admin": ("web",)}
FRONT_ALONE = {"front": ("web",)}
ADMIN = service("admin")


def recovering_each(*captures: Candidate) -> list[list[bool]]:
    """Return of each capture, in order of time, whether what it lacks may come back with a recovery."""
    lacks = lacks_of(captures)
    return [[lack.recovering for lack in lacks[each.ref]] for each in captures]


def test_what_two_captures_of_recovered_vms_lack_was_removed_on_purpose() -> None:
    later = [capture(minute, {"web": "2"}, FRONT_ALONE) for minute in (2, 3, 4)]
    assert recovering_each(capture(1, {"web": "1"}, FRONT_AND_ADMIN), *later) == [[], [False], [False], [False]]


def test_a_single_capture_of_recovered_vms_may_be_of_the_recovery() -> None:
    during, after = capture(2, {"web": "2"}), capture(3, {"web": "2"}, FRONT_ALONE)
    assert recovering_each(capture(1, {"web": "1"}, FRONT_AND_ADMIN), during, after) == [[], [True, True], [True]]


def test_what_comes_back_later_was_away_during_the_recovery() -> None:
    slow = [capture(minute, {"web": "2"}, FRONT_ALONE) for minute in (2, 3, 4)]
    back = capture(5, {"web": "2"}, FRONT_AND_ADMIN)
    assert recovering_each(capture(1, {"web": "1"}, FRONT_AND_ADMIN), *slow, back) == [[], [True], [True], [True], []]


def test_another_recovery_has_to_end_by_itself_unless_the_object_was_removed_before() -> None:
    first = capture(1, {"web": "1"}, FRONT_AND_ADMIN)
    assert recovering_each(first, capture(2, {"web": "2"}, FRONT_ALONE), capture(3, {"web": "3"}, FRONT_ALONE)) == [
        [],
        [True],
        [True],
    ]
    ended = [capture(minute, {"web": "2"}, FRONT_ALONE) for minute in (2, 3)]
    assert recovering_each(first, *ended, capture(4, {"web": "3"})) == [[], [False], [False], [False, True]]


def test_services_of_other_vms_do_not_end_the_recovery_of_an_application() -> None:
    others = [capture(minute, NEW, {"back": ("db",)}) for minute in (2, 3, 4)]
    assert recovering_each(capture(1, OLD, BOTH), *others) == [[], [True], [True], [True]]
    away = [capture(minute, {"db": "2"}, {"back": ("db",)}) for minute in (2, 3, 4)]
    lacks = lacks_of([capture(1, OLD, BOTH), *away])
    assert [lack.recovering for each in away for lack in lacks[each.ref] if lack.ref == FRONT] == [True] * 3


def test_a_service_without_vms_is_waited_for_as_long_as_applications_of_the_namespace_are() -> None:
    before = capture(1, OLD, {**BOTH, "alone": ()})
    assert recovering_each(before, *(capture(minute, NEW, {"back": ("db",)}) for minute in (2, 3))) == [
        [],
        [True, True],
        [True, True],
    ]
    assert recovering_each(before, *(capture(minute, NEW, BOTH) for minute in (2, 3))) == [[], [False], [False]]


def test_an_application_that_others_replaced_is_not_waited_for() -> None:
    blue = [capture(minute, {"blue": "1"}, {"sky": ("blue",)}) for minute in (2, 3)]
    lacks = lacks_of([capture(1, {"web": "1"}, FRONT_ALONE), *blue])
    assert {lack.recovering for each in blue for lack in lacks[each.ref]} == {False}


@pytest.mark.parametrize("uid", ["", "2"])
def test_captures_of_another_cluster_end_no_recovery(uid: str) -> None:
    elsewhere = replace(capture(3, {"web": uid}, FRONT_ALONE), cluster="elsewhere")
    during = capture(2, {"web": uid}, FRONT_ALONE)
    assert recovering_each(capture(1, {"web": "1"}, FRONT_AND_ADMIN), during, elsewhere) == [[], [True], []]


def test_captures_are_read_until_one_of_each_namespace_is_of_other_vms() -> None:
    chosen = capture(100, {"web": "2"})
    stayed = [capture(minute, {"web": "2"}, FRONT_ALONE) for minute in range(50, 99)]
    before = [capture(minute, {"web": "1"}, FRONT_ALONE) for minute in range(20)]
    assert unreached(chosen, stayed) == {SHOP}
    assert unreached(chosen, [*stayed, capture(1, {"web": "1"})]) == {SHOP}, "a capture of nothing tells nothing"
    assert unreached(chosen, [*stayed, before[0]]) == set()
    assert unreached(chosen, before[1:]) == {SHOP}, "removed services may be in some more"
    elsewhere = [replace(each, namespaces={"elsewhere"}) for each in before]
    assert unreached(chosen, [*stayed, *elsewhere[1:]]) == {SHOP}
