"""Expectations: the guide's requirements of a record (7.1.2, 7.1.3), and the limits that `vsphere.record` states."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.emulator.vm_operator import records
from tests.emulator.wcp.vcenter import Disk
from tests.unit.builders import vm
from velero_vmservice.adapters.vcenter.record_yaml import MAX_ALIASES, MAX_DEPTH, MAX_NODES, parse_record
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere import record
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key
from velero_vmservice.vsphere.record import MAX_DISKS_TEXT, MAX_PACKED, MAX_TEXT, Record, judge
from velero_vmservice.vsphere.registervm_errors import INVALID_RECORD, TOO_OLD

VM, DISKS = SPELLINGS[Key.VM][0], SPELLINGS[Key.CLAIM_DISKS][0]
RESTORE = "restore the VM from another restore point"


def recorded(**known: Any) -> dict[str, str]:
    """Record a VM as VM Operator does, with a disk behind each claim."""
    machine = vm("web-1", **known)
    volumes = machine["spec"].get("volumes") or []
    disks = [
        Disk(name=volume["name"], file=f"[ds] web-1/{volume['name']}.vmdk", uuid=volume["name"]) for volume in volumes
    ]
    return records.recorded(machine, others=(), disks=disks, version="1700")


def judged(entries: dict[str, str], **changed: str) -> Record:
    return judge(entries | {SPELLINGS[Key[key]][0]: value for key, value in changed.items()}, parse_record).record


def packed(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    return base64.b64encode(gzip.compress(content)).decode()


def test_a_record_of_vm_operator_is_read() -> None:
    record = judged(
        recorded(claims=["data", "logs"], meta={"annotations": {"vmoperator.vmware.com/manager-id": "vc-1"}})
    )

    assert (record.problem, record.code, record.remarks) == ("", "", ())
    assert record.manager_id == "vc-1"


def test_the_guides_spelling_is_read_like_vm_operators() -> None:
    entries = recorded(claims=["data"])
    respelled = {SPELLINGS[Key.VM][1]: entries[VM], SPELLINGS[Key.CLAIM_DISKS][1]: entries[DISKS]}
    assert judged(respelled) == judged(entries)
    assert judged(respelled).problem == ""


def test_a_vm_without_volumes_needs_no_list_of_disks() -> None:
    entries = recorded()
    assert DISKS not in entries
    assert judged(entries) == Record(interfaces={"eth0": Subnet(type="SUBNETSET")}, remarks=())


def test_a_vm_with_volumes_needs_one() -> None:
    entries = recorded(claims=["data"])
    del entries[DISKS]
    record = judged(entries)

    assert record.code == INVALID_RECORD
    assert "(pvc-disk-data) is missing, and the VM has volumes: data" in record.problem
    assert RESTORE in record.problem


def test_a_volume_whose_disk_is_not_recorded_is_remarked() -> None:
    record = judged(recorded(claims=["data", "logs"]), CLAIM_DISKS=packed(json.dumps([{"PVCName": "data"}])))
    assert record.problem == ""
    assert record.remarks == ("no disk is recorded for PVC logs: RegisterVM will not bring it back",)


def test_a_record_of_another_vm_is_remarked() -> None:
    (remark,) = judged(recorded(), NAMESPACED_NAME="shop/web-2").remarks
    assert remark == "the ExtraConfig is of shop/web-2, and the record in it of shop/web-1: it may be a copy"


@pytest.mark.parametrize(
    ("version", "code", "excerpt"),
    [
        ("v1alpha1", TOO_OLD, "recorded at v1alpha1, and RegisterVM restores none older than v1alpha2 (guide 7.1.2)"),
        ("v1alpha2", "", ""),
        ("v1alpha5", "", ""),
        ("latest", INVALID_RECORD, "has the API version 'latest', which is not one"),
    ],
)
def test_the_recorded_api_version_decides_whether_it_can_come_back(version: str, code: str, excerpt: str) -> None:
    machine = {**vm("web-1"), "apiVersion": f"vmoperator.vmware.com/{version}"}
    record = judged({VM: packed(yaml.safe_dump(machine))})
    assert record.code == code
    assert excerpt in record.problem


def test_a_newer_version_than_the_guide_knows_is_remarked() -> None:
    machine = {**vm("web-1"), "apiVersion": "vmoperator.vmware.com/v1alpha6"}
    record = judged({VM: packed(yaml.safe_dump(machine))})
    assert record.problem == ""
    assert "recorded at v1alpha6, and the guide says nothing of versions after v1alpha5" in record.remarks[0]


BOMB = base64.b64encode(gzip.compress(b"a" * 300_000_000, compresslevel=1)).decode()
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{key}: &{key} [{','.join([f'*{before}'] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)
WHOLE = packed(yaml.safe_dump(vm("web-1")))

HOSTILE = [
    ("nothing at all", "", "is missing: the VM is not of VM Service, or its VADP job lost it"),
    ("no base64", "not base64!", "it is not base64"),
    ("no ASCII", "Ω", "it is not base64"),
    ("base64 cut off", WHOLE[:-3], "it is not base64"),
    ("no gzip", base64.b64encode(b"apiVersion: v1").decode(), "it is not gzip"),
    ("gzip cut off", base64.b64encode(base64.b64decode(WHOLE)[:-20]).decode(), "its gzip is cut off"),
    ("something after the gzip", base64.b64encode(base64.b64decode(WHOLE) + b"more").decode(), "or more follows it"),
    ("a wrong checksum", base64.b64encode(base64.b64decode(WHOLE)[:-8] + b"\0" * 8).decode(), "it is not gzip"),
    ("a decompression bomb", BOMB, f"unpacks to more than {MAX_TEXT} bytes"),
    ("a value without end", "A" * (MAX_PACKED + 1), f"is longer than {MAX_PACKED} characters"),
    ("no text", packed(b"\xff\xfe"), "it is not UTF-8 text"),
    ("an empty text", packed(""), "is not a JSON object"),
    ("no YAML", packed("a: b: c"), "it is not YAML, line 1"),
    ("two documents", packed("a: b\n---\nc: d"), "it is not YAML"),
    ("control characters", packed("a: \x00"), "it is not YAML"),
    ("no object", packed("- a"), "is not a JSON object"),
    ("no name", packed("apiVersion: v1\nkind: VirtualMachine"), "no apiVersion, kind or metadata.name"),
    ("another kind", packed(yaml.safe_dump({**vm("web-1"), "kind": "Secret"})), "is not a VirtualMachine but"),
    ("an alias bomb", packed(LAUGHS), "it has more than 20000 values, its aliases resolved"),
    ("many aliases", packed("a: &a b\nc: [" + "*a," * 200 + "]"), "it has more than 100 aliases"),
    ("an alias of itself", packed("&a [*a]"), "stands for nothing, or for what it is part of"),
    ("the same, hidden by an earlier anchor", packed("- &a b\n- &a [*a]"), "or for what it is part of"),
    ("an alias of nothing", packed("*a"), "stands for nothing"),
    ("a tag that runs code", packed("!!python/object/apply:os.system [exit]"), "it has YAML tags"),
    ("a deep nest", packed("[" * 100_000), "it is nested deeper than 64 levels"),
    ("a wide list", packed("- a\n" * 400_000), "it has more than 20000 values"),
    ("keys that cannot be keys", packed("? [a]\n: b"), "it is not YAML"),
]


@pytest.mark.parametrize(("value", "excerpt"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_each_way_to_be_damaged_has_one_sentence(value: str, excerpt: str) -> None:
    record = judged(recorded(claims=["data"]), VM=value)

    assert record.code == INVALID_RECORD
    assert excerpt in record.problem
    assert record.problem.startswith("the VirtualMachine in the ExtraConfig (vm-resource-yaml) ")
    assert RESTORE in record.problem
    assert "\n" not in record.problem
    assert record.interfaces == {}


@pytest.mark.parametrize(
    ("value", "excerpt"),
    [
        ("x", "it is not base64"),
        (packed("{"), "it is not JSON"),
        (packed("[" * 100_000), "it is not JSON"),
        (packed("9" * 5000), "it is not JSON"),
        (packed("{}"), "it is not a list"),
        (packed(b"a" * (MAX_DISKS_TEXT + 1)), f"unpacks to more than {MAX_DISKS_TEXT} bytes"),
    ],
)
def test_each_way_in_which_the_list_of_disks_is_damaged_has_one_sentence(value: str, excerpt: str) -> None:
    record = judged(recorded(claims=["data"]), CLAIM_DISKS=value)
    assert record.code == INVALID_RECORD
    assert excerpt in record.problem
    assert record.problem.startswith("the list of disks in the ExtraConfig (pvc-disk-data) ")


def test_entries_of_the_list_that_are_none_are_passed_over() -> None:
    listed = '[1, {"PVCName": 7}, {"PVCName": "data"}, {}, null]'
    record = judged(recorded(claims=["data"]), CLAIM_DISKS=packed(listed))
    assert (record.problem, record.remarks) == ("", ())


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    unpacked: list[str] = []
    judged({VM: packed(b"a: b\n" + b"#" * (MAX_TEXT - 5))})
    record = judge({VM: BOMB}, unpacked.append).record  # type: ignore[func-returns-value]  # never called
    assert (record.code, unpacked) == (INVALID_RECORD, [])


def test_the_limits_hold_what_a_cluster_can_hold() -> None:
    etcd = 1_572_864
    assert etcd < record.MAX_TEXT
    assert len(base64.b64encode(b"x" * record.MAX_TEXT)) <= record.MAX_PACKED


def test_the_documentation_states_the_limits() -> None:
    page = (Path(__file__).parents[3] / "docs" / "registration-internals.md").read_text(encoding="utf-8")
    limits = [f"{MAX_PACKED >> 20} MiB", f"{MAX_TEXT >> 20} MiB", f"{MAX_DISKS_TEXT >> 10} KiB", f"{MAX_DEPTH} levels"]
    limits += [f"{MAX_NODES:,} values", f"{MAX_ALIASES} aliases"]
    assert [limit for limit in limits if limit not in page.replace("\n", " ")] == []


def test_secrets_are_never_unpacked() -> None:
    assert judged(recorded(), ADDITIONAL="no base64 either").problem == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 0x1F", {"a": "0x1F"}),
        ("a: 010", {"a": "010"}),
        ("a: [yes, true, ~, null, '', -7, 1.5, 1e16, 0o7]", {"a": ["yes", True, None, None, "", -7, 1.5, 1e16, "0o7"]}),
        ("a: &x {b: c}\nd: *x", {"a": {"b": "c"}, "d": {"b": "c"}}),
        ('{"json": ["is", "YAML", 1]}', {"json": ["is", "YAML", 1]}),
        ("", None),
    ],
)
def test_yaml_means_what_json_can_say(text: str, value: object) -> None:
    assert parse_record(text) == value


def test_the_groups_that_a_record_names_as_owners_are_read() -> None:
    owner = {
        "apiVersion": "vmoperator.vmware.com/v1alpha5",
        "kind": "VirtualMachineGroup",
        "name": "tier",
        "uid": "u-1",
    }
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "settings", "uid": "u-2"}
    assert judged(recorded(meta={"ownerReferences": [owner, other]})).owners == (("tier", "u-1"),)


def test_the_cause_of_a_problem_has_no_remedy() -> None:
    damaged = judge({VM: "no base64!"}, parse_record).record
    assert damaged.problem.startswith(f"{damaged.cause}: ")
    assert damaged.cause.endswith("is damaged: it is not base64")
    assert record.too_long(3).record.problem.startswith(f"{record.too_long(3).record.cause}: ")
