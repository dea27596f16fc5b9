"""Expectations: G-registered and G-volumes of the facts about VM Operator, section 4.6."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import condition, m, machine, vm
from velero_vmservice.supervisor.lost_owner import VANISHED, Sighting, dead_owner, never_seen
from velero_vmservice.supervisor.readiness import STABLE_SECONDS, Gate, Stability, Volumes, gate, remarks
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from velero_vmservice.archive.facts import VmFacts

VMOP = "vmoperator.vmware.com"
CAPTURED = machine(uid="old", instance_uuid="instance-of-web-1", bios_uuid="bios-of-web-1")
BACKUP_PAUSED = condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused")
BACKUP_FAILED = condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupFailed")
CREATED = condition("VirtualMachineCreated")
REVERTED = condition("VirtualMachineSnapshotRevertSucceeded")


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any] | None
    ready: bool = False
    excerpt: str = ""
    volumes: Volumes = field(default_factory=Volumes)
    blocked: bool = False
    by_hand: bool = False


def annotated(name: str, value: str = "") -> dict[str, Any]:
    return {"annotations": {f"{VMOP}/{name}": value}}


CASES = [
    Case(why="not there", given=None, excerpt="not registered yet"),
    Case(why="registered again under a new UID", given=vm("web-1"), ready=True),
    Case(why="being deleted", given=vm("web-1", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}), excerpt="deleted"),
    *[
        Case(
            why=f"paused by annotation {name}", given=vm("web-1", meta=annotated(name)), excerpt="paused by RegisterVM"
        )
        for name in ("paused", "pause-reconcile", "pause")
    ],
    *[
        Case(why=f"paused by label {by}", given=vm("web-1", labels={f"{VMOP}/paused": by}), excerpt=f"paused by {by}")
        for by in ("devops", "admin", "both")
    ],
    Case(why="no unique id", given=vm("web-1", status={"uniqueID": ""}), excerpt="has not found its vSphere VM"),
    Case(why="not reconciled", given=vm("web-1", created=False), excerpt="VirtualMachineCreated"),
    Case(
        why="reconciling failed",
        given=vm("web-1", status={"conditions": [condition("VirtualMachineCreated", "False")]}),
        excerpt="VirtualMachineCreated",
    ),
    Case(why="v1alpha1 says it by phase", given=vm("web-1", created=False, status={"phase": "Created"}), ready=True),
    Case(
        why="restored in vCenter and not registered",
        given=vm("web-1", status={"conditions": [CREATED, BACKUP_PAUSED]}),
        excerpt="VirtualMachineBackupPaused",
    ),
    Case(why="records fail", given=vm("web-1", status={"conditions": [CREATED, BACKUP_FAILED]}), ready=True),
    Case(
        why="reverted to a snapshot",
        given=vm("web-1", meta=annotated("snapshot-revert-in-progress")),
        excerpt="being reverted to a snapshot; afterwards nothing registers it by itself: call RegisterVM",
        by_hand=True,
    ),
    Case(
        why="about to be reverted to a snapshot",
        given=vm("web-1", spec={"currentSnapshotName": "before-upgrade"}),
        excerpt="being reverted to a snapshot",
        by_hand=True,
    ),
    Case(
        why="reverted to a snapshot, which VM Operator takes for a restore",
        given=vm("web-1", status={"conditions": [CREATED, BACKUP_PAUSED, REVERTED]}),
        excerpt="after a revert nothing registers it by itself, so call RegisterVM",
        by_hand=True,
    ),
    Case(
        why="reverted long ago, and settled",
        given=vm("web-1", status={"conditions": [CREATED, REVERTED]}),
        ready=True,
    ),
    Case(
        why="another VM by both UUIDs",
        given=vm("web-1", spec={"instanceUUID": "x"}, status={"biosUUID": "y"}),
        excerpt="is another VM of that name (instance UUID x, the backup has instance-of-web-1)",
        blocked=True,
    ),
    Case(why="a VM is told by either UUID", given=vm("web-1", spec={"instanceUUID": "x"}), ready=True),
    Case(
        why="failed over to another vCenter, UUIDs may differ",
        given=vm("web-1", meta=annotated("failed-over-vm"), spec={"instanceUUID": "x"}, status={"biosUUID": "y"}),
        ready=True,
    ),
    Case(
        why="no readiness probe is needed, and one that has not passed does not matter",
        given=vm("web-1", spec={"readinessProbe": {"tcpSocket": {"port": 80}}}),
        ready=True,
    ),
    Case(
        why="a claim that is not there",
        given=vm("web-1", claims=["restored-a1b2c3"]),
        excerpt="waits for PVC restored-a1b2c3",
    ),
    Case(
        why="a claim that is not bound",
        given=vm("web-1", claims=["restored-a1b2c3"]),
        volumes=Volumes(phases={"restored-a1b2c3": "Pending"}),
        excerpt="waits for PVC restored-a1b2c3 (Pending)",
    ),
    Case(
        why="a bound claim",
        given=vm("web-1", claims=["restored-a1b2c3"]),
        volumes=Volumes(phases={"restored-a1b2c3": "Bound"}),
        ready=True,
    ),
    Case(
        why="a disk that is still being registered",
        given=vm("web-1", claims=["restored-a1b2c3"]),
        volumes=Volumes(phases={"restored-a1b2c3": "Bound"}, registering={"restored-a1b2c3": "busy"}),
        excerpt="waits for PVC restored-a1b2c3 (busy)",
    ),
]


def look(given: dict[str, Any] | None, volumes: Volumes | None = None, expected: Any = CAPTURED) -> Gate:
    return gate(read_vm(m(given)) if given else None, expected, volumes or Volumes())


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_gate(case: Case) -> None:
    observed = look(case.given, case.volumes)
    assert observed.ready is case.ready
    assert case.excerpt in observed.reason
    assert bool(observed.reason) is not case.ready
    assert not observed.never_lost
    assert (observed.blocked, observed.by_hand) == (case.blocked, case.by_hand)


def test_the_vm_that_was_backed_up_is_ready_whatever_its_version_and_volumes() -> None:
    alive = vm("web-1", uid="old", claims=["not-bound"], meta=annotated("backup-version", "9"))
    assert look(alive) == Gate(ready=True, never_lost=True, registered=True)


@pytest.mark.parametrize("mark", ["restored-vm", "failed-over-vm"])
def test_a_vm_that_was_restored_in_place_has_to_pass_like_a_new_one(mark: str) -> None:
    in_place = vm("web-1", uid="old", claims=["restored-a1b2c3"], meta=annotated(mark))
    observed = look(in_place)
    assert not observed.ready
    assert "restored-a1b2c3" in observed.reason
    assert not look(in_place, Volumes(phases={"restored-a1b2c3": "Bound"})).never_lost


def test_disks_that_alone_were_restored_are_waited_for_once_the_vm_names_them() -> None:
    disk_only = vm("web-1", uid="old", claims=["data", "restored-a1b2c3"])
    bound = look(disk_only, Volumes(phases={"data": "Bound", "restored-a1b2c3": "Bound"}))
    pending = look(disk_only, Volumes(phases={"data": "Bound", "restored-a1b2c3": "Pending"}))
    known = look(disk_only, expected=replace(CAPTURED, claims=("data", "restored-a1b2c3")))
    assert (pending.ready, pending.reason) == (False, "waits for PVC restored-a1b2c3 (Pending)")
    assert (bound.ready, bound.never_lost, known.never_lost) == (True, False, True)


@pytest.mark.parametrize(
    "trouble",
    [
        {"meta": annotated("paused")},
        {"meta": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"created": False},
        {"status": {"conditions": [CREATED, BACKUP_PAUSED]}},
        {"meta": annotated("snapshot-revert-in-progress")},
    ],
    ids=["paused", "being deleted", "not created", "restore detected", "reverting"],
)
def test_the_same_vm_in_trouble_is_waited_for(trouble: dict[str, Any]) -> None:
    assert not look(vm("web-1", uid="old", **trouble)).ready


def test_without_facts_identity_is_not_compared() -> None:
    assert look(vm("web-1", spec={"instanceUUID": "x"}, status={"biosUUID": "y"}), expected=None).ready
    assert look(vm("web-1"), expected=machine()).ready


def observed(stability: Stability, content: dict[str, Any] | None, at: float, sighting: Sighting | None = None) -> Gate:
    """Note one observation of the VM, and return the gate that it has by then."""
    latest = look(content)
    stability.note("web-1", latest, observed_at=at, sighting=sighting)
    return stability.settled("web-1", latest, present=content is not None, observed_at=at)


def test_stable_means_twice_and_five_seconds_apart() -> None:
    stability = Stability()

    def settled(at: float, *, created: bool = True) -> bool:
        return observed(stability, vm("web-1", created=created), at).ready

    assert STABLE_SECONDS == 5.0
    assert [settled(0), settled(0), settled(4.9), settled(5.0)] == [False, False, False, True]
    assert not settled(6, created=False)
    assert [settled(7), settled(11.9), settled(12)] == [False, False, True]


def test_a_vm_that_was_never_lost_has_nothing_to_settle() -> None:
    assert observed(Stability(), vm("web-1", uid="old"), 0).ready


def test_reading_a_gate_is_no_observation() -> None:
    stability, latest = Stability(), look(vm("web-1"))
    for at in (0, 10, 20):
        assert stability.settled("web-1", latest, present=True, observed_at=at).settling
    stability.note("web-1", latest, observed_at=20)
    assert stability.settled("web-1", latest, present=True, observed_at=20).settling
    assert stability.settled("web-1", latest, present=True, observed_at=20 + STABLE_SECONDS).ready


@pytest.mark.parametrize("sighted", [vm("web-1"), vm("web-1", created=False), vm("web-1", meta=annotated("paused"))])
def test_a_vm_that_was_registered_and_vanished_is_explained(sighted: dict[str, Any]) -> None:
    stability = Stability()
    observed(stability, sighted, 0)
    gone = observed(stability, None, 10)
    assert (gone.ready, gone.reason) == (False, VANISHED)
    assert "group as owner" in VANISHED


@pytest.mark.parametrize(
    "sighted",
    [
        None,
        vm("web-1", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        vm("web-1", spec={"instanceUUID": "x"}, status={"biosUUID": "y"}),
    ],
    ids=["never there", "on its way out", "another VM"],
)
def test_a_vm_that_was_not_registered_has_not_vanished(sighted: dict[str, Any] | None) -> None:
    stability = Stability()
    observed(stability, sighted, 0)
    assert observed(stability, None, 10).reason == "not registered yet"


def owner(uid: str) -> dict[str, Any]:
    return {
        "ownerReferences": [
            {"apiVersion": f"{VMOP}/v1alpha5", "kind": "VirtualMachineGroup", "name": "tier", "uid": uid}
        ]
    }


@pytest.mark.parametrize(
    ("groups", "dead"), [({}, True), ({"tier": "new"}, True), ({"tier": "old"}, False), ({"other": "old"}, True)]
)
def test_an_owner_that_is_gone_is_recognised_by_uid(groups: dict[str, str], dead: bool) -> None:  # noqa: FBT001 - a table
    reason = dead_owner(read_vm(m(vm("web-1", meta=owner("old")))), groups)
    assert bool(reason) is dead
    assert not dead or "tier" in reason


def test_one_live_owner_keeps_a_vm() -> None:
    two = {"ownerReferences": owner("old")["ownerReferences"] + owner("new")["ownerReferences"]}
    assert not dead_owner(read_vm(m(vm("web-1", meta=two))), {"tier": "new"})
    assert dead_owner(read_vm(m(vm("web-1", meta=two))), {"tier": "newer"})


DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("why", "meta", "excerpt"),
    [
        ("it was seen with its owner", owner("old"), "its only owner was the lost VirtualMachineGroup tier"),
        (
            "it was seen on its way out, with its owner",
            {**owner("old"), **DELETED},
            "its only owner was the lost VirtualMachineGroup tier, and Kubernetes deletes such a VM",
        ),
        ("it was seen on its way out", DELETED, "it was being deleted since 2026-01-01T00:00:00Z"),
        ("nothing more was seen", {}, "may name a lost group as owner"),
    ],
)
def test_the_cause_of_a_vm_that_is_gone_is_kept_from_what_was_seen(
    why: str, meta: dict[str, Any], excerpt: str
) -> None:
    stability, live = Stability(), vm("web-1", uid="new", meta=meta)
    sighting = Sighting.of(read_vm(m(live)), CAPTURED, {})
    observed(stability, live, 0, sighting)
    for at in (5, 10):
        gone = observed(stability, None, at)
        assert gone.reason.startswith("was registered and "), why
        assert excerpt in gone.reason, why


def test_the_vm_that_was_backed_up_and_is_on_its_way_out_was_not_registered() -> None:
    leaving = read_vm(m(vm("web-1", uid="old", meta=DELETED)))
    assert Sighting.of(leaving, CAPTURED, {}) is None


def test_a_vm_that_is_registered_once_more_is_remembered_as_it_is_now() -> None:
    stability = Stability()
    for at, meta in ((0, owner("old")), (20, {})):
        live = vm("web-1", uid=f"new-{at}", meta=meta)
        sighting = Sighting.of(read_vm(m(live)), CAPTURED, {})
        observed(stability, live, at, sighting)
    assert observed(stability, None, 30).reason == VANISHED


MEMBER = replace(CAPTURED, group_name="tier")


@pytest.mark.parametrize(
    ("why", "expected", "recorded", "groups", "excerpt"),
    [
        ("its record names a lost group", MEMBER, (("tier", "old"),), {}, "its record names the lost VirtualMachine"),
        ("the group was made anew", MEMBER, (("tier", "old"),), {"tier": "new"}, "its record names the lost"),
        ("its group is there", MEMBER, (("tier", "old"),), {"tier": "old"}, ""),
        ("only the capture tells", MEMBER, (), {}, "its record may name the lost group as its owner"),
        ("only the capture tells, and the group is there", MEMBER, (), {"tier": "old"}, ""),
        ("it was in no group", CAPTURED, (), {}, ""),
        ("nothing is known", None, (), {}, ""),
    ],
)
def test_the_record_and_the_capture_of_a_vm_that_never_came_say_what_to_look_for(
    why: str,
    expected: VmFacts | None,
    recorded: tuple[tuple[str, str], ...],
    groups: dict[str, str],
    excerpt: str,
) -> None:
    reason = never_seen(expected, recorded, groups)
    assert excerpt in reason, why
    assert bool(reason) is bool(excerpt), why


REMARKS = [
    (annotated("failed-over-vm"), {"instanceUUID": "x"}, "another identity"),
    (annotated("failed-over-vm"), {}, ""),
    (annotated("backup-version", "1699"), {}, "older restore point"),
    (annotated("backup-version", "1700"), {}, ""),
    (annotated("backup-version", "1701"), {}, ""),
    (annotated("backup-version", "no number"), {}, ""),
    ({}, {}, ""),
]


@pytest.mark.parametrize(("meta", "spec", "excerpt"), REMARKS)
def test_remarks(meta: dict[str, Any], spec: dict[str, Any], excerpt: str) -> None:
    expected = machine(uid="old", instance_uuid="instance-of-web-1", backup_version="1700")
    text = " ".join(remarks(read_vm(m(vm("web-1", meta=meta, spec=spec))), expected))
    assert excerpt in text
    assert bool(text) is bool(excerpt)


@pytest.mark.parametrize("finalizers", [[], ["vmoperator.vmware.com/virtualmachine"]])
def test_no_vms_finalizer_is_spoken_of_without_the_risk(finalizers: list[str]) -> None:
    meta = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers}
    reason = gate(read_vm(m(vm("web-1", meta=meta))), None, Volumes()).reason
    assert "is being deleted since 2026-01-01T00:00:00Z" in reason
    assert all(finalizer in reason for finalizer in finalizers)
    assert "data loss risk" in reason
    assert "kubectl describe virtualmachine web-1" in reason
