"""Expectations: what Kubernetes alone can say (facts about VM Operator 4.5, 4.6; guide 6, 7.2.1, 8.1.3, 11.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.builders import claim, condition, look, m, machine, obj, registration, vm
from velero_vmservice.archive.facts import ExpectedVm, VmFacts, vm_facts
from velero_vmservice.kube.manifest import CNS_REGISTER_VOLUME, PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE
from velero_vmservice.registration.from_kubernetes import registrations
from velero_vmservice.registration.model import Registration, State

VMOP = "vmoperator.vmware.com"
CREATED = condition("VirtualMachineCreated")
BACKUP_PAUSED = condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused")
REVERTED = condition("VirtualMachineSnapshotRevertSucceeded")
CAPTURED_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BEFORE, AFTER = "2026-02-01T00:00:00Z", "2026-03-02T00:00:00Z"
CAPTURED = vm_facts(m(vm("web-1", uid="old", claims=["data"])))
PLAIN = obj("Namespace", "shop", api="v1", namespace="")


def annotated(*names: str) -> dict[str, Any]:
    return {"annotations": {f"{VMOP}/{name}": "" for name in names}}


def conditions(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": list(entries)}


def registration_of(*objects: dict[str, Any], facts: VmFacts | None = CAPTURED, **known: Any) -> Registration:
    wanted = ExpectedVm(name="web-1", facts=facts, captured_at=CAPTURED_AT.isoformat())
    answers = registrations(look(*objects, **known), [wanted])
    assert list(answers) == ["web-1"]
    return answers["web-1"]


@dataclass(frozen=True)
class Case:
    why: str
    state: State
    excerpt: str
    given: tuple[dict[str, Any], ...] = ()
    facts: VmFacts | None = CAPTURED
    can_wait: bool = True
    known: dict[str, Any] = field(default_factory=dict)


DISK = vm("web-1", uid="new", claims=["restored-a1b2c3"], meta=annotated("restored-vm"))
CASES = [
    Case("no VirtualMachine", State.ABSENT, "not registered yet"),
    Case(
        "a namespace that vCenter did not make",
        State.ABSENT,
        "shop is not a vSphere Namespace, so nothing can be registered into it",
        can_wait=False,
        known={"namespace": PLAIN},
    ),
    Case(
        "a guest cluster's node",
        State.NOT_RESTORABLE,
        "RegisterVM cannot bring it back",
        facts=machine(recorded=False),
        can_wait=False,
    ),
    Case(
        "another VM of that name",
        State.FAILED,
        "is another VM of that name",
        (vm("web-1", spec={"instanceUUID": "x"}, status={"biosUUID": "y"}),),
        can_wait=False,
    ),
    Case("on its way out", State.ABSENT, "is being deleted", (vm("web-1", meta={"deletionTimestamp": AFTER}),)),
    *[
        Case(f"annotation {name}", State.PAUSED, f"annotation {VMOP}/{name}", (vm("web-1", meta=annotated(name)),))
        for name in ("paused", "pause-reconcile", "pause")
    ],
    *[
        Case(f"label {by}", State.PAUSED, f"paused by {by}", (vm("web-1", labels={f"{VMOP}/paused": by}),))
        for by in ("admin", "devops", "both")
    ],
    Case(
        "reverted to a snapshot",
        State.SNAPSHOT_REVERT,
        "afterwards nothing registers it by itself: call RegisterVM",
        (vm("web-1", meta=annotated("snapshot-revert-in-progress")),),
        can_wait=False,
    ),
    Case(
        "restored in place, VM Operator has noticed",
        State.RESTORED,
        "VirtualMachineBackupPaused",
        (vm("web-1", uid="old", status=conditions(CREATED, BACKUP_PAUSED)),),
    ),
    Case(
        "the same after a revert",
        State.RESTORED,
        "so call RegisterVM for it",
        (vm("web-1", uid="old", status=conditions(CREATED, BACKUP_PAUSED, REVERTED)),),
    ),
    Case("not found in vCenter yet", State.REGISTERED, "not found", (vm("web-1", uid="new", status={"uniqueID": ""}),)),
    Case("not reconciled yet", State.REGISTERED, "VirtualMachineCreated", (vm("web-1", uid="new", created=False),)),
    Case("a claim that is not there", State.REGISTERED, "PVC restored-a1b2c3 (not there yet)", (DISK,)),
    Case("a claim that is pending", State.REGISTERED, "(Pending)", (DISK, claim("restored-a1b2c3", "Pending"))),
    Case(
        "a disk that is being registered",
        State.REGISTERING,
        "its disk is being registered",
        (DISK, claim("restored-a1b2c3"), registration("restored-a1b2c3")),
    ),
    Case(
        "a disk that cannot be registered may yet be",
        State.REGISTERING,
        "its disk cannot be registered: no such datastore, CnsRegisterVolume register-restored-a1b2c3;"
        " look at its datastore: it is not accessible",
        (DISK, registration("restored-a1b2c3", error="no such datastore")),
    ),
    Case(
        "paused while its disks are registered",
        State.REGISTERING,
        "paused by RegisterVM",
        (
            vm("web-1", claims=["restored-a1b2c3"], meta=annotated("paused")),
            registration("restored-a1b2c3"),
        ),
    ),
    Case(
        "a restore to new",
        State.READY,
        "registered by a restore to new",
        (DISK, claim("restored-a1b2c3")),
    ),
    Case(
        "a restore in place",
        State.READY,
        "registered by a restore to existing",
        (vm("web-1", uid="old", meta=annotated("restored-vm")),),
    ),
    Case(
        "new disks only",
        State.READY,
        "registered by a disk-only restore",
        (
            vm("web-1", uid="old", claims=["data", "restored-a1b2c3"]),
            claim("data"),
            claim("restored-a1b2c3"),
        ),
    ),
    Case(
        "failed over",
        State.READY,
        "registered by a failover",
        (vm("web-1", uid="new", meta=annotated("failed-over-vm"), spec={"instanceUUID": "x"}),),
    ),
    Case("never lost", State.READY, "the VM that was backed up, never lost", (vm("web-1", uid="old"),)),
    Case("nothing is known of the backup", State.READY, "by which restore is unknown", (vm("web-1"),), facts=None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_states(case: Case) -> None:
    registration = registration_of(*case.given, facts=case.facts, **case.known)

    assert registration.state is case.state
    assert case.excerpt in registration.reason
    assert registration.can_wait is case.can_wait
    assert (registration.sources, registration.code, registration.percent) == (("kubernetes",), "", None)


def test_uuids_alone_tell_another_vm() -> None:
    other = vm("web-1", spec={"instanceUUID": "x"}, status={"biosUUID": "y"})
    answers = registrations(look(other), [ExpectedVm(name="web-1", instance_uuid="a", bios_uuid="b")])
    assert answers["web-1"].state is State.FAILED
    assert registrations(look(other), [ExpectedVm(name="web-1", bios_uuid="y")])["web-1"].state is State.READY


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (vm("web-1", meta=annotated("imported-vm")), "imported from vCenter, not restored"),
        (vm("web-1", meta={"creationTimestamp": AFTER}), "created after the backup and has no mark of RegisterVM"),
        (vm("web-1", meta={"creationTimestamp": AFTER, **annotated("restored-vm")}), ""),
        (vm("web-1", meta={"creationTimestamp": BEFORE}), ""),
        (vm("web-1", meta={"creationTimestamp": "no time"}), ""),
    ],
    ids=["imported", "made anew", "restored", "there before", "no time"],
)
def test_marks_and_the_time_of_creation_are_reported(given: dict[str, Any], note: str) -> None:
    notes = registration_of(given).notes
    assert len(notes) == bool(note)
    assert note in " ".join(notes)


def test_an_older_restore_point_is_reported_without_the_vms_name() -> None:
    captured = replace(CAPTURED, backup_version="1700")
    older = {"annotations": {f"{VMOP}/restored-vm": "", f"{VMOP}/backup-version": "1699"}}
    (note,) = registration_of(vm("web-1", meta=older), facts=captured).notes
    assert note == "comes from an older restore point (backup version 1699, the capture has 1700)"


def test_disks_that_no_vm_names_yet_are_reported_for_the_vms_that_wait() -> None:
    loose = registration("restored-ffffff", error="CNS is unavailable")
    (note,) = registration_of(loose).notes
    assert note == (
        "disks are being registered for VMs that do not name them yet: its disk cannot be registered: CNS is"
        " unavailable, CnsRegisterVolume register-restored-ffffff; look at CNS and vCenter: one of them does not answer"
    )
    assert registration_of(vm("web-1", meta=annotated("paused")), loose).notes == (note,)
    assert registration_of(vm("web-1"), loose).notes == ()


def test_the_beginning_of_a_state_is_taken_from_the_object_that_has_it() -> None:
    disk = registration("restored-a1b2c3")
    disk["metadata"]["creationTimestamp"] = AFTER
    new = vm("web-1", uid="new", created=False, meta={"creationTimestamp": AFTER})
    at = datetime(2026, 3, 2, tzinfo=UTC)

    assert registration_of(DISK, disk).since == at
    assert registration_of(new).since == at
    assert registration_of(new, facts=None).since is None
    assert registration_of().since is None


def test_a_kind_that_could_not_be_listed_is_a_note_where_it_matters() -> None:
    unseen = {PERSISTENT_VOLUME_CLAIM: "claims are forbidden", CNS_REGISTER_VOLUME: "no such kind"}
    observed = look(DISK, vm("web-2"))
    blind = replace(observed, unseen=unseen, volumes=replace(observed.volumes, known=False))
    answers = registrations(blind, [ExpectedVm(name="web-1", facts=CAPTURED), ExpectedVm(name="web-2")])

    assert (answers["web-1"].state, answers["web-1"].notes) == (State.READY, ("claims are forbidden", "no such kind"))
    assert (answers["web-2"].state, answers["web-2"].notes) == (State.READY, ())


def test_nothing_is_known_where_no_virtual_machine_is_served() -> None:
    answers = registrations(replace(look(), unseen={VIRTUAL_MACHINE: "not served"}), [ExpectedVm(name="web-1")])
    assert (answers["web-1"].state, answers["web-1"].reason) == (State.UNKNOWN, "not served")


@pytest.mark.parametrize(
    ("error", "look_at"),
    [
        ("failed to access datastore ds-1", "its datastore: it is not accessible"),
        ("File [ds-1] web/data.vmdk was not found", "the disk file: it is missing or named otherwise"),
        ("CNS service unavailable", "CNS and vCenter: one of them does not answer"),
        ("context deadline exceeded", "CNS and vCenter: one of them does not answer"),
        ("boom", "its datastore, its disk file or CNS"),
    ],
)
def test_an_error_of_a_disk_says_what_to_look_at(error: str, look_at: str) -> None:
    assert registration_of(DISK, registration("restored-a1b2c3", error=error)).reason.endswith(f"; look at {look_at})")


def test_a_state_is_shown_with_its_progress_and_its_reason() -> None:
    registration = Registration(name="web-1", state=State.REGISTERING, percent=85, reason="two disks are left")
    assert str(registration) == "registering (85 %, register volumes): two disks are left"
    assert str(replace(registration, percent=None, reason="")) == "registering"
