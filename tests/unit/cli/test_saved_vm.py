from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.unit.vsphere.saved.vms import SECRETS, VERSION, bootstrap, extra_config, saved, secret

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


def test_standard_input_is_a_file(command: CommandLine, vmx: Path) -> None:
    assert command("validate-vmx", "-", typed=vmx.read_text()).code == 0


def test_contents_are_shown_without_a_secret(command: CommandLine, vmx: Path) -> None:
    for form in ("yaml", "json"):
        ran = command("-vv", "extraconfig", "show", str(vmx), "-o", form)
        assert ran.code == 0
        assert not [planted for planted in SECRETS if planted in ran.out + ran.err]
        shown = yaml.safe_load(ran.out)
        assert shown["bootstrap_objects"] == ["Secret shop/web-1-user-data"]
        assert shown["backup_version"] == VERSION
        assert shown["virtual_machine"]["metadata"]["name"] == "web-1"
        assert [disk["claim"] for disk in shown["disks"]["recorded"]] == ["data", ""]


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


@pytest.mark.parametrize("arguments", [("validate-vmx", "--help"), ("extraconfig", "show", "--help")])
def test_help_has_examples(command: CommandLine, arguments: tuple[str, ...]) -> None:
    assert "Examples:" in command(*arguments).out
