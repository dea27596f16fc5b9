"""Every reason not to call RegisterVM, before it is called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.registration.test_from_vcenter import FAILED_CLAIM, WEB, machine
from velero_vmservice.archive.facts import VmFacts
from velero_vmservice.registervm.preflight import check
from velero_vmservice.vmoperator.releases import Generation
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.extra_config import ExtraConfig
from velero_vmservice.vsphere.network_override import ChosenOverride, SubnetMapping
from velero_vmservice.vsphere.record import Record
from velero_vmservice.vsphere.vm import (
    Registered,
    RegisterEvent,
    RegisterTask,
    SupervisorView,
    TaskState,
    Vms,
    VsphereVm,
)

VCF_9 = SupervisorView(generation=Generation.VCF_9, machines={})
IN_PLACE = replace(VCF_9, machines={"web-1": Registered(unique_id="vm-1", backup_version="2000")})
TASK = RegisterTask(id="task-1", state=TaskState.RUNNING)
OTHER = machine(instance_uuid="x", bios_uuid="y")


def test_a_restored_vm_passes() -> None:
    checked = check("shop", WEB, Vms([machine()]), VCF_9)
    assert checked.passed
    assert (checked.vm and checked.vm.moid, checked.reason) == ("vm-1", "")


@pytest.mark.parametrize(
    ("machines", "excerpt", "can_wait"),
    [
        ([], "vCenter has no VM with the UUIDs, record or name of web-1 yet", True),
        (
            [machine(in_folder=False, folder="Lost")],
            'in folder "Lost": if that is the restored one, move it',
            True,
        ),
        ([machine(restoring=True)], "the VADP restore of vm-1 still runs", True),
        (
            [OTHER],
            "vm-1 has the record or name of web-1 and is another VM (instance UUID x, the backup has",
            True,
        ),
        ([replace(OTHER, extra=ExtraConfig())], "vm-1 has the record or name of web-1 and is another VM", True),
        ([replace(OTHER, restoring=True)], "and is another VM", True),
        ([machine(record=Record(problem="it is damaged", code="X"))], "VM vm-1: it is damaged", False),
        ([machine(twins=("copy",))], 'not the only one of its identity in the namespace (also "copy")', False),
        ([machine(), machine(moid="vm-2")], "(also vm-2)", False),
        ([machine(task=TASK)], "task-1 of vm-1 is at work already", True),
        ([machine(task=replace(TASK, state=TaskState.SUCCEEDED))], "has succeeded already", True),
        ([machine(task=replace(TASK, state=TaskState.FAILED, message=FAILED_CLAIM))], "has failed already", False),
        ([machine(event=RegisterEvent(succeeded=True))], "of vm-1 has succeeded already, by WCP's event", True),
        ([machine(event=RegisterEvent(succeeded=False, message=FAILED_CLAIM))], "has failed already, by WCP's", False),
    ],
)
def test_a_fault_of_the_vm_is_named(machines: list[VsphereVm], excerpt: str, can_wait: bool) -> None:  # noqa: FBT001
    checked = check("shop", WEB, Vms(machines), VCF_9)
    assert not checked.passed
    assert excerpt in checked.reason
    assert checked.can_wait is can_wait


@pytest.mark.parametrize(
    ("known", "excerpt", "can_wait"),
    [
        ({"machines": None}, "cannot be listed, so what RegisterVM would do there is unknown", True),
        ({"machines": {"web-1": Registered(unique_id="vm-1", reverting=True)}}, "reverted to a snapshot", True),
        (
            {"generation": Generation.UNKNOWN, "machines": {"web-1": Registered(unique_id="vm-1")}},
            "VirtualMachine web-1 exists, and it is unknown whether this Supervisor registers over one",
            True,
        ),
        (
            {"generation": Generation.VSPHERE_8_U3, "machines": {"web-1": Registered(unique_id="vm-0")}},
            "cannot register over it",
            False,
        ),
    ],
)
def test_a_fault_on_the_supervisor_is_named(known: dict[str, Any], excerpt: str, can_wait: bool) -> None:  # noqa: FBT001
    checked = check("shop", WEB, Vms([machine()]), replace(VCF_9, **known))
    assert excerpt in checked.reason
    assert checked.can_wait is can_wait


def test_a_vm_that_exists_may_be_registered_over_from_nine_on() -> None:
    assert check("shop", WEB, Vms([machine()]), IN_PLACE).passed


def test_a_supervisor_of_unknown_generation_may_register_a_vm_that_is_not_there() -> None:
    assert check("shop", WEB, Vms([machine()]), replace(VCF_9, generation=Generation.UNKNOWN)).passed


@pytest.mark.parametrize(
    ("ended", "excerpt", "can_wait"),
    [
        (TaskState.SUCCEEDED, "has succeeded already, and its VirtualMachine is to follow", True),
        (TaskState.FAILED, "has failed already: VCenterWcpWorkloadRegisterVMRegisterPVCFailed", False),
    ],
)
def test_over_a_newer_vm_only_a_person_can_say_that_a_task_was_of_an_earlier_restore(
    ended: TaskState,
    excerpt: str,
    can_wait: bool,  # noqa: FBT001
) -> None:
    restored = Vms([machine(task=replace(TASK, state=ended, message=FAILED_CLAIM))])
    checked = check("shop", WEB, restored, IN_PLACE)
    assert excerpt in checked.reason
    assert checked.reason.endswith(
        "if that was of an earlier restore, `velero-vmservice registration trigger` calls it for this one"
    )
    assert (checked.passed, checked.can_wait, checked.done) == (False, can_wait, False)
    assert check("shop", WEB, restored, IN_PLACE, by_command=True).passed


def test_a_vm_that_is_failed_over_may_have_other_uuids() -> None:
    checked = check("shop", WEB, Vms([replace(OTHER, other_vcenter=True)]), VCF_9)
    assert checked.passed
    assert not check("shop", WEB, Vms([replace(OTHER, other_vcenter=False)]), VCF_9).passed


def test_a_vm_that_was_failed_over_before_its_backup_may_have_other_uuids() -> None:
    facts = VmFacts(name="web-1", instance_uuid="INSTANCE-1", bios_uuid="BIOS-1", failed_over=True)
    marked = replace(WEB, facts=facts)
    assert check("shop", marked, Vms([OTHER]), VCF_9).passed


def test_a_task_or_event_from_before_the_vadp_restore_says_nothing_of_it() -> None:
    failed = replace(TASK, state=TaskState.FAILED, message=FAILED_CLAIM)
    event = RegisterEvent(succeeded=False, message=FAILED_CLAIM)
    for vsphere_vm in (machine(restoring=True, task=failed), machine(restoring=True, event=event)):
        checked = check("shop", WEB, Vms([vsphere_vm]), VCF_9)
        assert [each.reason.partition(" of ")[0] for each in checked.refusals] == ["the VADP restore"]
        assert checked.can_wait


def test_a_person_may_have_it_called_over_an_event() -> None:
    assert check("shop", WEB, Vms([machine(event=RegisterEvent(succeeded=True))]), VCF_9, by_command=True).passed


def test_a_mapping_that_no_interface_needs_is_noted_and_no_reason_against_a_call() -> None:
    typo = SubnetMapping(current=Subnet(type="SUBNET", name="prod-aa"), new=Subnet(type="SUBNET", name="dr-a"))
    recorded = Record(interfaces={"eth0": Subnet(type="SUBNET", name="prod-a")})
    checked = check(
        "shop", WEB, Vms([machine(record=recorded)]), VCF_9, override=ChosenOverride(mappings=(typo,)), vpc=True
    )
    assert checked.passed
    (note,) = checked.notes
    assert note == (
        "registration.subnet_mappings maps Subnet prod-aa, and none of its interfaces is there (it has: eth0 on Subnet"
        " prod-a)"
    )


def test_a_person_may_ask_for_another_call_after_a_failure() -> None:
    failed = machine(task=replace(TASK, state=TaskState.FAILED, message=FAILED_CLAIM))
    assert check("shop", WEB, Vms([failed]), VCF_9, by_command=True).passed
    assert not check("shop", WEB, Vms([machine(task=TASK)]), VCF_9, by_command=True).passed


def test_all_refusals_are_reported_at_once_and_one_that_cannot_wait_is_final() -> None:
    checked = check("shop", WEB, Vms([machine(in_folder=False, twins=("copy",), restoring=True)]), VCF_9)
    assert len(checked.refusals) == 3
    assert not checked.can_wait
