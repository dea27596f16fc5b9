"""A VMX file of any bytes is examined, and what ESXi writes is read as it was written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.emulator import vmx as emulator
from tests.unit.vsphere.saved.vms import extra_config, saved, secret
from velero_vmservice.adapters.vcenter.record_yaml import parse_record
from velero_vmservice.vsphere.extra_config import SPELLINGS
from velero_vmservice.vsphere.record import RecordedDisk
from velero_vmservice.vsphere.saved.contents import shown
from velero_vmservice.vsphere.saved.disks import compare
from velero_vmservice.vsphere.saved.examination import Examination, examine_file
from velero_vmservice.vsphere.saved.findings import Verdict
from velero_vmservice.vsphere.saved.vmx import VirtualDisk, read

WHOLE = saved(extra_config(others=[secret("web-1-user-data")]))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters='\t =#"\n\r\0\ufeff'), min_size=1).filter(
    lambda name: name.lower() != ".encoding" and name.isprintable()
)
VALUES = st.text(st.characters(codec="utf-8"))
SPELLED = st.sampled_from([spelling for spellings in SPELLINGS.values() for spelling in spellings])
LINES = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda name, value: f'{name} = "{value}"'.encode(), SPELLED, st.text('abH4sI|=/ "\0')),
    st.builds(lambda node, value: f'scsi{node}.fileName = "{value}"'.encode(), st.text("0:1", max_size=4), VALUES),
)
PATHS = st.builds(
    "{}{}{}.vmdk".format,
    st.sampled_from(["", "[a] x/", "[b] y/", "/vmfs/volumes/5-1/x/"]),
    st.sampled_from(["d", "e"]),
    st.sampled_from(["", "-000001", "-000002"]),
)


def examined(content: bytes) -> Examination:
    examination = examine_file(content, parse_record)
    for finding in examination.findings:
        assert finding.sentence
        assert "\n" not in finding.sentence
        assert len(finding.sentence) < 3000
    if examination.vm:
        shown(examination.vm)
    return examination


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    assert examined(content).verdict is not Verdict.RESTORABLE


@given(st.lists(LINES))
def test_any_lines_of_a_vmx(lines: list[bytes]) -> None:
    examined(b'displayName = "x"\n' + b"\n".join(lines))


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_file_with_a_broken_byte_or_cut_off(at: int, change: int) -> None:
    broken = bytearray(WHOLE)
    broken[at] ^= change
    examined(bytes(broken))
    examined(WHOLE[:at])


@given(st.dictionaries(NAMES, VALUES))
def test_what_was_written_is_read(entries: dict[str, str]) -> None:
    by_name = {name.lower(): value for name, value in entries.items()}
    file = read(emulator.write(by_name))
    assert {name: file.get(name) for name in by_name} == by_name
    assert (file.malformed, file.undecodable, file.cut_off) == ((), (), False)
    assert all(not differs for differs in file.repeated.values())


@given(st.lists(PATHS), st.lists(PATHS))
def test_every_disk_is_matched_at_most_once(attached: list[str], recorded: list[str]) -> None:
    disks = [VirtualDisk(node=f"scsi0:{number}", file=file) for number, file in enumerate(attached)]
    compared = compare(disks, [RecordedDisk(file=file) for file in recorded])
    matched = [disk.file for disk in compared.recorded.values()]
    assert len(set(matched)) == len(matched)
    assert {*matched, *(disk.file for disk in compared.lacking)} == set(recorded)
    assert len(compared.recorded) + len(compared.unrecorded) == len(attached)
