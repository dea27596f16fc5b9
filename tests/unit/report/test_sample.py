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


def _names(item: Result) -> set[str]:
    return {*item.selected, *(member.name for member in item.members if member.kind == "VirtualMachine")}


def _needed(report: Report, item: Result) -> list[VmResult]:
    names = _names(item)
    return [vm for vm in report.machines if vm.namespace == item.namespace and vm.name in names]


def test_times_follow_each_other_within_the_restore(report: Report) -> None:
    for item in (*report.objects, *report.machines):
        times = [report.started, *(time for time, _ in item.timeline), report.ended]
        assert all(before <= after for before, after in itertools.pairwise(times)), item.name
    assert report.backup_started < report.started
    assert report.ended == max(item.ended for item in report.objects)


def test_an_object_ends_in_its_stage_when_its_timeline_does(report: Report) -> None:
    for item in report.objects:
        time, text = item.timeline[-1]
        assert (item.ended, item.stage) == (time, text.partition(":")[0]), item.label
        assert item.started <= item.timeline[0][0]
        assert item.replayed == any(text.startswith("replayed:") for _, text in item.timeline)
        assert item.replayed == (item.action == "create")


def test_the_outcome_and_the_steps_are_of_the_objects_that_are_listed(report: Report) -> None:
    assert report.outcome == outcome(report.objects)
    keys = {item.key for item in (*report.objects, *report.machines)}
    assert {key for step in report.steps for key in step.about} <= keys
    assert {key for item in report.objects for key in item.held_by} <= keys
    assert [step.text for step in report.steps] == list(report.next_steps)


def test_nothing_is_done_with_an_object_before_its_vms_are_ready(report: Report) -> None:
    for item in report.objects:
        needed = _needed(report, item)
        assert len(needed) == len(_names(item))
        ready = [time for vm in needed for time, text in vm.timeline if text == "ready"]
        if item.action == "wait":
            assert len(ready) < len(needed), item.label
        else:
            done = next(time for time, text in item.timeline if not text.startswith("waiting"))
            assert len(ready) == len(needed), item.label
            assert all(time <= done for time in ready), item.label


def test_members_are_linked_where_they_and_their_group_are_there(report: Report) -> None:
    groups = {item.key: item for item in report.objects if item.kind == VIRTUAL_MACHINE_GROUP.name}
    vms = {item.key: item for item in report.machines}
    for group in groups.values():
        for member in (item for item in group.members if item.linked):
            key = f"{member.kind}/{group.namespace}/{member.name}"
            assert group.stage not in (Stage.FAILED, Stage.CANCELLED), group.label
            if key in vms:
                assert (vms[key].registered, vms[key].group_name) == (True, group.name)
            else:
                assert (groups[key].parent, groups[key].stage in ("failed", "cancelled")) == (group.name, False)
        broken = [item for item in groups.values() if item.parent == group.name and Stage(item.stage).broken]
        assert not broken or group.stage == "incomplete", group.label


def test_a_service_is_served_by_vms_that_run_and_are_selected(report: Report) -> None:
    for service in report.objects:
        running = {vm.name for vm in _needed(report, service) if vm.power_after == "PoweredOn"}
        assert set(service.endpoints) <= running & set(service.selected), service.label


def test_a_vm_is_shown_as_it_was_found(report: Report) -> None:
    for vm in report.machines:
        after = (vm.restore_type, vm.backup_version_found, vm.power_after, *vm.addresses_after)
        assert vm.registered or not any(after), vm.name
        assert vm.backup_version == compare_versions(vm.backup_version_found, vm.backup_version_captured)
        assert bool(vm.waiting_for) == (vm.timeline[-1][1] != "ready"), vm.name
        assert vm.power_after != "PoweredOff" or not vm.addresses_after


def test_namespaces_are_those_of_the_mapping(report: Report) -> None:
    for item in report.objects:
        if item.source_namespace:
            assert sample_report.RUN.target(item.source_namespace) == item.namespace
        assert f"/{item.source_namespace or item.namespace}/{item.name}.json" in item.capture
