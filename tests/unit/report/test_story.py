from __future__ import annotations

from tests.sample_report import ENDED, GROUP, SERVICE, at, machine, result
from velero_vmservice.report.model import EarlierEnd
from velero_vmservice.report.story import continued

FIRST = result(
    SERVICE,
    "web",
    "cancelled",
    "out of time",
    timeline=((at("20:00:10"), "waiting: web-1"), (at("21:00:00"), "cancelled: out of time")),
    machines=(machine("web-1", registered=False, timeline=((at("20:00:10"), "not registered yet"),)),),
)
LATER = result(
    SERVICE,
    "web",
    "verified",
    "as expected",
    started=at("22:00:00"),
    timeline=((at("22:00:10"), "replayed: created"), (at("22:01:00"), "verified: as expected")),
    machines=(machine("web-1", timeline=((at("22:00:05"), "ready"),)),),
)


def test_an_object_is_as_the_later_run_left_it_with_the_course_of_both() -> None:
    (found,) = continued([FIRST], [LATER])
    assert (found.stage, found.reason, found.started) == ("verified", "as expected", FIRST.started)
    assert found.earlier == EarlierEnd(stage="cancelled", reason="out of time", ended=at("21:00:00"))
    assert [words.partition(":")[0] for _, words in found.timeline] == ["waiting", "cancelled", "replayed", "verified"]
    (vm,) = found.machines
    assert (vm.registered, [words for _, words in vm.timeline]) == (True, ["not registered yet", "ready"])


def test_an_object_that_was_resumed_twice_has_the_ends_and_the_course_of_every_run() -> None:
    last = result(
        SERVICE,
        "web",
        "retained",
        "exists and differs",
        timeline=((at("23:00:00"), "retained: exists and differs"),),
        machines=(machine("web-1", timeline=((at("23:00:00"), "ready"),)),),
    )
    (found,) = continued([FIRST], [LATER], [last])
    assert (found.stage, found.reason, found.started) == ("retained", "exists and differs", FIRST.started)
    assert [(one.stage, one.ended) for one in found.earlier_ends] == [
        ("cancelled", at("21:00:00")),
        ("verified", at("22:01:00")),
    ]
    assert found.earlier == found.earlier_ends[-1]
    stages = [words.partition(":")[0] for _, words in found.timeline]
    assert stages == ["waiting", "cancelled", "replayed", "verified", "retained"]
    assert [at for at, _ in found.machines[0].timeline] == [at("20:00:10"), at("22:00:05"), at("23:00:00")]


def test_what_a_run_in_between_left_out_goes_on_from_the_run_before_it() -> None:
    other = result(GROUP, "app", "verified", "as expected", ended=ENDED)
    (found, _) = continued([FIRST], [other], [LATER])
    assert [one.stage for one in found.earlier_ends] == ["cancelled"]


def test_what_the_later_run_left_out_is_as_it_was() -> None:
    kept = result(GROUP, "app", "verified", "as expected", ended=ENDED)
    assert continued([FIRST, kept], [LATER])[1:] == [kept]


def test_told_twice_it_is_the_same_story() -> None:
    once = continued([FIRST], [LATER])
    assert continued([FIRST], once) == once
