"""Expectations: what the guide requires of a saved VM (5.2, 5.3, 7.1.2, 7.1.3) and what it asks for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.emulator import vmx as emulator
from tests.emulator.vm_operator import records
from tests.unit.builders import vm
from tests.unit.vsphere.saved.vms import (
    BIOS,
    BOOT,
    INSTANCE,
    VERSION,
    bootstrap,
    classic,
    examined,
    extra_config,
    files,
    saved,
    secret,
    spelling,
)
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key
from velero_vmservice.vsphere.saved import vmx
from velero_vmservice.vsphere.saved.contents import BootstrapObject
from velero_vmservice.vsphere.saved.findings import RULES, FindingKind, Severity, Verdict

if TYPE_CHECKING:
    from velero_vmservice.vsphere.saved.examination import Examination

ALWAYS = [FindingKind.SPELLING, FindingKind.AUTOMATIC_REGISTRATION]


def kinds(examination: Examination) -> list[FindingKind]:
    return [finding.kind for finding in examination.findings if finding.kind not in ALWAYS]


def sentence(examination: Examination, kind: FindingKind) -> str:
    (text,) = [finding.sentence for finding in examination.findings if finding.kind is kind]
    return text


def test_a_sound_file_has_nothing_but_notes() -> None:
    examination = examined(saved())

    assert [finding.kind for finding in examination.findings] == ALWAYS
    assert examination.verdict is Verdict.RESTORABLE
    assert (examination.namespace, examination.name) == ("shop", "web-1")
    assert examination.extra.backup_version == VERSION
    assert {node: (disk.file, disk.claim) for node, disk in examination.disks.recorded.items()} == {
        "scsi0:0": (BOOT, ""),
        "scsi0:1": ("[ds] fcd/data.vmdk", "data"),
    }


def test_each_kind_of_finding_has_a_rule_and_only_notes_have_no_hint() -> None:
    assert set(RULES) == set(FindingKind)
    assert [kind for kind, rule in RULES.items() if not rule.hint and rule.severity is not Severity.NOTE] == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", FindingKind.NOT_A_VMX),
        (b"\0" * 4096, FindingKind.NOT_A_VMX),
        (b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\n", FindingKind.NOT_A_VMX),
        (b'.encoding = "UTF-8"\nsnapshot.lastUID = "1"\n', FindingKind.NOT_A_VMX),
        (b"<Foundry/>\n", FindingKind.NOT_A_VMX),
        (b"x" * (vmx.MAX_BYTES + 1), FindingKind.TOO_LARGE),
        (b"a=b\n" * vmx.MAX_LINES, FindingKind.TOO_LARGE),
        (
            emulator.write({"displayName": "x", "encryption.keySafe": "vmware:key/…", "encryption.data": "…"}),
            FindingKind.ENCRYPTED,
        ),
    ],
    ids=["empty", "zeros", "vmdk", "vmsd", "vmxf", "large", "lines", "encrypted"],
)
def test_a_file_that_says_nothing_of_the_vm_is_no_answer(content: bytes, kind: FindingKind) -> None:
    examination = examined(content)
    assert (kinds(examination), examination.verdict) == ([kind], Verdict.UNREADABLE)


def test_a_file_with_extra_config_alone_is_judged_by_that() -> None:
    examination = examined(emulator.write(extra_config()))
    assert (kinds(examination), examination.verdict) == ([FindingKind.INCOMPLETE], Verdict.WITH_WARNINGS)


def test_a_file_that_was_cut_off_is_judged_by_what_is_left() -> None:
    whole = saved()
    examination = examined(whole[:-40])
    assert FindingKind.CUT_OFF in kinds(examination)
    assert examination.verdict is Verdict.NOT_RESTORABLE


@pytest.mark.parametrize(
    ("changes", "kind", "excerpt"),
    [
        ({"VM": ""}, FindingKind.RECORD_MISSING, "(vm-resource-yaml) is missing"),
        ({"VM": "no base64!"}, FindingKind.RECORD_DAMAGED, "it is not base64"),
        ({"VM": records.encode("a" * 9_000_000)}, FindingKind.RECORD_DAMAGED, "unpacks to more than"),
        ({"VM": records.encode("a: &a [b]\nc: [" + "*a," * 200 + "]")}, FindingKind.RECORD_DAMAGED, "100 aliases"),
        (
            {"VM": records.encode(yaml.safe_dump(secret("x")))},
            FindingKind.RECORD_OF_OTHER_KIND,
            "not a VirtualMachine but",
        ),
        ({"CLAIM_DISKS": ""}, FindingKind.PVC_DISKS_MISSING, "is missing, and the VM has volumes: data"),
        ({"CLAIM_DISKS": records.encode("{")}, FindingKind.PVC_DISKS_DAMAGED, "it is not JSON"),
        ({"ADDITIONAL": "no base64!"}, FindingKind.BOOTSTRAP_DAMAGED, "it is not base64"),
        ({"ADDITIONAL": records.encode("kind: Secret")}, FindingKind.BOOTSTRAP_DAMAGED, "object 1 of"),
        ({"ADDITIONAL": records.encode("a: b\n---\n" * 101)}, FindingKind.BOOTSTRAP_DAMAGED, "more than 100 objects"),
    ],
)
def test_what_the_guide_requires_keeps_the_vm_from_being_restored(
    changes: dict[str, str], kind: FindingKind, excerpt: str
) -> None:
    examination = examined(saved(**changes))
    assert examination.verdict is Verdict.NOT_RESTORABLE
    assert excerpt in sentence(examination, kind)


@pytest.mark.parametrize(
    ("version", "kind", "verdict"),
    [
        ("v1alpha1", FindingKind.API_VERSION_TOO_OLD, Verdict.NOT_RESTORABLE),
        *[(version, None, Verdict.RESTORABLE) for version in ("v1alpha2", "v1alpha3", "v1alpha4", "v1alpha5")],
        ("v1alpha6", FindingKind.API_VERSION_NEWER, Verdict.WITH_WARNINGS),
        ("latest", FindingKind.API_VERSION_UNKNOWN, Verdict.NOT_RESTORABLE),
    ],
)
def test_the_api_version_decides(version: str, kind: FindingKind | None, verdict: Verdict) -> None:
    machine = vm("web-1", claims=["data"], spec={"instanceUUID": INSTANCE})
    machine["apiVersion"] = f"vmoperator.vmware.com/{version}"
    examination = examined(saved(VM=records.encode(yaml.safe_dump(machine))))
    assert (kinds(examination), examination.verdict) == ([kind] if kind else [], verdict)


def test_a_vm_without_pvcs_needs_no_list_of_their_disks() -> None:
    entries = extra_config(claims=())
    assert spelling(Key.CLAIM_DISKS) not in entries
    assert kinds(examined(saved(entries, disks=files()))) == []


def test_a_pvc_without_a_recorded_disk_is_a_warning() -> None:
    listed = records.encode(json.dumps([{"FileName": "[ds] fcd/data.vmdk", "PVCName": "data"}]))
    examination = examined(saved(extra_config(claims=("data", "logs")), CLAIM_DISKS=listed))
    assert kinds(examination) == [FindingKind.PVC_WITHOUT_DISK]
    assert sentence(examination, FindingKind.PVC_WITHOUT_DISK).endswith(": logs")


@pytest.mark.parametrize(
    ("changes", "kind", "excerpt"),
    [
        ({"NAMESPACED_NAME": ""}, FindingKind.NAMESPACED_NAME_MISSING, "vmservice.namespacedName is missing"),
        ({"NAMESPACED_NAME": "web-1"}, FindingKind.NAMESPACED_NAME_MISSING, "not of the form NAMESPACE/NAME"),
        (
            {"NAMESPACED_NAME": "shop/web-2"},
            FindingKind.NAME_DIFFERS,
            "is shop/web-2, and the record",
        ),
        (
            {"NAMESPACED_NAME": "mall/web-1"},
            FindingKind.NAME_DIFFERS,
            "the record is that of shop/web-1",
        ),
        ({"BACKUP_VERSION": "soon"}, FindingKind.BACKUP_VERSION_MALFORMED, "'soon' is no time in Unix milliseconds"),
        ({"BACKUP_VERSION": VERSION[:10]}, FindingKind.BACKUP_VERSION_MALFORMED, "is no time in Unix milliseconds"),
        ({"BACKUP_VERSION": "9" * 400}, FindingKind.BACKUP_VERSION_MALFORMED, "is no time in Unix milliseconds"),
        ({"DISABLE": "yes"}, FindingKind.OPT_OUT_WITHOUT_EFFECT, "is 'yes', and only 'true' has an effect"),
        ({"CLASSIC_DISKS": records.encode("7")}, FindingKind.CLASSIC_DISKS_DAMAGED, "it is not a list"),
    ],
)
def test_what_the_guide_asks_for_is_a_warning(changes: dict[str, str], kind: FindingKind, excerpt: str) -> None:
    examination = examined(saved(**changes))
    assert (kinds(examination), examination.verdict) == ([kind], Verdict.WITH_WARNINGS)
    assert excerpt in sentence(examination, kind)


def test_a_missing_backup_version_is_a_note_that_says_when_it_is_needed() -> None:
    examination = examined(saved(BACKUP_VERSION=""))
    assert (kinds(examination), examination.verdict) == ([FindingKind.BACKUP_VERSION_MISSING], Verdict.RESTORABLE)
    assert "restore in place or of disks alone" in RULES[FindingKind.BACKUP_VERSION_MISSING].hint


@pytest.mark.parametrize(
    ("places", "excerpt"),
    [
        ((0,), "spelled as VM Operator writes them"),
        ((1,), "spelled as the guide has them"),
        ((0, 1), "spelled in two ways; in both of them: vm-resource-yaml; "),
    ],
)
def test_the_record_is_read_in_both_spellings(places: tuple[int, ...], excerpt: str) -> None:
    written = extra_config()
    respelled = {
        spellings[min(place, len(spellings) - 1)]: written[spellings[0]]
        for place in places
        for spellings in SPELLINGS.values()
        if spellings[0] in written
    }
    examination = examined(saved(respelled))
    assert (kinds(examination), examination.verdict) == ([], Verdict.RESTORABLE)
    assert excerpt in sentence(examination, FindingKind.SPELLING)


def test_two_values_of_one_key_are_a_warning_and_vm_operators_counts() -> None:
    guides = spelling(Key.BACKUP_VERSION, 1)
    examination = examined(saved(extra_config() | {guides: "1764475200000"}))
    assert kinds(examination) == [FindingKind.SPELLINGS_DIFFER]
    assert examination.extra.backup_version == VERSION


def test_names_are_read_in_any_case() -> None:
    entries = {key.upper(): value for key, value in extra_config().items()}
    assert kinds(examined(saved(entries))) == []


def test_a_key_under_another_name_is_not_read_and_named() -> None:
    entries = {f"guestinfo.{key}": value for key, value in extra_config().items()}
    examination = examined(saved(entries))
    assert FindingKind.RECORD_MISSING in kinds(examination)
    assert "guestinfo.vmservice.virtualmachine.resource.yaml" in sentence(examination, FindingKind.OTHER_NAME)


def test_a_key_of_the_record_that_is_there_twice_is_an_error_only_if_the_values_differ() -> None:
    line = f'{spelling(Key.VM)} = "%s"\n'
    same, other = extra_config()[spelling(Key.VM)], "H4sIAAAA"
    assert kinds(examined(saved() + (line % same).encode())) == [FindingKind.REPEATED_ENTRY]
    assert kinds(examined(saved() + (line % other).encode())) == [FindingKind.CONFLICTING_ENTRY]


@pytest.mark.parametrize(
    ("more", "kind", "excerpt"),
    [
        (b'memSize = "1"\n', FindingKind.REPEATED_ENTRY, "memsize"),
        (b"nonsense\n", FindingKind.MALFORMED_LINES, "lines that are no entries of a VMX file: 3"),
        (b'annotation = "\xff"\n', FindingKind.ENCODING, "not text in UTF-8: annotation"),
    ],
)
def test_what_is_odd_in_the_file_is_a_warning(more: bytes, kind: FindingKind, excerpt: str) -> None:
    examination = examined(saved() + more)
    assert kinds(examination) == [kind]
    assert excerpt in sentence(examination, kind)


def test_an_unknown_encoding_is_a_warning() -> None:
    assert kinds(examined(saved().replace(b'"UTF-8"', b'"rot13"', 1))) == [FindingKind.ENCODING]


def test_other_uuids_and_another_name_are_remarked() -> None:
    content = saved().replace(b"42 1d 0a", b"42 1d 0b").replace(b'displayName = "web-1"', b'displayName = "web-1 copy"')
    examination = examined(content)
    assert kinds(examination) == [FindingKind.DISPLAY_NAME_DIFFERS, FindingKind.UUID_DIFFERS]
    assert BIOS in sentence(examination, FindingKind.UUID_DIFFERS)
    assert INSTANCE not in sentence(examination, FindingKind.UUID_DIFFERS)


@pytest.mark.parametrize(
    ("disks", "changes", "kind", "verdict"),
    [
        (files(), {}, FindingKind.DISK_NOT_SAVED, Verdict.NOT_RESTORABLE),
        (files(), {"CLASSIC_DISKS": ""}, FindingKind.DISK_NOT_SAVED, Verdict.NOT_RESTORABLE),
        (files("moved"), {}, FindingKind.DISK_ELSEWHERE, Verdict.WITH_WARNINGS),
        (files("moved"), {"CLASSIC_DISKS": ""}, FindingKind.DISK_ELSEWHERE, Verdict.WITH_WARNINGS),
        (files("data", "more"), {}, FindingKind.DISK_IN_NO_RECORD, Verdict.WITH_WARNINGS),
        (files("data"), {"CLASSIC_DISKS": ""}, FindingKind.CLASSIC_DISKS_NOT_RECORDED, Verdict.RESTORABLE),
        (["web-1-000001.vmdk", "x/data.vmdk"], {}, FindingKind.DISK_ON_SNAPSHOT, Verdict.RESTORABLE),
        ([*files("data"), "web-1.vmdk"], {}, FindingKind.DISK_TWICE, Verdict.WITH_WARNINGS),
        (files("data"), {"CLASSIC_DISKS": classic(BOOT, BOOT)}, FindingKind.DISK_TWICE, Verdict.WITH_WARNINGS),
    ],
)
def test_disks_of_the_file_are_those_that_are_recorded(
    disks: list[str], changes: dict[str, str], kind: FindingKind, verdict: Verdict
) -> None:
    examination = examined(saved(disks=disks, **changes))
    assert kind in kinds(examination)
    assert examination.verdict is verdict


def test_a_list_that_cannot_be_read_says_nothing_of_the_disks() -> None:
    assert kinds(examined(saved(disks=files("data", "more"), CLAIM_DISKS="x"))) == [FindingKind.PVC_DISKS_DAMAGED]


@pytest.mark.parametrize(
    ("entry", "excerpt"),
    [
        (
            b'scsi0:1.mode = "independent-persistent"\n',
            "fcd/data.vmdk is independent-persistent",
        ),
        (b'scsi0:1.sharing = "multi-writer"\n', "is shared by several writers"),
    ],
)
def test_a_disk_that_no_snapshot_takes_is_not_in_the_backup(entry: bytes, excerpt: str) -> None:
    examination = examined(saved() + entry)
    assert kinds(examination) == [FindingKind.DISK_OUTSIDE_SNAPSHOTS]
    assert excerpt in sentence(examination, FindingKind.DISK_OUTSIDE_SNAPSHOTS)


def test_bootstrap_objects_are_known_by_their_names() -> None:
    others = [secret("web-1-user-data"), {**secret("web-1-network"), "kind": "ConfigMap"}]
    examination = examined(saved(extra_config(others=others, spec={"bootstrap": bootstrap()})))
    assert examination.bootstrap == (
        BootstrapObject(kind="ConfigMap", namespace="shop", name="web-1-network"),
        BootstrapObject(kind="Secret", namespace="shop", name="web-1-user-data"),
    )
    assert kinds(examination) == []


def test_a_bootstrap_object_that_is_not_recorded_is_a_warning() -> None:
    examination = examined(saved(extra_config(spec={"bootstrap": bootstrap("web-1-user-data")})))
    assert kinds(examination) == [FindingKind.BOOTSTRAP_NOT_RECORDED]
    assert sentence(examination, FindingKind.BOOTSTRAP_NOT_RECORDED).endswith("not recorded: web-1-user-data")


@pytest.mark.parametrize(
    ("changes", "states"),
    [
        ({}, "off on VCF 9.0+, on on vSphere 8.0 U3"),
        ({"ENABLE": "yes"}, "on on VCF 9.0+, on on vSphere 8.0 U3"),
        ({"DISABLE": "TRUE"}, "off on VCF 9.0+, off on vSphere 8.0 U3"),
    ],
)
def test_automatic_registration_is_stated_for_each_release(changes: dict[str, str], states: str) -> None:
    assert sentence(examined(saved(**changes)), FindingKind.AUTOMATIC_REGISTRATION).endswith(states)


def test_every_fault_is_found_at_once() -> None:
    examination = examined(saved(disks=files(), VM="x", ADDITIONAL="x", BACKUP_VERSION="x", NAMESPACED_NAME=""))
    wanted: list[Any] = [
        FindingKind.RECORD_DAMAGED,
        FindingKind.NAMESPACED_NAME_MISSING,
        FindingKind.BACKUP_VERSION_MALFORMED,
        FindingKind.BOOTSTRAP_DAMAGED,
        FindingKind.DISK_NOT_SAVED,
    ]
    assert kinds(examination) == wanted
