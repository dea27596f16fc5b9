"""The meaning of RegisterVM's error codes: the guide's tables 7 and 11.2 as data.

A failed task is over, and RegisterVM is not idempotent: no code makes the plugin call it again unasked. If the guide's
remedy is to delete a VirtualMachine, only its owner may decide and do that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.text import one_line
from velero_vmservice.vmoperator import releases

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "VCenterWcpWorkloadRegisterVM"

_OURS_NEVER: Final = " (data loss risk: never done by this product)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEntry:
    """One error code, for the person on call."""

    code: str
    """The guide's spelling; for an unknown error the received text."""
    cause: str
    put_right: str
    """What to do for any way of registration."""
    then: str = ""
    """The next step if RegisterVM is called by hand."""
    risk: str = ""
    """A caution for every next step."""
    again: bool = True
    """Whether the same VM can be registered after the remedy."""
    can_wait: bool = False
    """Whether waiting can help."""
    source: str = ""
    """Section of the guide."""
    known: bool = True

    @property
    def remedy(self) -> str:
        """What to do if RegisterVM is called by hand."""
        return f"{self.put_right}{self.then}{self.risk}"

    def __str__(self) -> str:
        return f"{self.code}: {self.cause}; {self.remedy}" if self.known else self.code


VM_NOT_FOUND: Final = f"{PREFIX}VMNotFound"
DUPLICATE_BIOS_UUID: Final = f"{PREFIX}DuplicateVMBiosUUID"
NOT_IN_FOLDER: Final = f"{PREFIX}NotFoundInNamespaceFolder"
INVALID_RECORD: Final = f"{PREFIX}ValidateVMResourceFailed"
EXISTS: Final = f"{PREFIX}AlreadyExistsOnSupervisor"
CLAIM_FAILED: Final = f"{PREFIX}RegisterPVCFailed"
TOO_OLD: Final = releases.TOO_OLD
IN_DESIRED_STATE: Final = "AlreadyInDesiredState"

TABLE: Final = (
    ErrorEntry(
        code=VM_NOT_FOUND,
        cause="vCenter has no VM with the managed object id that RegisterVM was called with",
        put_right="check that the VADP restore has ended and the VM exists, and how its id is spelled (vm-123)",
        then="; then call RegisterVM for that id",
        source="guide 11.2",
    ),
    ErrorEntry(
        code=DUPLICATE_BIOS_UUID,
        cause="another VM of the namespace has the same BIOS UUID: a VM cannot be registered twice, and"
        " no copy of one that is there can be made from a backup",
        put_right="find the other VM with that BIOS UUID; either register the restored one in another namespace,"
        " or have the owner delete the conflicting VM",
        risk=_OURS_NEVER,
        source="guide 7.1.1, 11.2",
    ),
    ErrorEntry(
        code=NOT_IN_FOLDER,
        cause="the VM was not restored into the folder of the vSphere Namespace",
        put_right="move it into the folder that bears the namespace's name",
        then=", then call RegisterVM",
        source="guide 7.2.3, 11.2",
    ),
    ErrorEntry(
        code=INVALID_RECORD,
        cause="the record of the VirtualMachine in the VM's ExtraConfig, or the list of its PVCs' disks, is"
        " missing or damaged",
        put_right="restore the VM from another restore point, with the VMX file and every vmservice. key of its"
        " ExtraConfig; a VADP job that loses them has to be corrected",
        again=False,
        source="guide 7.1.3, 11.2",
    ),
    ErrorEntry(
        code=EXISTS,
        cause="a VirtualMachine of that name exists, and a Supervisor before VCF 9.0 cannot register over it",
        put_right="upgrade the Supervisor to VCF 9.0 or later, or have the owner delete the VirtualMachine",
        then=" before RegisterVM is called again",
        risk=_OURS_NEVER,
        source="guide 7.2.2, 11.2",
    ),
    ErrorEntry(
        code=CLAIM_FAILED,
        cause="a restored disk could not be registered as a PersistentVolumeClaim: its datastore, its file, CNS or the"
        " CSI driver",
        put_right="see the errors of the CnsRegisterVolumes in the namespace and the CSI driver's pods in"
        " vmware-system-csi, put it right",
        then=", then call RegisterVM",
        source="guide 11.2, 11.3",
    ),
    ErrorEntry(
        code=TOO_OLD,
        cause=f"the VM was recorded at an API version older than {releases.SUPPORTED[0]}, which RegisterVM cannot read",
        put_right=f"use a restore point taken since VM Operator served {releases.SUPPORTED[0]}; this one cannot be"
        " registered",
        again=False,
        source="guide 7.1.2",
    ),
    ErrorEntry(
        code=IN_DESIRED_STATE,
        cause="the VM is registered already",
        put_right="nothing is to be done; the VirtualMachine becomes ready once VM Operator has reconciled it",
        again=False,
        can_wait=True,
        source="the RegisterVM API",
    ),
)
"""In the order of the guide's table 11.2, then the codes that only 7 and the API have."""


def explain(message: str) -> ErrorEntry:
    """Return the entry of the first known code in a message, or else the message itself.

    A code may be spelled without its prefix, in any case, and with underscores, as vCenter's APIs do.
    """
    return next(_known_codes(message), None) or ErrorEntry(
        code=one_line(message), cause="not in the guide's table", put_right="see the task in vCenter", known=False
    )


_LONGEST_SEARCHED: Final = 64 * 1024
"""The most characters of a message in which a code is searched; a task's fault has a few lines."""
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_BY_WORD: Final = {
    spelled.lower(): entry for entry in TABLE for spelled in (entry.code, entry.code.removeprefix(PREFIX))
}


def _known_codes(message: str) -> Iterator[ErrorEntry]:
    for word in _WORD.finditer(message[:_LONGEST_SEARCHED]):
        if entry := _BY_WORD.get(re.sub("[_-]", "", word[0]).lower()):
            yield entry
