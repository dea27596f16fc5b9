"""Expectations: the guide's tables 7 and 11.2, and the API's AlreadyInDesiredState."""

from __future__ import annotations

from pathlib import Path

import pytest

from velero_vmservice.text import LONGEST_QUOTE
from velero_vmservice.vmoperator import releases
from velero_vmservice.vsphere.registervm_errors import PREFIX, TABLE, explain

CODES = {
    "VCenterWcpWorkloadRegisterVMVMNotFound": "managed object id",
    "VCenterWcpWorkloadRegisterVMDuplicateVMBiosUUID": "same BIOS UUID",
    "VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder": "folder",
    "VCenterWcpWorkloadRegisterVMValidateVMResourceFailed": "the list of its PVCs' disks",
    "VCenterWcpWorkloadRegisterVMAlreadyExistsOnSupervisor": "before VCF 9.0",
    "VCenterWcpWorkloadRegisterVMRegisterPVCFailed": "CNS",
    "VCenterWcpWorkloadRegisterVMConvertUnstructuredToVMTypeFailed": "older than v1alpha2",
    "AlreadyInDesiredState": "registered already",
}


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_the_guide_has_its_cause_and_its_remedy(code: str) -> None:
    entry = explain(code)

    assert entry.code == code
    assert CODES[code] in entry.cause
    assert entry.remedy
    assert str(entry) == f"{code}: {entry.cause}; {entry.remedy}"
    assert entry.known


def test_the_table_holds_those_codes_and_no_other() -> None:
    assert {entry.code for entry in TABLE} == set(CODES)
    assert releases.TOO_OLD in CODES


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.code.removeprefix(PREFIX))
def test_a_remedy_that_deletes_names_the_risk_and_is_left_to_a_person(entry: object) -> None:
    remedy = entry.remedy  # type: ignore[attr-defined] - an entry
    assert ("delete" in remedy) == ("(data loss risk: never done by this product)" in remedy)


def test_the_guide_deletes_in_two_remedies() -> None:
    deleting = {entry.code.removeprefix(PREFIX) for entry in TABLE if "delete" in entry.remedy}
    assert deleting == {"DuplicateVMBiosUUID", "AlreadyExistsOnSupervisor"}


def test_waiting_helps_only_where_the_vm_is_registered_already() -> None:
    assert [entry.code for entry in TABLE if entry.can_wait] == ["AlreadyInDesiredState"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("task-7 failed: VCenterWcpWorkloadRegisterVMDuplicateVMBiosUUID: vm-12 and vm-9", "DuplicateVMBiosUUID"),
        ("com.vmware.wcp.VCenterWcpWorkloadRegisterVMRegisterPVCFailed", "RegisterPVCFailed"),
        ('{"error_type":"ALREADY_IN_DESIRED_STATE"}', "AlreadyInDesiredState"),
        ("com.vmware.vapi.std.errors.already_in_desired_state", "AlreadyInDesiredState"),
        ("VMNotFound", "VMNotFound"),
        ("notfoundinnamespacefolder", "NotFoundInNamespaceFolder"),
        ("VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder", "NotFoundInNamespaceFolder"),
        ("ValidateVMResourceFailed: caused by ConvertUnstructuredToVMTypeFailed", "ValidateVMResourceFailed"),
    ],
)
def test_a_code_is_found_inside_a_longer_message(message: str, code: str) -> None:
    assert explain(message).code.removeprefix(PREFIX) == code


@pytest.mark.parametrize(
    "message",
    [
        "VCenterWcpWorkloadRegisterVMSomethingNew: vm-12",
        "VCenterWcpWorkloadRegisterVMVMNotFound2",
        "VMNotFound2: vm-12",
        "vm not found",
        "",
        "17",
    ],
)
def test_an_unknown_code_is_shown_as_it_came(message: str) -> None:
    entry = explain(message)

    assert str(entry) == entry.code == message
    assert not entry.known
    assert not entry.can_wait


def test_a_hostile_message_becomes_one_bounded_line() -> None:
    hostile = explain("boom\x1b[2J\r\n\u202e" + "x" * 10_000_000).code

    assert hostile.startswith("boom [2J x")
    assert hostile.endswith("…")
    assert len(hostile) == LONGEST_QUOTE


def test_the_documentation_explains_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "registration.md").read_text(encoding="utf-8")
    assert [entry.code for entry in TABLE if f"`{entry.code}`" not in page] == []
