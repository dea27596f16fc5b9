"""What a check finds about an application, and the verdict that follows: the words of preflight and of every capture.

A code is stored and stays; its sentence and hint are for people and may change.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from velero_vmservice.documents import Document, Name
from velero_vmservice.kube.manifest import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class FindingCode(StrEnum):
    """What is found; docs/backup-strategy.md says of each what to do."""

    SELECTOR_EMPTY = "selector-empty"
    SELECTOR_USES_ZONE = "selector-uses-zone"
    SELECTOR_MATCHES_NO_VM = "selector-matches-no-vm"
    MEMBER_IS_ITSELF = "member-is-itself"
    MEMBER_MISSING = "member-missing"
    MEMBER_WITHOUT_GROUP_NAME = "member-without-group-name"
    MEMBER_OF_ANOTHER_GROUP = "member-of-another-group"
    MEMBER_LISTED_TWICE = "member-listed-twice"
    GROUP_NAME_NOT_LISTED = "group-name-not-listed"
    GROUP_NAME_WITHOUT_GROUP = "group-name-without-group"
    GROUP_CYCLE = "group-cycle"
    PARENT_MISSING = "parent-missing"
    PARENT_DOES_NOT_LIST = "parent-does-not-list"
    OBJECT_NOT_CAPTURED = "object-not-captured"
    BIOS_UUID_SHARED = "bios-uuid-shared"
    VM_NOT_RECORDED = "vm-not-recorded"
    VM_RECORD_OUTDATED = "vm-record-outdated"
    VM_RECORD_MISSING = "vm-record-missing"
    VM_NOT_CREATED = "vm-not-created"
    VM_NOT_RECONCILED = "vm-not-reconciled"
    VM_CHANGED = "vm-changed"
    VM_PAUSED = "vm-paused"
    VM_DELETING = "vm-deleting"
    VM_REVERTING = "vm-reverting"
    VM_POWER_CHANGING = "vm-power-changing"
    VM_NOT_REGISTERED_AGAIN = "vm-not-registered-again"
    CLAIM_NOT_BOUND = "claim-not-bound"
    CLAIMS_UNKNOWN = "claims-unknown"
    BOOTSTRAP_MISSING = "bootstrap-missing"
    BOOTSTRAP_UNKNOWN = "bootstrap-unknown"
    VM_RECORD_UNUSABLE = "vm-record-unusable"
    VM_RECORD_REMARK = "vm-record-remark"
    VM_NOT_IN_VCENTER = "vm-not-in-vcenter"
    VM_NOT_IN_FOLDER = "vm-not-in-folder"
    VCENTER_UNKNOWN = "vcenter-unknown"
    RELEASE_LACKS_FEATURE = "release-lacks-feature"
    RELEASE_UNKNOWN = "release-unknown"
    TARGET_MISSING = "target-missing"
    TARGET_NOT_OF_VSPHERE = "target-not-of-vsphere"
    TARGET_UNKNOWN = "target-unknown"
    TARGET_WITHOUT_GROUPS = "target-without-groups"
    REFERENCE_MISSING = "reference-missing"
    STORAGE_NOT_ASSIGNED = "storage-not-assigned"
    NAME_TAKEN = "name-taken"
    BIOS_UUID_TAKEN = "bios-uuid-taken"
    VM_ABSENT = "vm-absent"
    BACKUP_NOT_OLDER = "backup-not-older"
    BACKUP_AGE_UNKNOWN = "backup-age-unknown"
    STATE_NOT_RECORDED = "state-not-recorded"
    VM_POWERED_ON = "vm-powered-on"
    SAME_VCENTER = "same-vcenter"
    VCENTER_NOT_COMPARED = "vcenter-not-compared"
    IMAGE_CLEARED = "image-cleared"


BLOCKING: Final = frozenset(
    {
        FindingCode.GROUP_CYCLE,
        FindingCode.MEMBER_IS_ITSELF,
        FindingCode.MEMBER_LISTED_TWICE,
        FindingCode.VM_NOT_RECORDED,
        FindingCode.VM_NOT_CREATED,
        FindingCode.VM_RECORD_UNUSABLE,
        FindingCode.RELEASE_LACKS_FEATURE,
        FindingCode.TARGET_MISSING,
        FindingCode.TARGET_NOT_OF_VSPHERE,
        FindingCode.NAME_TAKEN,
        FindingCode.BIOS_UUID_TAKEN,
        FindingCode.VM_ABSENT,
        FindingCode.BACKUP_NOT_OLDER,
        FindingCode.SAME_VCENTER,
    }
)
"""Findings of which an object, or a VM that it needs, will not come back as it was: VM Operator refuses the object or
never settles it, or RegisterVM cannot bring the VM back."""

_MEMBERSHIP: Final = "make the group's boot order and the member's spec.groupName agree"
_NESTING: Final = "let parent and child group name each other, and no group itself"
_WAIT: Final = "wait until VM Operator is done with the VM, then back up"

HINTS: Final[Mapping[str, str]] = {
    FindingCode.SELECTOR_EMPTY: "save the Endpoints that the service's owner keeps for it",
    FindingCode.SELECTOR_USES_ZONE: "select on a label of the application instead of the zone",
    FindingCode.SELECTOR_MATCHES_NO_VM: "correct the service's selector or the labels of its VMs",
    FindingCode.MEMBER_IS_ITSELF: _NESTING,
    FindingCode.MEMBER_MISSING: "take the member off the group's boot order, or create it",
    FindingCode.MEMBER_WITHOUT_GROUP_NAME: _MEMBERSHIP,
    FindingCode.MEMBER_OF_ANOTHER_GROUP: _MEMBERSHIP,
    FindingCode.MEMBER_LISTED_TWICE: "list each member once in the group's boot order",
    FindingCode.GROUP_NAME_NOT_LISTED: _MEMBERSHIP,
    FindingCode.GROUP_NAME_WITHOUT_GROUP: "create the group, or empty the VM's spec.groupName",
    FindingCode.GROUP_CYCLE: _NESTING,
    FindingCode.PARENT_MISSING: "create the parent group, or empty the group's spec.groupName",
    FindingCode.PARENT_DOES_NOT_LIST: _NESTING,
    FindingCode.OBJECT_NOT_CAPTURED: "label the object like its VMs, or back up without the filter that leaves it out",
    FindingCode.BIOS_UUID_SHARED: "give one of the VMs another BIOS UUID, or move it to another namespace",
    FindingCode.VM_NOT_RECORDED: "restore a guest cluster's node by the guest cluster's own product",
    FindingCode.VM_RECORD_OUTDATED: "look at the message of its condition VirtualMachineBackupUpToDate",
    FindingCode.VM_RECORD_MISSING: "wait until VM Operator has recorded the VM, then back up",
    FindingCode.VM_NOT_CREATED: "look at the VM's conditions: VM Operator says there why it has not been created",
    FindingCode.VM_NOT_RECONCILED: "look at the VM's conditions, and back up once it is reconciled",
    FindingCode.VM_CHANGED: _WAIT,
    FindingCode.VM_PAUSED: "find out who paused the VM, and back up once the pause is over",
    FindingCode.VM_DELETING: "take the VM off its group, or back up before it is deleted",
    FindingCode.VM_REVERTING: _WAIT,
    FindingCode.VM_POWER_CHANGING: _WAIT,
    FindingCode.VM_NOT_REGISTERED_AGAIN: "call RegisterVM for the VM, then back up",
    FindingCode.CLAIM_NOT_BOUND: "look at the claim's events, and back up once it is bound",
    FindingCode.CLAIMS_UNKNOWN: "allow the plugin's service account to list persistentvolumeclaims",
    FindingCode.BOOTSTRAP_MISSING: "create the object again, then wait until VM Operator has recorded the VM",
    FindingCode.BOOTSTRAP_UNKNOWN: "allow the plugin's service account to list secrets and configmaps",
    FindingCode.VM_RECORD_UNUSABLE: "let VM Operator reconcile the VM, which writes its record anew, then back up",
    FindingCode.VM_RECORD_REMARK: "compare the record with the VM before it is needed",
    FindingCode.VM_NOT_IN_VCENTER: "look for the VM in vCenter, and whether vcenter.user may see it",
    FindingCode.VM_NOT_IN_FOLDER: "move the VM into the folder of its namespace",
    FindingCode.RELEASE_LACKS_FEATURE: "restore to new VMs, or upgrade the Supervisor to VCF 9.0 or later",
    FindingCode.RELEASE_UNKNOWN: "see which API versions of VirtualMachine the Supervisor serves",
    FindingCode.TARGET_MISSING: "create the vSphere Namespace in vCenter, and assign storage policies and VM classes",
    FindingCode.TARGET_NOT_OF_VSPHERE: "delete the plain namespace if it is empty, and create it in vCenter",
    FindingCode.TARGET_UNKNOWN: "allow the plugin's service account to get namespaces",
    FindingCode.TARGET_WITHOUT_GROUPS: "empty spec.groupName before the VM is backed up, or upgrade the Supervisor",
    FindingCode.REFERENCE_MISSING: "assign or create it before the restore",
    FindingCode.STORAGE_NOT_ASSIGNED: "assign the storage policy to the namespace in vCenter",
    FindingCode.NAME_TAKEN: "restore in place if it is the same VM, or into another namespace",
    FindingCode.BIOS_UUID_TAKEN: "restore into another namespace, or in place if it is the same VM",
    FindingCode.VM_ABSENT: "restore it to a new VM: preflight --restore new",
    FindingCode.BACKUP_NOT_OLDER: "choose an older restore point, or restore the disks alone",
    FindingCode.BACKUP_AGE_UNKNOWN: "compare the time of the restore point with the last change of the VM",
    FindingCode.STATE_NOT_RECORDED: "record it: preflight --restore in-place --record FILE",
    FindingCode.VM_POWERED_ON: "power the VM off, as printed below",
    FindingCode.SAME_VCENTER: "restore to new VMs or in place",
    FindingCode.VCENTER_NOT_COMPARED: "compare the ids of both vCenters yourself",
    FindingCode.IMAGE_CLEARED: "provide an image in the target before the VM is changed or made anew",
    FindingCode.VCENTER_UNKNOWN: "see that vCenter answers: velero-vmservice doctor",
}
"""What to do, by code."""


class Finding(Document):
    """A property of the application that will matter at restore."""

    code: str
    severity: Literal["warning", "note"]
    message: str
    """What holds of the object, as a clause that follows its name."""
    kind: str = ""
    """With the name, what it is about, in the namespace that was checked; '' in a document of an earlier release."""
    name: Name = ""

    @property
    def hint(self) -> str:
        """What to do about it; '' for a code of another release."""
        return HINTS.get(self.code, "")

    @property
    def blocks(self) -> bool:
        """Whether a restore cannot bring back what it is about."""
        return self.code in BLOCKING

    def about(self, kind: str, name: str) -> Finding:
        """Return the finding with its subject."""
        return self.model_copy(update={"kind": kind, "name": name})

    def sentence(self, namespace: str = "") -> str:
        """Return the message with its subject, which lies in the namespace."""
        if not self.kind:
            return self.message
        where = f"{namespace}/{self.name}" if namespace and self.kind != NAMESPACE.name else self.name
        return f"{self.kind} {where} {self.message}"


class Verdict(StrEnum):
    """Whether an application could be restored; the worse, the later."""

    RESTORABLE = "restorable"
    WITH_WARNINGS = "with-warnings"
    NOT_RESTORABLE = "not-restorable"


class ApplicationObject(Document):
    """A group or service of an application."""

    kind: str
    name: Name

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class ApplicationVerdict(Document):
    """The verdict on one application, or on a VM that belongs to none, with its reasons."""

    verdict: str
    kind: str
    namespace: str
    name: str
    """With the kind, the object that the application goes by: its outermost group, else its first service."""
    objects: tuple[ApplicationObject, ...] = ()
    """Its groups and services."""
    vms: tuple[Name, ...] = ()
    reasons: tuple[Finding, ...] = ()

    def blocking_reasons(self) -> str:
        """Return why it is not restorable, as one line; '' if it is."""
        return "; ".join(finding.sentence() for finding in self.reasons if finding.blocks)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return what follows from the findings about an application."""
    worst = Verdict.RESTORABLE
    for finding in findings:
        if finding.blocks:
            return Verdict.NOT_RESTORABLE
        if finding.severity == "warning":
            worst = Verdict.WITH_WARNINGS
    return worst
