"""Whether a VM is back, and in which way: a captured object is replayed once its VMs are registered (vm-service 4.6).

A group created before its members have a `status.uniqueID` makes VM Operator place them again, so replay waits. The
wait is decided again on every poll, never by a stored callback, because the sidecar may restart between two polls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.facts import difference
from velero_vmservice.errors import InReason
from velero_vmservice.kube import terminating
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.supervisor.lost_owner import Sighting
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

STABLE_SECONDS: Final = 5.0
"""RegisterVM removes its pause before the status is fresh, so the gate must hold twice, this far apart."""
NOT_YET: Final = "not registered yet"
"""The reason for a missing VM."""
RESTORED_CLAIM: Final = re.compile(r"restored-[0-9a-f]{6}")
"""RegisterVM's names for claims of newly registered disks (guide 8.1.1)."""


class RestoreType(StrEnum):
    """The guide's four types, a VM that was never lost, and unknown."""

    NEW = "new"
    EXISTING = "existing"
    DISK_ONLY = "disk-only"
    FAILOVER = "failover"
    NEVER_LOST = "never-lost"
    UNKNOWN = "unknown"


class Standing(Enum):
    """The states of a VM on its way back, in the order of the checks: the first match counts."""

    ANOTHER = auto()
    """Another VM has the name."""
    DELETING = auto()
    PAUSED = auto()
    REVERTING = auto()
    """To a snapshot."""
    NOT_FOUND = auto()
    """VM Operator has not found its vSphere VM."""
    NOT_RECONCILED = auto()
    RESTORED = auto()
    """Restored in vCenter, and not registered since."""
    REGISTERED = auto()
    """Only its disks may be missing."""


_REASONS: Final = {
    Standing.REVERTING: "is being reverted to a snapshot; afterwards nothing registers it by itself:"
    " call RegisterVM for it if it was also restored",
    Standing.NOT_FOUND: "registered, but VM Operator has not found its vSphere VM yet",
    Standing.NOT_RECONCILED: "registered, but VM Operator has not reconciled it yet"
    " (VirtualMachineCreated is not True)",
    Standing.RESTORED: "restored in vCenter, but not registered again yet (VirtualMachineBackupPaused)",
}
_REVERTED: Final = (
    "restored in vCenter, or reverted to a snapshot, and not registered since (VirtualMachineBackupPaused):"
    " after a revert nothing registers it by itself, so call RegisterVM for it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """The claims of a namespace, and its disks whose registration has not ended."""

    phases: Mapping[str, str] = field(default_factory=dict)
    """Claim name to phase, e.g. `Bound`."""
    registering: Mapping[str, str] = field(default_factory=dict)
    """Claim name to the state of an unfinished CnsRegisterVolume."""
    known: bool = True
    """Whether the claims could be listed; if not, the restore waits for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether one VM is ready, and if not, why, for `velero restore describe`."""

    ready: bool
    reason: str = ""
    never_lost: bool = False
    """The object of the backup is still there, so nothing has to settle."""
    registered: bool = False
    """The VM exists and is not being deleted; if it is gone at the next look, it was deleted."""
    blocked: bool = False
    """Waiting does not help: another VM has the name, or registration failed, and a user has to act."""
    remedy: str = ""
    """What to do if the state stays, as a sentence; '' if the reason is enough, or another VM has the name."""
    remedy_said: InReason = InReason.NOTHING
    """How much of the remedy is in the reason."""
    settling: bool = False
    """Only a second look is missing."""
    by_hand: bool = False
    """After a snapshot revert WCP does not register the VM: a user may have to call RegisterVM (guide 7.2.1)."""

    def advising(self, advice: str) -> Gate:
        """Return the same gate with one more sentence of remedy."""
        if not advice:
            return self
        return replace(self, remedy=" ".join(filter(None, (self.remedy, advice))), remedy_said=InReason.NOTHING)


def gate(vm: ObservedVm | None, expected: VmFacts | None, volumes: Volumes) -> Gate:
    """Decide whether a VM is registered and its disks exist (G-registered and G-volumes).

    `expected` is None if only the VM's name is known; identity is then not compared.
    """
    if vm is None:
        return Gate(ready=False, reason=NOT_YET)
    at = standing(vm, expected)
    if at is Standing.ANOTHER and expected is not None:
        reason = f"is another VM of that name ({_difference(vm, expected)})"
        return Gate(ready=False, reason=reason, blocked=True)
    registered = at is Standing.REGISTERED
    if registered and expected and not _is_reregistered(vm, expected):
        return Gate(ready=True, never_lost=True, registered=True)
    reason = _missing_volume(vm, volumes) if registered else _reason(vm, at)
    by_hand = bool(reason) and (vm.reverting or (vm.backup_paused and vm.reverted))
    return Gate(ready=not reason, reason=reason, registered=not vm.deleting, by_hand=by_hand)


def standing(vm: ObservedVm, expected: VmFacts | None) -> Standing:
    """Return the state of a VM without its disks; after a failover its UUIDs may differ from the backup's."""
    if expected is not None and not vm.failed_over and _difference(vm, expected):
        return Standing.ANOTHER
    lacks = (
        (vm.deleting, Standing.DELETING),
        (vm.paused, Standing.PAUSED),
        (vm.reverting, Standing.REVERTING),
        (not vm.unique_id, Standing.NOT_FOUND),
        (not vm.created, Standing.NOT_RECONCILED),
        (vm.backup_paused, Standing.RESTORED),
    )
    return next((at for holds, at in lacks if holds), Standing.REGISTERED)


def remarks(vm: ObservedVm, expected: VmFacts) -> Iterator[str]:
    """Yield oddities of a VM that are no reason to wait (vm-service 4.6), as clauses that follow its name."""
    if vm.failed_over and (difference := _difference(vm, expected)):
        yield f"was failed over and has another identity ({difference})"
    current, captured = vm.backup_version, expected.backup_version
    if compare_versions(current, captured) is VersionAge.OLDER and _is_reregistered(vm, expected):
        yield f"comes from an older restore point (backup version {current}, the capture has {captured})"


def _is_reregistered(vm: ObservedVm, expected: VmFacts) -> bool:
    """Say whether RegisterVM brought back the VM, or some of its disks; it marks a VM that it restores in place."""
    marked = vm.restored or vm.failed_over
    return vm.uid != expected.uid or marked or bool(renewed_claims(vm, expected))


def _difference(vm: ObservedVm, expected: VmFacts) -> str:
    return difference(expected, instance_uuid=vm.instance_uuid, bios_uuid=vm.bios_uuid)


def _reason(vm: ObservedVm, at: Standing) -> str:
    if at is Standing.DELETING:
        since, held_by = vm.deleting_since, vm.held_by
        return f"is {terminating.explanation(VIRTUAL_MACHINE.name, '', vm.name, since=since, held_by=held_by)}"
    if at is Standing.PAUSED:
        return vm.paused
    return _REVERTED if at is Standing.RESTORED and vm.reverted else _REASONS[at]


def _missing_volume(vm: ObservedVm, volumes: Volumes) -> str:
    for claim in vm.claims:
        if registration := volumes.registering.get(claim):
            return f"waits for PVC {claim} ({registration})"
        phase = volumes.phases.get(claim)
        if phase != "Bound" and volumes.known:
            return f"waits for PVC {claim}" + (f" ({phase})" if phase else " (not there yet)")
    return ""


def restore_type(vm: ObservedVm, expected: VmFacts | None) -> RestoreType:
    """Return the type of restore that brought back a VM.

    RegisterVM's marks are never removed and are part of the record, so a mark from before the backup does not show this
    restore: then the UID and the claims decide. Without facts only a failover can be seen.
    """
    if expected is None or not expected.uid:
        return RestoreType.FAILOVER if vm.failed_over else RestoreType.UNKNOWN
    return _of_the_same(vm, expected) if vm.uid == expected.uid else _of_a_new(vm, expected)


def renewed_claims(vm: ObservedVm, expected: VmFacts) -> list[str]:
    """Return the claims of disks that RegisterVM registered after the backup."""
    return [claim for claim in vm.claims if RESTORED_CLAIM.fullmatch(claim) and claim not in expected.claims]


def _of_a_new(vm: ObservedVm, expected: VmFacts) -> RestoreType:
    """Judge a VirtualMachine with a new UID; without a mark it is new only if one of its UUIDs matches."""
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


@dataclass(slots=True)
class Stability:
    """The time for which each VM's gate has held, over the observations of one namespace."""

    since: dict[str, float] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)

    def note(self, name: str, latest: Gate, *, observed_at: float, sighting: Sighting | None = None) -> None:
        """Note one observation of a VM; the same observation may be noted twice.

        Args:
            name: the VM.
            latest: its gate by this observation.
            observed_at: monotonic time of the observation.
            sighting: the sight of the VM, in case it is gone at the next observation.
        """
        if latest.registered or (sighting and not latest.blocked):
            self.sightings[name] = sighting or Sighting()
        if not latest.ready:
            self.since.pop(name, None)
        elif not latest.never_lost:
            self.since.setdefault(name, observed_at)

    def settled(self, name: str, latest: Gate, *, present: bool, observed_at: float) -> Gate:
        """Return a VM's gate by the observations so far: open once it has held for `STABLE_SECONDS`."""
        if not latest.ready:
            vanished = not present and name in self.sightings
            return Gate(ready=False, reason=self.sightings[name].gone()) if vanished else latest
        if latest.never_lost or observed_at - self.since.get(name, observed_at) >= STABLE_SECONDS:
            return latest
        return Gate(ready=False, reason="registered; looking once more whether it stays so", settling=True)
