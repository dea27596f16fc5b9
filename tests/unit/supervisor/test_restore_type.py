"""Expectations: guide 4.3 and 6, and that marks stay on a VM and in its record (facts about VM Operator, 4.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.builders import condition, m, machine, vm
from velero_vmservice.supervisor.readiness import RestoreType, restore_type
from velero_vmservice.vmoperator.virtual_machine import read_vm

VMOP = "vmoperator.vmware.com"
CREATED = condition("VirtualMachineCreated")


@dataclass(frozen=True)
class Case:
    why: str
    want: RestoreType
    uid: str = "new"
    marks: tuple[str, ...] = ()
    claims: tuple[str, ...] = ("data", "log")
    captured: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case(why="a new UID and the mark", marks=("restored-vm",), want=RestoreType.NEW),
    Case(why="a new UID without the mark, and the same UUIDs", want=RestoreType.NEW),
    Case(
        why="a new UID without the mark, and other UUIDs",
        given={"spec": {"instanceUUID": "x"}, "status": {"biosUUID": "y"}},
        want=RestoreType.UNKNOWN,
    ),
    Case(why="failed over", marks=("failed-over-vm",), want=RestoreType.FAILOVER),
    Case(why="failed over into a VM that was there", uid="old", marks=("failed-over-vm",), want=RestoreType.FAILOVER),
    Case(
        why="failed over long ago, restored to new since: the old mark came with the record",
        marks=("failed-over-vm", "restored-vm"),
        captured={"failed_over": True},
        want=RestoreType.NEW,
    ),
    Case(
        why="failed over again",
        marks=("failed-over-vm",),
        captured={"failed_over": True},
        want=RestoreType.FAILOVER,
    ),
    Case(why="the same UID and the mark", uid="old", marks=("restored-vm",), want=RestoreType.EXISTING),
    Case(why="the same UID, alive", uid="old", want=RestoreType.NEVER_LOST),
    Case(
        why="restored long ago, never lost since",
        uid="old",
        marks=("restored-vm",),
        captured={"restored": True},
        want=RestoreType.NEVER_LOST,
    ),
    Case(
        why="restored long ago, and in place again: all its claims are new",
        uid="old",
        marks=("restored-vm",),
        captured={"restored": True},
        claims=("restored-0000aa", "restored-0000bb"),
        want=RestoreType.EXISTING,
    ),
    Case(why="one claim of two is new", uid="old", claims=("data", "restored-0000bb"), want=RestoreType.DISK_ONLY),
    Case(why="all claims are new, and no mark", uid="old", claims=("restored-0000bb",), want=RestoreType.DISK_ONLY),
    Case(
        why="one claim of two is new, of a VM that was restored long ago",
        uid="old",
        marks=("restored-vm",),
        captured={"restored": True},
        claims=("data", "restored-0000bb"),
        want=RestoreType.DISK_ONLY,
    ),
    Case(
        why="its claims were restored ones at the backup",
        uid="old",
        claims=("restored-0000bb",),
        captured={"claims": ("restored-0000bb",)},
        want=RestoreType.NEVER_LOST,
    ),
    Case(
        why="changed to a claim that RegisterVM did not name",
        uid="old",
        claims=("restored-x",),
        want=RestoreType.NEVER_LOST,
    ),
    Case(why="being deleted", uid="old", given={"meta": {"deletionTimestamp": "x"}}, want=RestoreType.UNKNOWN),
    Case(why="not found in vCenter", uid="old", given={"status": {"uniqueID": ""}}, want=RestoreType.UNKNOWN),
    Case(
        why="restored in vCenter, not registered yet",
        uid="old",
        given={
            "status": {
                "conditions": [
                    CREATED,
                    condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused"),
                ]
            }
        },
        want=RestoreType.UNKNOWN,
    ),
    Case(why="no UID was captured", captured={"uid": ""}, marks=("restored-vm",), want=RestoreType.UNKNOWN),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_how_a_vm_came_back(case: Case) -> None:
    captured = {
        "uid": "old",
        "instance_uuid": "instance-of-web-1",
        "bios_uuid": "bios-of-web-1",
        "claims": ("data", "log"),
        **case.captured,
    }
    annotations = {f"{VMOP}/{mark}": "" for mark in case.marks}
    given = dict(case.given)
    meta = {"annotations": annotations, **given.pop("meta", {})}
    restored_vm = vm("web-1", uid=case.uid, claims=case.claims, meta=meta, **given)
    assert restore_type(read_vm(m(restored_vm)), machine(**captured)) is case.want


@pytest.mark.parametrize(
    ("mark", "want"), [("failed-over-vm", RestoreType.FAILOVER), ("restored-vm", RestoreType.UNKNOWN)]
)
def test_without_facts_only_a_failover_shows(mark: str, want: RestoreType) -> None:
    restored_vm = vm("web-1", meta={"annotations": {f"{VMOP}/{mark}": ""}})
    assert restore_type(read_vm(m(restored_vm)), None) is want
