from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.builders import m, vm
from tests.unit.restored_vms import restored
from velero_vmservice.archive.facts import vm_facts
from velero_vmservice.preflight.records import in_vcenter, record_findings
from velero_vmservice.vsphere.extra_config import ExtraConfig
from velero_vmservice.vsphere.record import Record

WEB = vm_facts(m(vm("web-1", meta={"annotations": {"vmoperator.vmware.com/backup-version": "1000"}})))
SOUND = restored(moid="vm-web-1")

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a sound record": ({}, []),
    "none at all": ({"extra": ExtraConfig()}, ["vm-record-unusable"]),
    "one that cannot be read": (
        {"record": Record(problem="it is cut off: restore another", cause="it is cut off", code="X")},
        ["vm-record-unusable"],
    ),
    "an older version than the VirtualMachine's": (
        {"extra": replace(SOUND.extra, backup_version="999")},
        ["vm-record-outdated"],
    ),
    "a newer version": ({"extra": replace(SOUND.extra, backup_version="1001")}, []),
    "no version, as in vSphere 8.0 U3": ({"extra": replace(SOUND.extra, backup_version="")}, []),
    "something to look at": ({"record": Record(remarks=("no disk is recorded for PVC data",))}, ["vm-record-remark"]),
    "another VM with its BIOS UUID": ({"twins": ("vm-77",)}, ["bios-uuid-shared"]),
    "outside its folder": ({"in_folder": False, "folder": "attic"}, ["vm-not-in-folder"]),
}


@pytest.mark.parametrize(("given", "want"), CASES.values(), ids=CASES)
def test_what_vcenter_says_of_a_record(given: dict[str, Any], want: list[str]) -> None:
    findings = list(record_findings(WEB, replace(SOUND, **given)))
    assert [finding.code for finding in findings] == want
    assert all(finding.hint and finding.sentence().startswith("VirtualMachine web-1 ") for finding in findings)


def test_a_problem_is_said_without_the_remedy_of_a_restore() -> None:
    (finding,) = record_findings(
        WEB, replace(SOUND, record=Record(problem="it is cut off: restore another", cause="it is cut off"))
    )
    assert finding.message == "has a record that RegisterVM cannot use: it is cut off"


def test_a_vm_that_vcenter_does_not_show() -> None:
    assert [finding.code for finding in record_findings(WEB, None)] == ["vm-not-in-vcenter"]
    assert list(record_findings(replace(WEB, unique_id=""), None)) == []


def test_a_vm_is_known_by_its_managed_object_id_first() -> None:
    copy = restored(moid="vm-copy", name="web-1")
    assert in_vcenter([WEB], [copy, SOUND]) == {"web-1": SOUND}
    assert in_vcenter([WEB], [copy]) == {"web-1": copy}
    assert in_vcenter([WEB], []) == {"web-1": None}
