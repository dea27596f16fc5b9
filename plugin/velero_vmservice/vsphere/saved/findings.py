"""What can be wrong with what a VADP product has saved of a VM: each kind of finding, how much it matters, what to do.

Only what the guide requires (7.1.2, 7.1.3), a damaged file, and a disk that is not in the backup keep a VM from being
restored. What the guide asks for (5.2, 5.3) and does not require is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from velero_vmservice.text import enumerate_some, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Severity(StrEnum):
    """How much a finding matters; the gravest first."""

    UNREADABLE = "unreadable"
    """Nothing can be said about the VM."""
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def grave(self) -> bool:
        """Whether it keeps the VM from being restored, or from being judged."""
        return self in (Severity.UNREADABLE, Severity.ERROR)


class Verdict(StrEnum):
    """Whether RegisterVM could bring the VM back with what the file says."""

    RESTORABLE = "restorable"
    WITH_WARNINGS = "restorable-with-warnings"
    NOT_RESTORABLE = "not-restorable"
    UNREADABLE = "unreadable"


class FindingKind(StrEnum):
    """What can be found."""

    FILE_UNREADABLE = "file-unreadable"
    TOO_LARGE = "too-large"
    NOT_A_VMX = "not-a-vmx"
    ENCRYPTED = "encrypted"

    CUT_OFF = "cut-off"
    CONFLICTING_ENTRY = "conflicting-entry"
    RECORD_MISSING = "record-missing"
    RECORD_DAMAGED = "record-damaged"
    RECORD_OF_OTHER_KIND = "record-of-other-kind"
    API_VERSION_UNKNOWN = "api-version-unknown"
    API_VERSION_TOO_OLD = "api-version-too-old"
    PVC_DISKS_MISSING = "pvc-disk-data-missing"
    PVC_DISKS_DAMAGED = "pvc-disk-data-damaged"
    BOOTSTRAP_DAMAGED = "additional-resources-damaged"
    DISK_NOT_SAVED = "disk-not-saved"

    INCOMPLETE = "incomplete"
    MALFORMED_LINES = "malformed-lines"
    REPEATED_ENTRY = "repeated-entry"
    ENCODING = "encoding"
    OTHER_NAME = "other-name"
    SPELLINGS_DIFFER = "spellings-differ"
    NAMESPACED_NAME_MISSING = "namespaced-name-missing"
    NAME_DIFFERS = "name-differs"
    UUID_DIFFERS = "uuid-differs"
    API_VERSION_NEWER = "api-version-newer"
    PVC_WITHOUT_DISK = "pvc-without-disk"
    CLASSIC_DISKS_DAMAGED = "classic-disk-data-damaged"
    DISK_ELSEWHERE = "disk-elsewhere"
    DISK_IN_NO_RECORD = "disk-in-no-record"
    DISK_TWICE = "disk-twice"
    DISK_OUTSIDE_SNAPSHOTS = "disk-outside-snapshots"
    BACKUP_VERSION_MALFORMED = "backup-version-malformed"
    BOOTSTRAP_NOT_RECORDED = "bootstrap-not-recorded"
    OPT_OUT_WITHOUT_EFFECT = "opt-out-without-effect"

    SPELLING = "spelling"
    BACKUP_VERSION_MISSING = "backup-version-missing"
    CLASSIC_DISKS_NOT_RECORDED = "classic-disks-not-recorded"
    DISK_ON_SNAPSHOT = "disk-on-snapshot"
    DISPLAY_NAME_DIFFERS = "display-name-differs"
    AUTOMATIC_REGISTRATION = "automatic-registration"


class Rule(NamedTuple):
    """How much a kind of finding matters, and what to do about it."""

    severity: Severity
    hint: str


_SAVE_ALL: Final = (
    "have the VADP job save the VMX file with all vmservice. keys of its ExtraConfig (guide 5.2), then back up the VM"
    " again"
)
_OTHER_RESTORE_POINT: Final = "take the VMX file of another restore point"
_SAVE_DISKS: Final = "include all disks of the VM in the VADP job, and back it up again (guide 5.2)"
_RECONCILED: Final = (
    "see whether VM Operator reconciles the VM (condition VirtualMachineBackupUpToDate), and back it up again"
)

RULES: Final[Mapping[FindingKind, Rule]] = {
    FindingKind.FILE_UNREADABLE: Rule(Severity.UNREADABLE, "name the VMX files themselves, or - for standard input"),
    FindingKind.TOO_LARGE: Rule(Severity.UNREADABLE, "name the VMX file of the VM, not one of its disks"),
    FindingKind.NOT_A_VMX: Rule(Severity.UNREADABLE, "name the file that ends in .vmx among what the VADP job saved"),
    FindingKind.ENCRYPTED: Rule(
        Severity.UNREADABLE,
        "look at the ExtraConfig of the VM in vCenter instead: velero-vmservice registration explain not-triggered",
    ),
    FindingKind.CUT_OFF: Rule(Severity.ERROR, _OTHER_RESTORE_POINT),
    FindingKind.CONFLICTING_ENTRY: Rule(Severity.ERROR, _OTHER_RESTORE_POINT),
    FindingKind.RECORD_MISSING: Rule(Severity.ERROR, _SAVE_ALL),
    FindingKind.RECORD_DAMAGED: Rule(Severity.ERROR, _SAVE_ALL),
    FindingKind.RECORD_OF_OTHER_KIND: Rule(Severity.ERROR, _OTHER_RESTORE_POINT),
    FindingKind.API_VERSION_UNKNOWN: Rule(Severity.ERROR, _OTHER_RESTORE_POINT),
    FindingKind.API_VERSION_TOO_OLD: Rule(
        Severity.ERROR, "use a restore point that VM Operator recorded later, at a version that RegisterVM restores"
    ),
    FindingKind.PVC_DISKS_MISSING: Rule(Severity.ERROR, _SAVE_ALL),
    FindingKind.PVC_DISKS_DAMAGED: Rule(Severity.ERROR, _SAVE_ALL),
    FindingKind.BOOTSTRAP_DAMAGED: Rule(Severity.ERROR, _SAVE_ALL),
    FindingKind.DISK_NOT_SAVED: Rule(Severity.ERROR, _SAVE_DISKS),
    FindingKind.INCOMPLETE: Rule(
        Severity.WARNING, "validate the whole VMX file, or compare the disks in the VADP product with those listed here"
    ),
    FindingKind.MALFORMED_LINES: Rule(Severity.WARNING, "look at these lines; a VMX file is text that vSphere wrote"),
    FindingKind.REPEATED_ENTRY: Rule(Severity.WARNING, "leave one line of it; vSphere defines every name once"),
    FindingKind.ENCODING: Rule(Severity.WARNING, "look at these values; the keys of the record are plain ASCII"),
    FindingKind.OTHER_NAME: Rule(
        Severity.WARNING, "have the VADP job keep the names of the ExtraConfig as they are: RegisterVM reads no others"
    ),
    FindingKind.SPELLINGS_DIFFER: Rule(Severity.WARNING, "find out who wrote the other one, and remove it from the VM"),
    FindingKind.NAMESPACED_NAME_MISSING: Rule(Severity.WARNING, _SAVE_ALL),
    FindingKind.NAME_DIFFERS: Rule(
        Severity.WARNING,
        "find out whether the VM is a copy of another one; RegisterVM restores no copies (guide 7.1.1)",
    ),
    FindingKind.UUID_DIFFERS: Rule(
        Severity.WARNING,
        "find out whether the VM is a copy of another one; RegisterVM restores no copies (guide 7.1.1)",
    ),
    FindingKind.API_VERSION_NEWER: Rule(Severity.WARNING, "try a restore of the VM before it is needed"),
    FindingKind.PVC_WITHOUT_DISK: Rule(Severity.WARNING, _RECONCILED),
    FindingKind.CLASSIC_DISKS_DAMAGED: Rule(Severity.WARNING, _SAVE_ALL),
    FindingKind.DISK_ELSEWHERE: Rule(
        Severity.WARNING,
        "compare the disks; one that was moved since is recorded anew when VM Operator reconciles the VM",
    ),
    FindingKind.DISK_IN_NO_RECORD: Rule(Severity.WARNING, _RECONCILED),
    FindingKind.DISK_TWICE: Rule(Severity.WARNING, "look at the disks of the VM in vCenter"),
    FindingKind.DISK_OUTSIDE_SNAPSHOTS: Rule(
        Severity.WARNING, "protect this disk by other means, or attach it so that snapshots take it"
    ),
    FindingKind.BACKUP_VERSION_MALFORMED: Rule(Severity.WARNING, _RECONCILED),
    FindingKind.BOOTSTRAP_NOT_RECORDED: Rule(
        Severity.WARNING, "keep them elsewhere, e.g. in a Velero backup: RegisterVM does not bring them back"
    ),
    FindingKind.OPT_OUT_WITHOUT_EFFECT: Rule(Severity.WARNING, "set it to true if the VM is not to be registered"),
    FindingKind.SPELLING: Rule(Severity.NOTE, ""),
    FindingKind.BACKUP_VERSION_MISSING: Rule(
        Severity.NOTE, "it is required for a restore in place or of disks alone, which VCF 9.0 and later do"
    ),
    FindingKind.CLASSIC_DISKS_NOT_RECORDED: Rule(Severity.NOTE, ""),
    FindingKind.DISK_ON_SNAPSHOT: Rule(
        Severity.NOTE, "if the VADP job had no snapshot then, remove what snapshots the VM has"
    ),
    FindingKind.DISPLAY_NAME_DIFFERS: Rule(Severity.NOTE, ""),
    FindingKind.AUTOMATIC_REGISTRATION: Rule(Severity.NOTE, "where it is off, call RegisterVM after the VADP restore"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found."""

    kind: FindingKind
    sentence: str

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return RULES[self.kind].severity

    @property
    def hint(self) -> str:
        """What to do about it; '' for nothing."""
        return RULES[self.kind].hint


MOST_NAMED: Final = 5
"""Lines, names and paths in one sentence."""
_LONGEST_NAME: Final = 200
"""Characters of a name or path in a sentence."""


def some(names: Iterable[str]) -> str:
    """Return the first names of a list as a sentence has them, and how many more there are."""
    return enumerate_some([one_line(name, _LONGEST_NAME) for name in names], most=MOST_NAMED)


_VERDICTS: Final = {
    Severity.UNREADABLE: Verdict.UNREADABLE,
    Severity.ERROR: Verdict.NOT_RESTORABLE,
    Severity.WARNING: Verdict.WITH_WARNINGS,
}


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return what the findings amount to."""
    severities = {finding.severity for finding in findings}
    return next((_VERDICTS[severity] for severity in _VERDICTS if severity in severities), Verdict.RESTORABLE)
