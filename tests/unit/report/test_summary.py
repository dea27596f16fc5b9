from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests import sample_report
from tests.sample_report import ENDED, GROUP, POLICY, RUN, SERVICE, at, machine, result
from velero_vmservice import documents
from velero_vmservice.report.model import Deviation, EarlierEnd, Report, Result
from velero_vmservice.report.summary import compose, continued, outcome

if TYPE_CHECKING:
    from collections.abc import Sequence


_CANCELLED = result(
    SERVICE,
    "web",
    "cancelled",
    "out of time",
    timeline=((at("20:00:10"), "waiting: web-1"), (at("21:00:00"), "cancelled: out of time")),
    machines=(machine("web-1", registered=False, timeline=((at("20:00:10"), "not registered yet"),)),),
)
_VERIFIED = result(
    SERVICE,
    "web",
    "verified",
    "as expected",
    started=at("22:00:00"),
    timeline=((at("22:00:10"), "replayed: created"), (at("22:01:00"), "verified: as expected")),
    machines=(machine("web-1", timeline=((at("22:00:05"), "ready"),)),),
)


def _report(*results: Result) -> Report:
    return compose(RUN, results, policy=POLICY, ended=ENDED)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        pytest.param((), "empty", id="nothing of ours was in the backup"),
        pytest.param(("verified", "verified"), "verified", id="all is as expected"),
        pytest.param(("verified", "incomplete", "retained"), "incomplete", id="a group lacks a member"),
        pytest.param(("incomplete", "failed"), "mixed", id="a group is there without the member that failed"),
        pytest.param(("verified", "retained"), "retained", id="something that differs was left alone"),
        pytest.param(("failed", "cancelled"), "failed", id="nothing came back, and not only for lack of time"),
        pytest.param(("cancelled",), "cancelled", id="time ran out for all"),
        pytest.param(("verified", "failed"), "mixed", id="some came back"),
        pytest.param(("retained", "cancelled"), "mixed", id="some were left alone, time ran out for others"),
        pytest.param(("failed", "waiting"), "unfinished", id="a failure does not end the others"),
        pytest.param(("verified", "replayed"), "unfinished", id="written is not verified"),
    ],
)
def test_the_outcome_sums_up_the_stages(stages: Sequence[str], expected: str) -> None:
    assert outcome(result(GROUP, f"g{at}", stage, "") for at, stage in enumerate(stages)) == expected


def test_a_restore_that_needs_nothing_says_so() -> None:
    on = machine("web-1", power_after="PoweredOn")
    assert _report(result(GROUP, "web", "verified", "", machines=(on,))).next_steps[0].startswith("Nothing to do")


def test_a_vm_that_was_off_at_backup_asks_for_nothing() -> None:
    off = machine("web-1", power_before="PoweredOff", power_after="PoweredOff")
    assert _report(result(GROUP, "web", "verified", "", machines=(off,))).next_steps[0].startswith("Nothing to do")


def test_a_vm_that_several_objects_need_is_listed_once_as_last_seen() -> None:
    early = machine(
        "web-1",
        registered=False,
        waiting_for="not registered yet",
        timeline=((at("20:00:00"), "not registered yet"),),
        deviations=(Deviation(attribute="zone", expected="removed", found="a"),),
    )
    late = machine(
        "web-1",
        group_name="web",
        timeline=((at("20:30:00"), "ready"),),
        deviations=(Deviation(attribute="label tier", expected="web", found="wbe"),),
    )
    report = _report(
        result(SERVICE, "web", "verified", "", machines=(late,), ended=at("20:31:00")),
        result(GROUP, "web", "failed", "", machines=(early,), ended=at("20:01:00")),
    )
    (vm,) = report.machines
    assert (vm.registered, vm.waiting_for, vm.group_name) == (True, "", "web")
    assert [text for _, text in vm.timeline] == ["not registered yet", "ready"]
    assert [deviation.attribute for deviation in vm.deviations] == ["label tier", "zone"]
    assert all(not item.machines for item in report.objects)


def test_vms_of_one_name_in_two_namespaces_are_two() -> None:
    two = (machine("web-1"), machine("web-1", namespace="other"))
    assert len(_report(result(GROUP, "web", "verified", "", machines=two)).machines) == 2


def test_warnings_come_worst_first_and_once() -> None:
    warnings = sample_report.sample().warnings
    marks = ("retained:", "restored from", "label topology")
    positions = [next(at for at, line in enumerate(warnings) if mark in line) for mark in marks]
    assert positions == sorted(positions)
    assert len(warnings) == len(set(warnings))


def test_a_deviation_of_many_vms_is_one_warning() -> None:
    odd = (Deviation(attribute="zone", expected="removed", found="a"),)
    many = tuple(machine(f"web-{at}", deviations=odd) for at in range(40))
    (warning,) = _report(result(GROUP, "web", "verified", "", machines=many)).warnings
    assert warning.startswith("zone is not as expected: ")
    assert warning.endswith("and 32 more")


def test_groups_come_before_services_and_parents_before_children() -> None:
    objects = sample_report.sample().objects
    assert [item.name for item in objects if item.namespace == "shop"] == [
        *("shop", "shop-db", "shop-web", "shop-cache"),
        *("shop-admin", "shop-cache", "shop-web"),
    ]


def test_groups_that_are_each_others_parents_are_listed_all_the_same() -> None:
    cycle = (result(GROUP, "a", "failed", "", parent="b"), result(GROUP, "b", "failed", "", parent="a"))
    assert {item.name for item in _report(*cycle).objects} == {"a", "b"}


def test_the_order_of_the_results_does_not_matter() -> None:
    results = sample_report.results()
    assert documents.canonical(_report(*results)) == documents.canonical(_report(*reversed(results)))


def test_the_report_is_read_back_as_it_was_written() -> None:
    report = sample_report.sample()
    assert documents.parse(Report, documents.canonical(report), key="report.json") == report


def test_a_result_of_an_earlier_release_is_read() -> None:
    names = b'"restore":"r","backup":"b","kind":"K","namespace":"n","name":"o"'
    body = b'{"schema_version":1,"stage":"failed","reason":"",%b}' % names
    assert documents.parse(Result, body, key="k").machines == ()


def test_a_restore_without_a_start_time_is_reported() -> None:
    run = dataclasses.replace(RUN, started="")
    report = compose(run, (), policy={}, ended="")
    assert (report.started, report.outcome, len(report.next_steps)) == ("", "empty", 1)


def test_a_resumed_run_tells_when_the_restore_began_and_when_it_was_resumed() -> None:
    run = dataclasses.replace(RUN, started="20261123T080000Z", began=RUN.started, resumed=True)
    report = compose(run, (), policy={}, ended="")
    assert (report.started, report.resumed) == ("2026-11-22T20:00:00+00:00", "2026-11-23T08:00:00+00:00")


def test_a_restore_that_velero_does_not_have_has_no_uid() -> None:
    run = dataclasses.replace(RUN, uid="20261124T100000Z", of_velero=False)
    assert compose(run, (), policy={}, ended="").restore_uid == ""


def test_an_object_is_as_the_later_run_left_it_with_the_course_of_both() -> None:
    (merged,) = continued([_CANCELLED], [_VERIFIED])
    assert (merged.stage, merged.reason, merged.started) == ("verified", "as expected", _CANCELLED.started)
    assert merged.earlier == EarlierEnd(stage="cancelled", reason="out of time", ended=at("21:00:00"))
    assert [text.partition(":")[0] for _, text in merged.timeline] == ["waiting", "cancelled", "replayed", "verified"]
    (vm,) = merged.machines
    assert (vm.registered, [text for _, text in vm.timeline]) == (True, ["not registered yet", "ready"])


def test_an_object_that_was_resumed_twice_has_the_ends_and_the_course_of_every_run() -> None:
    last = result(
        SERVICE,
        "web",
        "retained",
        "exists and differs",
        timeline=((at("23:00:00"), "retained: exists and differs"),),
        machines=(machine("web-1", timeline=((at("23:00:00"), "ready"),)),),
    )
    (merged,) = continued([_CANCELLED], [_VERIFIED], [last])
    assert (merged.stage, merged.reason, merged.started) == ("retained", "exists and differs", _CANCELLED.started)
    assert [(end.stage, end.ended) for end in merged.earlier_ends] == [
        ("cancelled", at("21:00:00")),
        ("verified", at("22:01:00")),
    ]
    assert merged.earlier == merged.earlier_ends[-1]
    stages = [text.partition(":")[0] for _, text in merged.timeline]
    assert stages == ["waiting", "cancelled", "replayed", "verified", "retained"]
    assert [at for at, _ in merged.machines[0].timeline] == [at("20:00:10"), at("22:00:05"), at("23:00:00")]


def test_an_object_that_a_run_left_out_goes_on_from_the_run_before() -> None:
    other = result(GROUP, "app", "verified", "as expected", ended=ENDED)
    (merged, _) = continued([_CANCELLED], [other], [_VERIFIED])
    assert [end.stage for end in merged.earlier_ends] == ["cancelled"]


def test_an_object_that_the_later_run_left_out_is_as_it_was() -> None:
    kept = result(GROUP, "app", "verified", "as expected", ended=ENDED)
    assert continued([_CANCELLED, kept], [_VERIFIED])[1:] == [kept]


def test_continuing_twice_changes_nothing() -> None:
    once = continued([_CANCELLED], [_VERIFIED])
    assert continued([_CANCELLED], once) == once


def test_the_times_at_which_a_vm_was_ready_are_those_of_every_run() -> None:
    def run(time: str, *ready_at: str) -> Result:
        vm = machine("web-1", timeline=((time, "changed"),), ready_at=ready_at)
        return result(SERVICE, "web", "verified", "", machines=(vm,))

    (merged,) = continued([run(at("20:00:00"), at("20:00:00"))], [run(at("22:00:00"), at("22:00:00"))])
    assert merged.machines[0].ready_at == (at("20:00:00"), at("22:00:00"))
