"""How a VM came back, by what RegisterVM left on it (guide 4.3 and 6.1 to 6.4)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.vmoperator.observed_vm import ObservedVm

RESTORED_CLAIM: Final = re.compile(r"restored-[0-9a-f]{6}")
"""How RegisterVM names the claim of a disk that it registers anew (guide 8.1.1)."""


class RestoreType(StrEnum):
    """The guide's four ways, a VM that was never lost, and unknown."""

    NEW = "new"
    EXISTING = "existing"
    DISK_ONLY = "disk-only"
    FAILOVER = "failover"
    NEVER_LOST = "never-lost"
    UNKNOWN = "unknown"


def restore_type(vm: ObservedVm, expected: VmFacts | None) -> RestoreType:
    """Tell how a VM came back.

    RegisterVM's marks stay for good and are part of the record, so a mark that was there at the backup says nothing
    of this restore: then the UID and the claims decide. Without facts only a failover shows.
    """
    if expected is None or not expected.uid:
        return RestoreType.FAILOVER if vm.failed_over else RestoreType.UNKNOWN
    return _of_the_same(vm, expected) if vm.uid == expected.uid else _of_a_new(vm, expected)


def renewed_claims(vm: ObservedVm, expected: VmFacts) -> list[str]:
    """Return the claims of disks that RegisterVM has registered since the backup."""
    return [claim for claim in vm.claims if RESTORED_CLAIM.fullmatch(claim) and claim not in expected.claims]


def _of_a_new(vm: ObservedVm, expected: VmFacts) -> RestoreType:
    """Judge a VirtualMachine under a new UID; one that no mark explains is new only if one of its UUIDs matches."""
    if vm.failed_over and not (expected.failed_over and vm.restored):
        return RestoreType.FAILOVER
    pairs = ((vm.instance_uuid, expected.instance_uuid), (vm.bios_uuid, expected.bios_uuid))
    same = any(current and current == captured for current, captured in pairs)
    return RestoreType.NEW if vm.restored or same else RestoreType.UNKNOWN


def _of_the_same(vm: ObservedVm, expected: VmFacts) -> RestoreType:
    if vm.failed_over and not expected.failed_over:
        return RestoreType.FAILOVER
    if vm.restored and not expected.restored:
        return RestoreType.EXISTING
    if renewed := renewed_claims(vm, expected):
        whole = vm.restored and len(renewed) == len(vm.claims)
        return RestoreType.EXISTING if whole else RestoreType.DISK_ONLY
    alive = bool(vm.unique_id) and not vm.deleting and not vm.backup_paused
    return RestoreType.NEVER_LOST if alive else RestoreType.UNKNOWN
