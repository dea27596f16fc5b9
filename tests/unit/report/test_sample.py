"""The sample reports are what people judge the page by: what they say of one thing in two places has to agree."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests import sample_report
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP
from velero_vmservice.report.stage import Stage
from velero_vmservice.report.summary import outcome
from velero_vmservice.vmoperator.backup_version import compare_versions

if TYPE_CHECKING:
    from velero_vmservice.report.model import Report, Result, VmResult

pytestmark = pytest.mark.parametrize("report", [sample_report.sample(), sample_report.large()], ids=["sample", "large"])


def _names(one: Result) -> set[str]:
    return {*one.selected, *(member.name for member in one.members if member.kind == "VirtualMachine")}


def _needed(report: Report, one: Result) -> list[VmResult]:
    names = _names(one)
    return [vm for vm in report.machines if vm.namespace == one.namespace and vm.name in names]


def test_times_follow_each_other_within_the_restore(report: Report) -> None:
    for one in (*report.objects, *report.machines):
        times = [report.started, *(time for time, _ in one.timeline), report.ended]
        assert all(before <= after for before, after in itertools.pairwise(times)), one.name
    assert report.backup_started < report.started
    assert report.ended == max(one.ended for one in report.objects)


def test_an_object_ends_in_its_stage_when_its_timeline_does(report: Report) -> None:
    for one in report.objects:
        time, words = one.timeline[-1]
        assert (one.ended, one.stage) == (time, words.partition(":")[0]), one.label
        assert one.started <= one.timeline[0][0]
        assert one.replayed == any(words.startswith("replayed:") for _, words in one.timeline)
        assert one.replayed == (one.action == "create")


def test_the_outcome_and_the_steps_are_of_the_objects_that_are_listed(report: Report) -> None:
    assert report.outcome == outcome(report.objects)
    keys = {one.key for one in (*report.objects, *report.machines)}
    assert {key for step in report.steps for key in step.about} <= keys
    assert {key for one in report.objects for key in one.held_by} <= keys
    assert [step.text for step in report.steps] == list(report.next_steps)


def test_nothing_is_done_with_an_object_before_its_vms_are_ready(report: Report) -> None:
    for one in report.objects:
        needed = _needed(report, one)
        assert len(needed) == len(_names(one))
        ready = [time for machine in needed for time, words in machine.timeline if words == "ready"]
        if one.action == "wait":
            assert len(ready) < len(needed), one.label
        else:
            done = next(time for time, words in one.timeline if not words.startswith("waiting"))
            assert len(ready) == len(needed), one.label
            assert all(time <= done for time in ready), one.label


def test_members_are_linked_where_they_and_their_group_are_there(report: Report) -> None:
    groups = {one.key: one for one in report.objects if one.kind == VIRTUAL_MACHINE_GROUP.name}
    machines = {one.key: one for one in report.machines}
    for group in groups.values():
        for member in (one for one in group.members if one.linked):
            key = f"{member.kind}/{group.namespace}/{member.name}"
            assert group.stage not in (Stage.FAILED, Stage.CANCELLED), group.label
            if key in machines:
                assert (machines[key].registered, machines[key].group_name) == (True, group.name)
            else:
                assert (groups[key].parent, groups[key].stage in ("failed", "cancelled")) == (group.name, False)
        broken = [one for one in groups.values() if one.parent == group.name and Stage(one.stage).broken]
        assert not broken or group.stage == "incomplete", group.label


def test_a_service_is_served_by_vms_that_run_and_are_selected(report: Report) -> None:
    for one in report.objects:
        running = {machine.name for machine in _needed(report, one) if machine.power_after == "PoweredOn"}
        assert set(one.endpoints) <= running & set(one.selected), one.label


def test_a_vm_is_told_of_as_it_was_found(report: Report) -> None:
    for one in report.machines:
        after = (one.restore_type, one.backup_version_found, one.power_after, *one.addresses_after)
        assert one.registered or not any(after), one.name
        assert one.backup_version == compare_versions(one.backup_version_found, one.backup_version_captured)
        assert bool(one.waiting_for) == (one.timeline[-1][1] != "ready"), one.name
        assert one.power_after != "PoweredOff" or not one.addresses_after


def test_namespaces_are_those_of_the_mapping(report: Report) -> None:
    for one in report.objects:
        if one.source_namespace:
            assert sample_report.RUN.target(one.source_namespace) == one.namespace
        assert f"/{one.source_namespace or one.namespace}/{one.name}.json" in one.capture
