"""The VMs that a VADP job saves, as the job itself lists them, beside those that belong in it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import InvalidItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.vadp.capturing import JobVm


MAX_BYTES: Final = 8 << 20
"""More than 10,000 VMs with the longest names, in UTF-16."""
LONGEST_NAME: Final = 63 + 1 + 253
"""Of a namespace and a VirtualMachine, as Kubernetes limits them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobComparison:
    """What a job's list lacks, and what else is in it."""

    missing: Sequence[JobVm] = ()
    """VMs of the capture that the job does not save, as far as the list says."""
    ambiguous: Sequence[str] = ()
    """Names that several VMs of the capture have: which of them the job saves is not known."""
    others: Sequence[str] = ()
    """Names of the list that no VM of the capture has."""


def read_job_list(content: bytes) -> Sequence[str]:
    """Return the names of a list: one VM a line, `NAME` or `NAMESPACE/NAME`; what follows a `#` is a comment.

    PowerShell writes UTF-16 and a byte order mark, and quotes around each name. Raises `UnicodeDecodeError`, and
    `InvalidItem` for what is too long to be a list of names.
    """
    if len(content) > MAX_BYTES:
        raise InvalidItem(
            f"it has more than {MAX_BYTES >> 20} MiB, which no list of VMs has", hint="name the file with the list"
        )
    decoded = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    names = [line.partition("#")[0].strip().strip("\"'").strip() for line in decoded.splitlines()]
    for number, name in enumerate(names, 1):
        if len(name) > LONGEST_NAME:
            raise InvalidItem(
                f"line {number} has {len(name)} characters, which no name of a VM has", hint="write one name a line"
            )
    return [name for name in names if name]


def compare(vms: Sequence[JobVm], listed: Sequence[str]) -> JobComparison:
    """Compare the VMs that belong in a job with the names that it lists."""
    by_name = defaultdict[str, list["JobVm"]](list)
    for vm in vms:
        by_name[vm.name].append(vm)
        by_name[str(vm)].append(vm)
    saved = {str(by_name[name][0]) for name in listed if len(by_name.get(name, ())) == 1}
    ambiguous = sorted({name for name in listed if len(by_name.get(name, ())) > 1})
    return JobComparison(
        missing=[vm for vm in vms if str(vm) not in saved],
        ambiguous=ambiguous,
        others=sorted({name for name in listed if name not in by_name}),
    )
