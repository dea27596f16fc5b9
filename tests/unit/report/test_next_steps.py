from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tests import sample_report
from tests.sample_report import ENDED, GROUP, POLICY, RUN, SERVICE, machine, members, power_on, result
from velero_vmservice.kube.manifest import VMS_ALONE
from velero_vmservice.report.summary import compose
from velero_vmservice.velero.runs import CaptureRef, Maker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.report.model import NextStep, Result
    from velero_vmservice.velero.runs import RestoreRun

RESUME = "velero-vmservice restore --resume shop-after-incident"
ABSENT: dict[str, Any] = {"registered": False, "waiting_for": "not registered yet", "power_after": ""}
WEB = "VirtualMachine/shop/web-1"


def steps(*results: Result, run: RestoreRun = RUN) -> Sequence[NextStep]:
    return compose(run, results, policy=POLICY, ended=ENDED).steps


def held(name: str, *vms: str, **rest: Any) -> Result:
    waited_for = tuple(f"VirtualMachine/shop/{vm}" for vm in vms)
    machines = tuple(machine(vm, **{**ABSENT, **rest}) for vm in vms)
    return result(SERVICE, name, "cancelled", "out of time", action="wait", held_by=waited_for, machines=machines)


def test_each_cause_of_the_sample_comes_before_what_follows_from_it() -> None:
    in_order = sample_report.sample().steps
    assert [step.about[:1] for step in in_order] == [
        ("VirtualMachine/shop/shop-db-2",),
        (f"{SERVICE}/shop/shop-cache",),
        (f"{SERVICE}/shop/shop-web",),
        (f"{GROUP}/shop/shop",),
        ("VirtualMachine/billing/billing-1",),
        ("VirtualMachine/shop/shop-db-1",),
    ]
    absent, refused, unselected, following, power, no_power = in_order
    assert absent.words.startswith(
        f"shop/shop-db-2: not registered yet, which holds back {GROUP} shop/shop-db (cancelled). Check in the VADP"
    )
    assert absent.commands == (
        "velero-vmservice registration explain not-triggered -n shop --vm shop-db-2",
        RESUME,
    )
    assert refused.words.startswith(f"{SERVICE} shop/shop-cache failed: a Service shop-cache is there")
    assert refused.words.endswith("Rename or remove that Service, then repeat the restore.")
    assert "shop-web-3 is not selected: its label tier is wbe" in unselected.words
    assert "VirtualMachineGroup shop-db was cancelled" in following.words
    assert {step.commands[-1] for step in (refused, unselected, following)} == {RESUME}
    assert (power.commands, no_power.commands) == ((power_on("billing", "billing"),), ())


def test_objects_that_wait_for_one_vm_share_its_step() -> None:
    (step,) = steps(held("a", "web-1"), held("b", "web-1"))
    assert step.about == (WEB,)
    assert f"which holds back {SERVICE} shop/a (cancelled); {SERVICE} shop/b (cancelled)" in step.words


def test_vms_that_lack_the_same_share_a_step_and_the_table_has_the_rest() -> None:
    (step,) = steps(held("a", *(f"web-{number}" for number in range(40))))
    assert "; and 32 more: not registered yet" in step.words
    assert len(step.about) == 8


def test_a_topic_of_the_vm_is_what_is_explained() -> None:
    (step,) = steps(held("a", "web-1", topic="stuck-at-80"))
    assert step.commands[0] == "velero-vmservice registration explain stuck-at-80 -n shop --vm web-1"


def test_a_vm_that_is_there_and_not_ready_is_looked_at() -> None:
    (step,) = steps(held("a", "web-1", registered=True, waiting_for="paused"))
    looked = "velero-vmservice registration status --restore shop-after-incident -n shop --vm web-1"
    assert step.commands == (looked, RESUME)
    assert "RegisterVM" not in step.words


def test_the_vms_of_a_capture_are_looked_at_by_that_capture() -> None:
    capture = CaptureRef(maker=Maker.COMMAND, name="nightly", started="20261130T040000Z")
    run = dataclasses.replace(RUN, of_velero=False, capture=capture)
    (step,) = steps(held("a", "web-1", registered=True, waiting_for="paused"), run=run)
    looked = "velero-vmservice registration status --from nightly/20261130T040000Z -n shop --vm web-1"
    assert step.commands[0] == looked


def test_objects_that_failed_for_one_reason_share_a_step_and_others_do_not() -> None:
    remedy = ("Free the address.",)
    shared, alone = steps(
        *(result(SERVICE, name, "failed", "the address is taken", remedy=remedy) for name in ("a", "b")),
        result(SERVICE, "c", "failed", "the port is taken", remedy=remedy),
    )
    assert shared.words == f"{SERVICE} shop/a; {SERVICE} shop/b failed: the address is taken. Free the address."
    assert alone.about == (f"{SERVICE}/shop/c",)


def test_many_reasons_do_not_hide_what_comes_after_them() -> None:
    in_order = steps(*(result(SERVICE, f"s{number:02}", "failed", f"reason {number}") for number in range(40)))
    assert len(in_order) == 13
    assert in_order[-1].words.startswith("28 more objects are not whole")


def test_an_object_that_waits_for_a_failed_one_follows_from_its_cause() -> None:
    cause, following = steps(
        result(GROUP, "tier", "cancelled", "waits", held_by=(f"{GROUP}/shop/app",)),
        result(GROUP, "leaf", "cancelled", "waits", held_by=(f"{GROUP}/shop/tier",)),
        result(GROUP, "app", "failed", "the webhook refuses it"),
    )
    assert cause.about == (f"{GROUP}/shop/app",)
    assert set(following.about) == {f"{GROUP}/shop/tier", f"{GROUP}/shop/leaf"}


def test_objects_that_wait_for_each_other_have_steps_of_their_own() -> None:
    in_order = steps(
        result(GROUP, "a", "cancelled", "waits for b", held_by=(f"{GROUP}/shop/b",)),
        result(GROUP, "b", "cancelled", "waits for a", held_by=(f"{GROUP}/shop/a",)),
    )
    assert [step.about for step in in_order] == [(f"{GROUP}/shop/a",), (f"{GROUP}/shop/b",)]


def test_an_incomplete_group_without_a_broken_member_group_has_a_cause_of_its_own() -> None:
    group = result(GROUP, "web", "incomplete", "web-1 names no group", members=members("web-1"))
    (step,) = steps(group)
    assert step.words.startswith(f"{GROUP} shop/web incomplete: web-1 names no group. Put that right")


def test_a_restore_without_a_velero_restore_goes_on_by_its_backup() -> None:
    run = dataclasses.replace(RUN, of_velero=False, namespace_mapping={"shop": "shop2"})
    (step,) = steps(held("a", "web-1"), run=run)
    assert step.commands[-1] == "velero-vmservice restore nightly-20261122 --namespace-mapping shop:shop2"


def test_a_restore_under_way_is_waited_for_and_not_resumed() -> None:
    (step,) = steps(result(SERVICE, "a", "waiting", "looking for the VMs"))
    assert step.words == f"Wait, 1 object is still under way: {SERVICE} shop/a: looking for the VMs."
    assert step.commands == ()


def test_vms_without_an_application_are_named_themselves() -> None:
    alone = result(
        VMS_ALONE.name,
        "",
        "cancelled",
        "out of time",
        action="wait",
        selected=("web-1",),
        held_by=(WEB,),
        machines=(machine("web-1", **ABSENT),),
    )
    (step,) = steps(alone)
    assert step.words.startswith("shop/web-1: not registered yet. Check in")
    assert step.commands[-1] == RESUME


@pytest.mark.parametrize("unread", [(), ("the result x cannot be read",)])
def test_nothing_is_called_well_where_results_are_missing(unread: tuple[str, ...]) -> None:
    report = compose(RUN, (result(SERVICE, "a", "verified", ""),), policy=POLICY, ended=ENDED, unread=unread)
    assert report.outcome == ("unfinished" if unread else "verified")
    assert report.warnings == unread
    assert report.steps[0].words.startswith("See with velero" if unread else "Nothing to do")
    assert len(report.steps) == 1


def test_a_warning_repeats_no_next_step() -> None:
    report = sample_report.sample()
    broken = {result.reason for result in report.objects if result.stage in ("failed", "cancelled", "incomplete")}
    lacking = {vm.waiting_for for vm in report.machines if vm.waiting_for}
    assert not [warning for warning in report.warnings if any(reason in warning for reason in broken | lacking)]
