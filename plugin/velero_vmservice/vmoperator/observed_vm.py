"""The observed VM: what one look at a VirtualMachine says, kept small enough for 10,000 of them.

It holds what the gates and the comparison after a restore ask for, never the object. What repeats from VM to
VM is kept once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from sys import intern
from typing import TYPE_CHECKING, Final

from velero_vmservice.interning import shared, shared_names, shared_pairs
from velero_vmservice.kube import terminating
from velero_vmservice.kube.manifest import Manifest, is_true, mapping
from velero_vmservice.vmoperator import marks, virtual_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.vmoperator.virtual_machine import Subnet

_PROBES: Final = frozenset({"tcpSocket", "guestHeartbeat", "guestInfo"})
"""A readinessProbe that names none of these is none (virtualmachineservice_controller.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVm:
    """What one observation says of a VirtualMachine."""

    name: str
    uid: str
    created_at: str
    """RFC 3339; a VM that RegisterVM brought back under a new UID is younger than its backup."""
    deleting_since: str
    """When its deletion was requested; '' if it was not."""
    held_by: tuple[str, ...]
    """The finalizers of a VM that is being deleted."""
    paused: str
    """What paused it, as a clause; '' if it is not paused."""
    unique_id: str
    created: bool
    backup_paused: bool
    reverting: bool
    """Whether it is being reverted to a snapshot, or is to be (guide 7.2.1)."""
    reverted: bool
    """Whether it ever was."""
    restored: bool
    """Whether it carries RegisterVM's mark; the mark stays after a later power-on (vm-service 4.5)."""
    failed_over: bool
    """The same for a failover from another vCenter."""
    imported: bool
    """Whether it was taken over from vCenter without a backup."""
    instance_uuid: str
    bios_uuid: str
    backup_version: str
    group_name: str
    power_state: str
    asked_power: str
    """`spec.powerState`."""
    power_synced: bool | None
    """VirtualMachinePowerStateSynced; None where VM Operator does not say."""
    power_checks: tuple[str, ...]
    """Annotations that keep VM Operator from powering it on (vmprovider_vm.go)."""
    addresses: tuple[str, ...]
    serving: bool
    """False while a readiness probe has not passed."""
    labels: Mapping[str, str]
    lifecycle_annotations: Mapping[str, str]
    """The created-at and upgraded-to annotations (guide 8.1.3)."""
    user_annotations: tuple[str, ...]
    """Names only, as in the facts."""
    instance_id: str
    """Cloud-init's."""
    image: str
    volumes: Mapping[str, str]
    """Volume name to claim name."""
    interfaces: Mapping[str, Subnet | None]
    """What each interface of `spec.network` is on, by its name; None for a network of another kind."""
    owner_groups: tuple[tuple[str, str], ...]
    """Name and UID of each VirtualMachineGroup that owns it."""

    @property
    def deleting(self) -> bool:
        """Whether its deletion was requested."""
        return bool(self.deleting_since)

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that are its disks."""
        return tuple(self.volumes.values())


def read_vm(vm: Manifest) -> ObservedVm:
    """Read a VirtualMachine of any served version."""
    status, spec, annotations = vm.status, vm.spec, vm.annotations
    backup = vm.condition("VirtualMachineBackupUpToDate") or {}
    ready, synced = vm.condition("Ready"), vm.condition("VirtualMachinePowerStateSynced")
    return ObservedVm(
        name=intern(vm.name),
        uid=vm.uid,
        created_at=str(vm.metadata.get("creationTimestamp", "")),
        deleting_since=str(vm.metadata.get("deletionTimestamp") or ""),
        held_by=shared_names(terminating.finalizers(vm)) if vm.deleting else (),
        paused=_paused(vm),
        unique_id=str(status.get("uniqueID", "")),
        created=is_true(vm.condition("VirtualMachineCreated")) or status.get("phase") == "Created",
        backup_paused=backup.get("status") == "False" and backup.get("reason") == "VirtualMachineBackupPaused",
        reverting=marks.SNAPSHOT_REVERT_ANNOTATION in annotations or bool(virtual_machine.snapshot_reverted_to(vm)),
        reverted=is_true(vm.condition("VirtualMachineSnapshotRevertSucceeded")),
        restored=marks.RESTORED_ANNOTATION in annotations,
        failed_over=marks.FAILED_OVER_ANNOTATION in annotations,
        imported=marks.IMPORTED_ANNOTATION in annotations,
        instance_uuid=str(spec.get("instanceUUID") or status.get("instanceUUID") or ""),
        bios_uuid=str(status.get("biosUUID") or spec.get("biosUUID") or ""),
        backup_version=annotations.get(marks.BACKUP_VERSION_ANNOTATION, ""),
        group_name=intern(str(spec.get("groupName", ""))),
        power_state=intern(virtual_machine.power_state(vm)),
        asked_power=intern(str(spec.get("powerState", ""))),
        power_synced=None if synced is None else is_true(synced),
        power_checks=shared_names(key for key in annotations if key.startswith(marks.POWER_ON_CHECK_PREFIX)),
        addresses=virtual_machine.addresses(vm),
        serving=not _PROBES & mapping(spec.get("readinessProbe")).keys() or is_true(ready),
        labels=shared_pairs(_text(vm.labels)),
        lifecycle_annotations=shared_pairs(virtual_machine.lifecycle_annotations(vm)),
        user_annotations=shared_names(virtual_machine.user_annotations(vm)),
        instance_id=virtual_machine.instance_id(vm),
        image=intern(virtual_machine.image(vm)),
        volumes={intern(name): claim for name, claim in virtual_machine.volumes(vm).items()},
        interfaces=shared_pairs(virtual_machine.interfaces(vm)),
        owner_groups=shared(vm.owner_groups),
    )


def _text(labels: Mapping[str, object]) -> dict[str, str]:
    return {str(key): str(value) for key, value in labels.items()}


def _paused(vm: Manifest) -> str:
    for annotation in marks.PAUSE_ANNOTATIONS:
        if annotation in vm.annotations:
            return f"paused by RegisterVM or an administrator (annotation {annotation})"
    if by := vm.labels.get(marks.PAUSED_LABEL):
        return f"paused by {by} (label {marks.PAUSED_LABEL})"
    return ""


class VersionAge(StrEnum):
    """How a VM's restore point, its backup version, compares with the captured one; shown, never waited for.

    VM Operator counts in Unix milliseconds, and goes on recording newer versions of a VM that is alive; 8.0 U3
    records none (vm-service 4.5, 4.6).
    """

    OLDER = "older"
    EQUAL = "equal"
    NEWER = "newer"
    UNKNOWN = "unknown"


def compare_versions(current: str, captured: str) -> VersionAge:
    """Compare two backup versions; what is absent or no number cannot be compared."""
    if not (_is_version(current) and _is_version(captured)):
        return VersionAge.UNKNOWN
    if int(current) == int(captured):
        return VersionAge.EQUAL
    return VersionAge.OLDER if int(current) < int(captured) else VersionAge.NEWER


def recorded_at(version: str) -> str:
    """Return when a backup version was recorded, as ISO time in UTC; '' for what is no time."""
    try:
        return datetime.fromtimestamp(int(version) // 1000, UTC).isoformat() if _is_version(version) else ""
    except (OverflowError, ValueError, OSError):
        return ""


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal()
