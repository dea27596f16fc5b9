from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.emulator.vm_operator import records
from tests.tools.markdown import ROOT, read
from tests.tools.walkthroughs import sections
from tests.unit.vsphere.saved.vms import BOOT, SECRETS, VERSION, bootstrap, extra_config, saved, secret
from velero_vmservice.vsphere.saved.findings import RULES
from velero_vmservice.vsphere.saved.vmx import MAX_BYTES

GUIDE = ROOT / "docs" / "vadp.md"

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine


@pytest.fixture(name="vmx")
def _vmx(tmp_path: Path) -> Path:
    """The file of a VM whose bootstrap Secret, and whose spec, hold secrets."""
    file = tmp_path / "web-1.vmx"
    file.write_bytes(saved(extra_config(others=[secret("web-1-user-data")], spec={"bootstrap": bootstrap()})))
    return file


def test_a_whole_file_is_restorable(command: CommandLine, vmx: Path) -> None:
    ran = command("validate-vmx", str(vmx))
    assert (ran.code, ran.err) == (0, "")
    assert ran.rows == [["FILE", "VM", "VERDICT", "FINDINGS"], [str(vmx), "shop/web-1", "restorable", "-"]]


def test_wide_tells_notes_disks_and_version(command: CommandLine, vmx: Path) -> None:
    (wide,) = command("validate-vmx", str(vmx), "-o", "wide", "--no-headers").lines
    assert "note: its keys are spelled as VM Operator writes them" in wide
    assert "2025-11-30T04:00:00+00:00" in wide


def test_a_file_without_the_record_is_not_restorable(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "web-1.vmx").write_bytes(saved(VM=""))
    ran = command("validate-vmx", str(tmp_path / "web-1.vmx"))
    assert ran.code == 3
    assert "not-restorable" in ran.lines[1]
    assert ran.lines[-1].startswith("to do: have the VADP job save the VMX file with all vmservice. keys")


def test_the_gravest_of_several_files_is_the_exit_code(command: CommandLine, vmx: Path, tmp_path: Path) -> None:
    (tmp_path / "other.vmx").write_bytes(saved(VM=""))
    ran = command("validate-vmx", str(vmx), str(tmp_path / "nowhere.vmx"), str(tmp_path / "other.vmx"), "-o", "json")
    assert ran.code == 3
    assert [entry["verdict"] for entry in json.loads(ran.out)] == ["restorable", "unreadable", "not-restorable"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x00\x01\x02", "it has no entry that a VMX file has"),
        (b"", "it has no entry that a VMX file has"),
        (b"a\n" * 200_000, "and no VMX file has"),
    ],
)
def test_what_is_no_vmx_is_unreadable(command: CommandLine, tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "web-1.vmx").write_bytes(content)
    ran = command("validate-vmx", str(tmp_path / "web-1.vmx"))
    assert ran.code == 1
    assert sentence in ran.out


def test_a_directory_is_refused_in_a_sentence(command: CommandLine, tmp_path: Path) -> None:
    ran = command("validate-vmx", str(tmp_path))
    assert (ran.code, "it is a directory" in ran.out) == (1, True)


def test_standard_input_is_a_file_and_read_once(command: CommandLine, vmx: Path) -> None:
    ran = command("validate-vmx", "-", "-", "--no-headers", typed=vmx.read_text())
    assert (ran.code, ran.rows) == (0, [["-", "shop/web-1", "restorable", "-"]])


def test_programs_read_the_disks_of_the_file_beside_those_of_the_record(command: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "web-1.vmx"
    file.write_bytes(saved(disks=["web-1.vmdk"]))
    (entry,) = json.loads(command("validate-vmx", str(file), "-o", "json").out)
    assert [(disk["node"], disk["file"], disk["recorded_file"], disk["claim"]) for disk in entry["disks"]] == [
        ("scsi0:0", "web-1.vmdk", BOOT, ""),
        ("", "", "[ds] fcd/data.vmdk", "data"),
    ]
    assert [finding["finding"] for finding in entry["findings"] if finding["severity"] == "error"] == ["disk-not-saved"]


def test_nothing_that_a_process_prints_or_logs_holds_a_secret(vmx: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.vmx"
    damaged.write_bytes(saved(ADDITIONAL=records.encode("kind: Secret\ndata: {a: topsecret}\npa55word")))
    for arguments in (
        ["validate-vmx", str(vmx), str(damaged), "-o", "json"],
        ["extraconfig", "show", str(damaged), "-o", "json"],
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "velero_vmservice.cli", "-vv", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "web-1" in ran.stdout
        assert [planted for planted in SECRETS if planted in ran.stdout + ran.stderr] == []


def test_contents_are_shown_without_a_secret(command: CommandLine, vmx: Path) -> None:
    for form in ("yaml", "json"):
        ran = command("-vv", "extraconfig", "show", str(vmx), "-o", form)
        assert ran.code == 0
        assert not [planted for planted in SECRETS if planted in ran.out + ran.err]
        shown = yaml.safe_load(ran.out)
        assert shown["bootstrap_objects"] == ["Secret shop/web-1-user-data"]
        assert shown["backup_version"] == VERSION
        assert shown["virtual_machine"]["metadata"]["name"] == "web-1"
        assert [(disk["node"], disk["claim"]) for disk in shown["disks"]] == [("scsi0:0", ""), ("scsi0:1", "data")]


def test_what_cannot_be_shown_is_said(command: CommandLine, tmp_path: Path) -> None:
    ran = command("extraconfig", "show", str(tmp_path / "nowhere.vmx"))
    assert (ran.code, ran.out) == (1, "")
    assert "nowhere.vmx: it cannot be read: No such file or directory" in ran.err
    (tmp_path / "web-1.vmx").write_bytes(saved(VM=""))
    ran = command("extraconfig", "show", str(tmp_path / "web-1.vmx"))
    assert (ran.code, yaml.safe_load(ran.out)["virtual_machine"]) == (3, None)


@pytest.mark.parametrize(
    "arguments",
    [("validate-vmx",), ("validate-vmx", "-o", "xml", "a"), ("extraconfig", "show"), ("extraconfig", "show", "a", "b")],
)
def test_misuse_is_said_with_the_way_to_the_help(command: CommandLine, arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "--help" in ran.err


def test_the_guide_shows_what_the_commands_print(
    command: CommandLine, vmx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / vmx.name).write_bytes(saved(disks=["web-1.vmdk"]))
    monkeypatch.chdir(tmp_path)
    (steps,) = sections(GUIDE)["Validate what the job has saved"]
    for step in steps:
        printed = command(*shlex.split(step.command)[1:]).out
        assert step.shown_by(printed), printed


def test_the_guide_names_every_finding_with_its_severity() -> None:
    documented = [
        (kind, severity)
        for kinds, severity, _ in read(GUIDE).rows("finding", "severity", "meaning")
        for kind in re.findall(r"`([^`]+)`", kinds)
    ]
    assert sorted(documented) == sorted((kind.value, rule.severity.value) for kind, rule in RULES.items())


def test_the_guide_states_the_limit() -> None:
    assert f"more than {MAX_BYTES >> 20} MiB" in GUIDE.read_text(encoding="utf-8")
