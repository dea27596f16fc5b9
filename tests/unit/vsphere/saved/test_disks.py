"""Expectations: paths as a VMX and VM Operator (backup_types.go) have them, vSphere's names of deltas."""

from __future__ import annotations

import pytest

from velero_vmservice.vsphere.record import RecordedDisk
from velero_vmservice.vsphere.saved.disks import compare
from velero_vmservice.vsphere.saved.vmx import VirtualDisk


def attached(*files: str) -> tuple[VirtualDisk, ...]:
    return tuple(VirtualDisk(node=f"scsi0:{number}", file=file) for number, file in enumerate(files))


def recorded(*files: str) -> tuple[RecordedDisk, ...]:
    return tuple(RecordedDisk(file=file, claim=f"claim-{number}") for number, file in enumerate(files))


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("web-1.vmdk", "[ds] web-1/web-1.vmdk"),
        ("/vmfs/volumes/5f0e-1a/fcd/x.vmdk", "[ds] fcd/x.vmdk"),
        ("/vmfs/volumes/vsan:52-9/8a3b-1/x.vmdk", "[vsanDatastore] web-1/x.vmdk"),
        ("[ds] web-1/x.vmdk", "[ds] web-1/x.vmdk"),
        ("[ds 2] x.vmdk", "[ds 2]x.vmdk"),
        ("ds:///vmfs/volumes/5f0e-1a/fcd/x.vmdk", "[ds] fcd/x.vmdk"),
        ("web-1-000001.vmdk", "[ds] web-1/web-1.vmdk"),
        ("web-1.vmdk", "[ds] web-1/web-1-000003.vmdk"),
        ("web-1-000002.vmdk", "[ds] web-1/web-1-000001.vmdk"),
    ],
)
def test_one_disk_under_two_paths_is_one(file: str, path: str) -> None:
    compared = compare(attached(file), recorded(path))
    assert (compared.recorded["scsi0:0"].file, compared.lacking, compared.unrecorded) == (path, (), ())


@pytest.mark.parametrize(
    "path", ["[ds] web-1/web-2.vmdk", "[ds] web-1/web-1-01.vmdk", "[ds] web-1/web-1-flat.vmdk", ""]
)
def test_another_disk_is_another(path: str) -> None:
    compared = compare(attached("web-1.vmdk"), recorded(path))
    assert [disk.file for disk in compared.lacking] == [path]
    assert [disk.node for disk in compared.unrecorded] == ["scsi0:0"]


def test_the_better_match_is_made_first() -> None:
    compared = compare(
        attached("/vmfs/volumes/a/two/x.vmdk", "x-000001.vmdk", "/vmfs/volumes/a/one/x.vmdk"),
        recorded("[a] one/x.vmdk", "[a] two/x.vmdk", "[a] web-1/x.vmdk"),
    )
    assert {node: disk.file for node, disk in compared.recorded.items()} == {
        "scsi0:0": "[a] two/x.vmdk",
        "scsi0:1": "[a] web-1/x.vmdk",
        "scsi0:2": "[a] one/x.vmdk",
    }
    assert [disk.node for disk in compared.on_snapshot] == ["scsi0:1"]


def test_a_disk_that_is_listed_twice_is_matched_once() -> None:
    compared = compare(attached("x.vmdk", "x.vmdk"), recorded("[a] w/x.vmdk", "[a] w/x.vmdk"))
    assert (compared.attached_twice, compared.recorded_twice) == (("x.vmdk",), ("[a] w/x.vmdk",))
    assert [disk.node for disk in compared.unrecorded] == ["scsi0:1"]
    assert compared.lacking == ()
