from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.captures.matching.builders import SHOP, capture, service
from velero_vmservice.captures.matching.shortfall import fewer, lacks_of
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
