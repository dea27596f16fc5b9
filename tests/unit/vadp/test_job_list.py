from __future__ import annotations

import pytest

from velero_vmservice.errors import InvalidItem
from velero_vmservice.vadp.capturing import JobVm
from velero_vmservice.vadp.job_list import compare, read_job_list

WEB, DB = JobVm(namespace="shop", name="web-1"), JobVm(namespace="shop", name="db-1")
OTHER_DB = JobVm(namespace="mail", name="db-1")


@pytest.mark.parametrize(
    "content",
    [
        b"web-1\nshop/db-1\n",
        b"# of the job\n\n  web-1  # the first\r\nshop/db-1",
        b'\xef\xbb\xbf"web-1"\r\n"shop/db-1"\r\n',
        b"\xff\xfe" + "web-1\r\nshop/db-1\r\n".encode("utf-16-le"),
    ],
)
def test_a_list_is_read_as_scripts_and_powershell_write_it(content: bytes) -> None:
    assert read_job_list(content) == ["web-1", "shop/db-1"]


def test_a_job_that_saves_every_vm_lacks_nothing() -> None:
    comparison = compare([DB, WEB], ["web-1", "shop/db-1"])
    assert (comparison.missing, comparison.ambiguous, comparison.others) == ([], [], [])


def test_a_vm_that_the_job_does_not_save_is_missing() -> None:
    assert compare([DB, WEB], ["web-1"]).missing == [DB]


def test_a_name_that_two_vms_have_saves_neither() -> None:
    comparison = compare([DB, OTHER_DB], ["db-1"])
    assert (comparison.missing, comparison.ambiguous) == ([DB, OTHER_DB], ["db-1"])
    assert compare([DB, OTHER_DB], ["shop/db-1"]).missing == [OTHER_DB]


def test_what_else_the_job_saves_is_named() -> None:
    assert compare([WEB], ["web-1", "vcenter"]).others == ["vcenter"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"web-1\n" + b"x" * 318, "line 2 has 318 characters, which no name of a VM has"),
        (b"a\n" * (4 << 20) + b"b", "it has more than 8 MiB, which no list of VMs has"),
    ],
)
def test_what_is_too_long_to_be_a_list_is_refused_without_being_repeated(content: bytes, message: str) -> None:
    with pytest.raises(InvalidItem) as refused:
        read_job_list(content)
    assert refused.value.message == message


def test_the_longest_names_are_read() -> None:
    longest = f"{'n' * 63}/{'v' * 253}"
    assert read_job_list(longest.encode()) == [longest]
