"""Expectations: VMware's grammar of a VMX (open-vm-tools, lib/dict/dictll.c)."""

from __future__ import annotations

import pytest

from tests.emulator import vmx as emulator
from velero_vmservice.vsphere.saved.vmx import VirtualDisk, read


@pytest.mark.parametrize(
    ("line", "entries"),
    [
        (b'a = "b"', {"a": "b"}),
        (b'\t a\t=\t"b c" \t# why', {"a": "b c"}),
        (b"a = b # why", {"a": "b"}),
        (b"a=b", {"a": "b"}),
        (b"a =", {"a": ""}),
        (b'a = ""', {"a": ""}),
        (b"a = # why", {"a": ""}),
        (b"#!/usr/bin/vmware", {}),
        (b"  # why", {}),
        (b"", {}),
        (b'a = "b#c=d"', {"a": "b#c=d"}),
        (b'scsi0:1.FileName = "x"', {"scsi0:1.filename": "x"}),
        (b'a = "|22|7C|7c|0A"', {"a": '"||\n'}),
        (b'a = "|zz|4"', {"a": "|zz|4"}),
        (b'a = "K\xc3\xb6ln"', {"a": "Köln"}),
    ],
)
def test_a_line_is_an_entry_or_a_comment(line: bytes, entries: dict[str, str]) -> None:
    for ending in (b"\n", b"\r\n"):
        file = read(line + ending)
        assert (file.entries, file.malformed, file.cut_off) == (entries, (), False)


@pytest.mark.parametrize(
    "line", [b"a", b"a b = c", b"a = b c", b'a = "b', b'a = "b" c', b"= b", b'a = "\0"', b"\0\0\0"]
)
def test_what_is_neither_is_named_by_its_line(line: bytes) -> None:
    file = read(b'x = "1"\n' + line + b'\ny = "2"\n')
    assert (file.entries, file.malformed, file.cut_off) == ({"x": "1", "y": "2"}, (2,), False)


def test_a_file_that_ends_in_the_middle_of_a_line_is_cut_off() -> None:
    assert read(b'x = "1"\ny = "2').cut_off
    assert read(b'x = "1"\nvmservi').cut_off
    assert not read(b'x = "1"\ny = "2"').cut_off
    assert not read(b'x = "1"\n').cut_off


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    assert read(b'\xef\xbb\xbf.encoding = "UTF-8"\n').entries == {".encoding": "UTF-8"}


@pytest.mark.parametrize("encoding", ["windows-1252", "ISO-8859-1", "UTF-8"])
def test_values_are_decoded_as_the_file_says(encoding: str) -> None:
    file = read(emulator.write({"displayName": "Köln"}, encoding=encoding))
    assert (file.get("DISPLAYNAME"), file.encoding, file.known_encoding) == ("Köln", encoding, True)


@pytest.mark.parametrize("encoding", ["GBK", "Shift_JIS", "Big5", "EUC-JP"])
def test_a_pipe_within_a_character_is_none(encoding: str) -> None:
    text = "表ソ能"
    assert read(emulator.write({"displayName": text}, encoding=encoding)).get("displayName") == text


@pytest.mark.parametrize(
    "encoding", ["rot13", "zlib", "idna", "unicode_escape", "utf-16", "utf-7", "no such", "x" * 9999, "é"]
)
def test_an_encoding_that_is_none_of_text_is_not_used(encoding: str) -> None:
    file = read(f'.encoding = "{encoding}"\na = "K\u00f6ln"\n'.encode())
    assert (file.get("a"), file.known_encoding) == ("Köln", False)


def test_a_value_that_is_not_text_is_named() -> None:
    file = read(b'a = "K\xf6ln"\nb = "c"\n')
    assert (file.get("a"), file.undecodable) == ("K\ufffdln", ("a",))


def test_the_first_of_two_entries_counts() -> None:
    file = read(b'a = "1"\nA = "2"\nb = "1"\nb = "1"\na = "1"\n')
    assert file.get("a") == "1"
    assert file.repeated == {"a": True, "b": False}


def test_disks_are_those_that_are_attached_and_no_drives() -> None:
    file = read(
        emulator.write(
            {
                "scsi0:10.fileName": "ten.vmdk",
                "scsi0:2.fileName": "two.vmdk",
                "scsi0:2.deviceType": "scsi-hardDisk",
                "scsi0:2.mode": "independent-persistent",
                "scsi0:2.sharing": "multi-writer",
                "nvme0:0.fileName": "/vmfs/volumes/ds/fcd/n.vmdk",
                "ide0:0.fileName": "image.iso",
                "ide0:0.deviceType": "cdrom-image",
                "sata0:1.fileName": "gone.vmdk",
                "sata0:1.present": "FALSE",
                "scsi0:3.fileName": "",
                "scsi0.fileName": "x.vmdk",
                "floppy0.fileName": "x.vmdk",
                "scsi0:4.redo": "x.vmdk",
            }
        )
    )
    assert file.disks == (
        VirtualDisk(node="nvme0:0", file="/vmfs/volumes/ds/fcd/n.vmdk"),
        VirtualDisk(node="scsi0:2", file="two.vmdk", mode="independent-persistent", sharing="multi-writer"),
        VirtualDisk(node="scsi0:10", file="ten.vmdk"),
    )


def test_uuids_are_spelled_as_kubernetes_has_them() -> None:
    file = read(b'uuid.bios = "42 1D 0a 11 22 33 44 55-66 77 88 99 aa bb cc dd"\nvc.uuid = "nonsense"\n')
    assert (file.bios_uuid, file.instance_uuid) == ("421d0a11-2233-4455-6677-8899aabbccdd", "")
