"""Files that a VADP product has saved, read from disk or standard input within limits, and examined."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from velero_vmservice.adapters.vcenter.record_yaml import parse_record
from velero_vmservice.vsphere.saved import vmx
from velero_vmservice.vsphere.saved.examination import Examination, examine_file, unreadable
from velero_vmservice.vsphere.saved.findings import FindingKind

if TYPE_CHECKING:
    from pathlib import Path

STANDARD_INPUT: Final = "-"


def examined(path: Path) -> Examination:
    """Read a file and examine it; never more of it than a VMX file can have."""
    try:
        if str(path) == STANDARD_INPUT:
            content = sys.stdin.buffer.read(vmx.MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(vmx.MAX_BYTES + 1)
    except IsADirectoryError:
        return unreadable(FindingKind.FILE_UNREADABLE, "it is a directory")
    except OSError as error:
        return unreadable(FindingKind.FILE_UNREADABLE, f"it cannot be read: {error.strerror or type(error).__name__}")
    return examine_file(content, parse_record)
