"""What vCenter's answers mean: one table, the guide's checks (11.1) answered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import machine as facts
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.registration.from_vcenter import registrations
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.vmoperator.releases import Generation
from velero_vmservice.vsphere import extra_config
from velero_vmservice.vsphere.record import Record
from velero_vmservice.vsphere.vm import (
    Durations,
    Registered,
    RegisterEvent,
    RegisterTask,
    SupervisorView,
    TaskState,
    Vms,
    VsphereVm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

WEB = ExpectedVm(name="web-1", instance_uuid="INSTANCE-1", bios_uuid="BIOS-1")
YAML, VERSION = "vmservice.virtualmachine.resource.yaml", "vmservice.virtualmachine.backupVersion"
ENABLE, DISABLE = (
    "vmservice.virtualmachine.enableAutomaticRegistration",
    "vmservice.vmoperator.vmware.com/disable-auto-registration",
)
NOBODY: Mapping[str, Registered] = {}


def machine(extra: Mapping[str, str] | None = None, **known: Any) -> VsphereVm:
    entries = {YAML: "record", VERSION: "1000", "vmservice.namespacedName": "shop/web-1", **(extra or {})}
    return VsphereVm(
        **{
            "moid": "vm-1",
            "name": "web-1",
            "folder": "shop",
            "instance_uuid": "instance-1",
            "bios_uuid": "bios-1",
            "extra": extra_config.read(entries),
            "record": Record(),
            **known,
        }
    )


def registration_of(
    *machines: VsphereVm,
    generation: Generation = Generation.VCF_9,
    supervisor: Mapping[str, Registered] | None = NOBODY,
) -> Registration:
    view = SupervisorView(generation=generation, machines=supervisor)
    return registrations("shop", [WEB], machines, view)["web-1"]


@dataclass(frozen=True)
class Case:
    why: str
    given: VsphereVm
    state: State
    excerpt: str
    can_wait: bool = True
    code: str = ""
    on: Generation = Generation.VCF_9
    supervisor: Mapping[str, Registered] | None = field(default_factory=dict)


LATE = Durations(in_folder=125.0)
ON, OFF = {ENABLE: "true"}, {DISABLE: "true"}
FAILED_CLAIM = "SystemError: VCenterWcpWorkloadRegisterVMRegisterPVCFailed: x"
CASES = [
    Case("another folder", machine(in_folder=False, folder="Discovered"), State.ABSENT, 'in folder "Discovered"'),
    Case(
        "another VM that has its record",
        machine(instance_uuid="x", bios_uuid="y", name="other"),
        State.ABSENT,
        "vm-1 has the record or name of web-1 and is another VM (instance UUID x, the backup has INSTANCE-1)",
    ),
    Case(
        "a VM that may still be given its UUIDs",
        machine(instance_uuid="x", bios_uuid="y", restoring=True),
        State.ABSENT,
        "is another VM",
    ),
    Case(
        "failed over with other UUIDs",
        machine(ON, instance_uuid="x", bios_uuid="y", other_vcenter=True),
        State.RESTORED,
        "itself (failover)",
    ),
    Case("a restore that runs", machine(restoring=True), State.RESTORED, "RelocateVM_Task is disabled"),
    Case("opted in", machine(ON), State.RESTORED, "WCP is to register it by itself"),
    Case("opted in, from this vCenter", machine(ON, other_vcenter=False), State.RESTORED, "itself (restore to new)"),
    Case("opted in, from another vCenter", machine(ON, other_vcenter=True), State.RESTORED, "itself (failover)"),
    Case("opted in, early", machine(ON, durations=Durations(in_folder=100.0)), State.RESTORED, "restored"),
    Case("not opted in", machine(), State.RESTORED, "automatic registration is off unless", can_wait=False),
    Case("before 9.0", machine(), State.RESTORED, "WCP is to register it by itself", on=Generation.VSPHERE_8_U3),
    Case(
        "before 9.0, late",
        machine(durations=LATE),
        State.RESTORED,
        "automatic registration is overdue (2 minutes)",
        on=Generation.VSPHERE_8_U3,
    ),
    Case(
        "opted out in the guide's spelling",
        machine(OFF),
        State.RESTORED,
        "disableAutomaticRegistration",
        can_wait=False,
        on=Generation.VSPHERE_8_U3,
    ),
    Case("the generation is unknown", machine(), State.RESTORED, "generation", on=Generation.UNKNOWN),
    Case(
        "no record",
        machine(record=Record(problem="the record is missing: restore again", code="X")),
        State.NOT_RESTORABLE,
        "the record is missing: restore again",
        can_wait=False,
        code="X",
    ),
    Case(
        "a twin",
        machine(ON, twins=("web-1-copy",)),
        State.NOT_RESTORABLE,
        '"web-1-copy"',
        can_wait=False,
        code="VCenterWcpWorkloadRegisterVMDuplicateVMBiosUUID",
    ),
    Case(
        "a task that runs",
        machine(task=RegisterTask(id="task-1", state=TaskState.RUNNING, percent=40)),
        State.REGISTERING,
        "RegisterVM task task-1 of vm-1 has reached restore additional resources",
    ),
    Case(
        "a task with nonsense",
        machine(task=RegisterTask(id="task-1", state=TaskState.RUNNING, percent=900)),
        State.REGISTERING,
        "complete",
    ),
    Case(
        "a task that waits",
        machine(task=RegisterTask(id="task-1", state=TaskState.WAITING)),
        State.REGISTERING,
        "has begun",
    ),
    Case(
        "a task that failed",
        machine(task=RegisterTask(id="task-1", state=TaskState.FAILED, message=FAILED_CLAIM)),
        State.FAILED,
        "a restored disk could not be registered",
        can_wait=False,
        code="VCenterWcpWorkloadRegisterVMRegisterPVCFailed",
    ),
    Case(
        "a task that failed silently",
        machine(task=RegisterTask(id="task-1", state=TaskState.FAILED)),
        State.FAILED,
        "failed without saying why; see the task in vCenter",
        can_wait=False,
    ),
    Case(
        "a task that succeeded",
        machine(task=RegisterTask(id="task-1", state=TaskState.SUCCEEDED)),
        State.REGISTERED,
        "task-1 succeeded",
    ),
    Case(
        "the task of an earlier restore",
        machine(restoring=True, task=RegisterTask(id="task-1", state=TaskState.SUCCEEDED)),
        State.RESTORED,
        "still runs",
    ),
    Case(
        "a garbage task",
        machine(task=RegisterTask(id="task-1", state=TaskState.UNKNOWN)),
        State.RESTORED,
        "off",
        can_wait=False,
    ),
    Case(
        "an event of a failure",
        machine(event=RegisterEvent(succeeded=False, message=FAILED_CLAIM)),
        State.FAILED,
        "by WCP's event, failed",
        can_wait=False,
        code="VCenterWcpWorkloadRegisterVMRegisterPVCFailed",
    ),
    Case("an event of a success", machine(event=RegisterEvent(succeeded=True)), State.REGISTERED, "WCP's event"),
    Case(
        "never lost",
        machine(),
        State.REGISTERED,
        "stands for VM vm-1",
        supervisor={"web-1": Registered(unique_id="vm-1", backup_version="1000")},
    ),
    Case(
        "restored in place",
        machine(ON, durations=LATE),
        State.RESTORED,
        "overdue",
        supervisor={"web-1": Registered(unique_id="vm-1", backup_version="2000")},
    ),
    Case(
        "the success before a restore in place",
        machine(ON, event=RegisterEvent(succeeded=True)),
        State.RESTORED,
        "WCP is to register it",
        supervisor={"web-1": Registered(unique_id="vm-1", backup_version="2000")},
    ),
    Case(
        "the failure before it was registered",
        machine(event=RegisterEvent(succeeded=False)),
        State.REGISTERED,
        "stands for",
        supervisor={"web-1": Registered(unique_id="vm-1", backup_version="1000")},
    ),
    Case(
        "reverting",
        machine(ON),
        State.SNAPSHOT_REVERT,
        "reverted to a snapshot",
        can_wait=False,
        supervisor={"web-1": Registered(unique_id="vm-0", backup_version="2000", reverting=True)},
    ),
    Case(
        "exists before 9.0",
        machine(),
        State.RESTORED,
        "cannot register over it",
        can_wait=False,
        on=Generation.VSPHERE_8_U3,
        supervisor={"web-1": Registered(unique_id="vm-0")},
        code="VCenterWcpWorkloadRegisterVMAlreadyExistsOnSupervisor",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_a_vms_state_follows_from_what_vcenter_says(case: Case) -> None:
    registration = registration_of(case.given, generation=case.on, supervisor=case.supervisor)
    assert (registration.state, registration.can_wait, registration.code) == (case.state, case.can_wait, case.code)
    assert case.excerpt in registration.reason
    assert registration.reason.isprintable()
    assert registration.sources == ("vcenter",)


def test_a_vm_that_vcenter_lacks_is_absent_as_far_as_it_can_tell() -> None:
    registration = registration_of()
    assert (registration.state, registration.certain, registration.can_wait) == (State.ABSENT, False, True)


def test_a_guest_clusters_node_needs_no_other_restore_point() -> None:
    node = ExpectedVm(name="web-1", instance_uuid="INSTANCE-1", facts=facts(recorded=False))
    lost = machine({YAML: ""}, record=Record(problem="it is missing: restore again", code="X"))
    view = SupervisorView(generation=Generation.VCF_9, machines=NOBODY)
    registration = registrations("shop", [node], [lost], view)["web-1"]
    assert (registration.state, registration.code, registration.can_wait) == (State.NOT_RESTORABLE, "", False)
    assert "a guest cluster's node, which VM Operator does not record" in registration.reason


@pytest.mark.parametrize("task", [None, RegisterTask(id="task-1", state=TaskState.SUCCEEDED)])
def test_the_owners_that_the_record_names_are_handed_on(task: RegisterTask | None) -> None:
    record = Record(owners=(("tier", "u-1"),))
    assert registration_of(machine(ON, record=record, task=task)).owners == record.owners


def test_an_overdue_vm_comes_with_the_answers_to_the_guides_checks() -> None:
    assert registration_of(machine(ON, durations=LATE)).reason.endswith(
        'Checked: its ExtraConfig has the record, it is in folder "shop", enableAutomaticRegistration is on,'
        " disableAutomaticRegistration not set, no VADP restore runs. Look for auto-vm-register in"
        " /var/log/vmware/wcp/wcpsvc.log on vCenter, or call RegisterVM"
    )


def test_a_restore_of_more_than_fifteen_minutes_is_warned_about() -> None:
    assert registration_of(machine(restoring=True, durations=Durations(restoring=899.0))).notes == ()
    (note,) = registration_of(machine(restoring=True, durations=Durations(restoring=900.0))).notes
    assert "longer than 15 minutes: automatic registration may come too early (guide 7.3.3)" in note


def test_a_registration_before_the_vadp_restore_has_ended_is_noted() -> None:
    task = RegisterTask(id="task-1", state=TaskState.RUNNING, percent=40)
    (early,) = registration_of(machine(restoring=True, task=task)).notes
    assert early.startswith("the VADP restore still runs while RegisterVM works (RelocateVM_Task is disabled)")
    registration = registration_of(machine(restoring=True, durations=Durations(restoring=20 * 60.0), task=task))
    assert (registration.state, registration.percent) == (State.REGISTERING, 40)
    assert registration.notes[0] == early
    assert "longer than 15 minutes: automatic registration may come too early (guide 7.3.3)" in registration.notes[1]
    assert registration_of(machine(durations=Durations(restoring=20 * 60.0), task=task)).notes == ()


def test_a_state_that_needs_nothing_is_reported_with_its_code() -> None:
    task = RegisterTask(id="task-1", state=TaskState.FAILED, message="AlreadyInDesiredState: x")
    registration = registration_of(machine(task=task))
    assert (registration.state, registration.code, registration.certain) == (
        State.REGISTERED,
        "AlreadyInDesiredState",
        False,
    )


def test_a_vm_in_another_folder_is_moved_only_if_it_is_the_restored_one() -> None:
    remedy = registration_of(machine(in_folder=False, folder="Discovered")).remedy
    assert remedy.startswith("see whether vm-1 is the restored VM: if so, move it into the folder of namespace shop;")
    assert "if it is the original" in remedy


def test_without_the_supervisor_nothing_is_certain() -> None:
    registration = registration_of(machine(ON), supervisor=None)
    assert (registration.state, registration.certain) == (State.RESTORED, False)
    assert not registration_of(machine(event=RegisterEvent(succeeded=True))).certain


def test_a_failure_shows_no_more_of_foreign_words_than_a_line() -> None:
    message = "\x1b[2J" + "zorro\n" * 100_000
    registration = registration_of(machine(task=RegisterTask(id="t\n" * 999, state=TaskState.FAILED, message=message)))
    assert registration.reason.isprintable()
    assert len(registration.reason) < 1500


@pytest.mark.parametrize(
    ("why", "others", "moids"),
    [
        ("an instance UUID names one VM", [machine(moid="vm-2", instance_uuid="x")], ["vm-1"]),
        ("a restore to new keeps the BIOS UUID", [], ["vm-1"]),
        ("a folder counts more than a number", [machine(moid="vm-0", in_folder=False)], ["vm-1", "vm-0"]),
    ],
)
def test_a_vm_is_found_by_the_best_evidence(why: str, others: list[VsphereVm], moids: list[str]) -> None:
    assert [vsphere_vm.moid for vsphere_vm in Vms([*others, machine()]).match(WEB)] == moids, why


@pytest.mark.parametrize("wanted", [replace(WEB, instance_uuid="", bios_uuid=""), WEB], ids=["no UUIDs", "UUIDs"])
def test_a_vm_of_unknown_uuids_or_failed_over_is_found_by_its_record_and_then_by_its_name(
    wanted: ExpectedVm,
) -> None:
    changed = machine(instance_uuid="new", bios_uuid="new", name="web-1-restored", other_vcenter=wanted is WEB)
    unrecorded = replace(changed, extra=extra_config.read({}), name="web-1")
    assert [vsphere_vm.moid for vsphere_vm in Vms([changed]).match(wanted)] == ["vm-1"]
    assert [vsphere_vm.moid for vsphere_vm in Vms([unrecorded]).match(wanted)] == ["vm-1"]
    assert Vms([replace(unrecorded, name="web-2")]).match(wanted) == ()
    assert Vms([replace(unrecorded, in_folder=False)]).match(wanted) == ()


def test_another_vm_is_not_found_by_a_name_that_it_has_too() -> None:
    other = machine(moid="vm-0", instance_uuid="x", bios_uuid="y")
    assert Vms([other]).match(WEB) == ()
    assert Vms([other, machine(name="web-1-restored")]).match(WEB)[0].moid == "vm-1"
