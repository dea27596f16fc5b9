"""When may a captured object be put back? Once its VMs are registered (vm-service 4.6).

A group created before its members have a `status.uniqueID` makes VM Operator place them again, so replay waits.
The wait is a question asked afresh on every poll, never a stored callback: the sidecar may have been restarted
between two polls.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.facts import difference
from velero_vmservice.errors import Said
from velero_vmservice.kube import terminating
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.supervisor.lost_owner import Sighting
from velero_vmservice.supervisor.restore_type import renewed_claims
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.vmoperator.observed_vm import ObservedVm

STABLE_SECONDS: Final = 5.0
"""RegisterVM takes its pause away before the status is fresh: the gate must hold twice, this far apart."""
NOT_YET: Final = "not registered yet"
"""The reason for a VM that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """The claims of a namespace and the disks that are still being registered there."""

    phases: Mapping[str, str] = field(default_factory=dict)
    """Claim name to phase, e.g. `Bound`."""
    registering: Mapping[str, str] = field(default_factory=dict)
    """Claim name to the state of an unfinished CnsRegisterVolume."""
    known: bool = True
    """Whether the claims could be listed at all; if not, none is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether one VM is ready, and if not, why, for `velero restore describe`."""

    ready: bool
    reason: str = ""
    never_lost: bool = False
    """The very object that was backed up, alive: nothing has to settle."""
    registered: bool = False
    """The VM is there and stays: if it is gone at the next look, something took it away."""
    blocked: bool = False
    """Waiting does not help: another VM has the name, or registration failed, and a person has to act."""
    remedy: str = ""
    """What to do if it stays so, as a sentence; '' if the reason is enough, or another VM has the name."""
    remedy_said: Said = Said.NOTHING
    """How much of it the reason says."""
    settling: bool = False
    """Nothing is missing but another look."""
    by_hand: bool = False
    """A snapshot revert keeps WCP from registering the VM: a user may have to call RegisterVM (guide 7.2.1)."""

    def advising(self, advice: str) -> Gate:
        """Return the same gate with one more sentence on what to do if it stays so."""
        if not advice:
            return self
        return replace(self, remedy=" ".join(filter(None, (self.remedy, advice))), remedy_said=Said.NOTHING)


def gate(vm: ObservedVm | None, expected: VmFacts | None, volumes: Volumes) -> Gate:
    """Decide whether a VM is registered and its disks are there (G-registered and G-volumes).

    `expected` is None where nothing but the VM's name is known; identity is then not compared.
    """
    if vm is None:
        return Gate(ready=False, reason=NOT_YET)
    if reason := _another(vm, expected):
        return Gate(ready=False, reason=reason, blocked=True)
    reason = _unregistered(vm)
    if not reason and expected and not _is_reregistered(vm, expected):
        return Gate(ready=True, never_lost=True, registered=True)
    reason = reason or _missing_volume(vm, volumes)
    by_hand = bool(reason) and (vm.reverting or (vm.backup_paused and vm.reverted))
    return Gate(ready=not reason, reason=reason, registered=not vm.deleting, by_hand=by_hand)


def remarks(vm: ObservedVm, expected: VmFacts) -> Iterator[str]:
    """Yield what is odd about a VM and no reason to wait (vm-service 4.6), as clauses that follow its name."""
    if vm.failed_over and (difference := _difference(vm, expected)):
        yield f"was failed over and has another identity ({difference})"
    current, captured = vm.backup_version, expected.backup_version
    if compare_versions(current, captured) is VersionAge.OLDER and _is_reregistered(vm, expected):
        yield f"comes from an older restore point (backup version {current}, the capture has {captured})"


def _is_reregistered(vm: ObservedVm, expected: VmFacts) -> bool:
    """Say whether RegisterVM brought the VM, or some of its disks; it marks one that it restores in place."""
    marked = vm.restored or vm.failed_over
    return vm.uid != expected.uid or marked or bool(renewed_claims(vm, expected))


def _another(vm: ObservedVm, expected: VmFacts | None) -> str:
    """Say that another VM answers to the name; after a failover the UUIDs may differ."""
    if expected is None or vm.failed_over:
        return ""
    difference = _difference(vm, expected)
    return f"is another VM of that name ({difference})" if difference else ""


def _difference(vm: ObservedVm, expected: VmFacts) -> str:
    return difference(expected, instance_uuid=vm.instance_uuid, bios_uuid=vm.bios_uuid)


def _unregistered(vm: ObservedVm) -> str:
    if vm.deleting:
        since, held_by = vm.deleting_since, vm.held_by
        return f"is {terminating.words(VIRTUAL_MACHINE.name, '', vm.name, since=since, held_by=held_by)}"
    if vm.paused:
        return vm.paused
    if vm.reverting:
        return (
            "is being reverted to a snapshot; afterwards nothing registers it by itself:"
            " call RegisterVM for it if it was also restored"
        )
    if not vm.unique_id:
        return "registered, but VM Operator has not found its vSphere VM yet"
    if not vm.created:
        return "registered, but VM Operator has not reconciled it yet (VirtualMachineCreated is not True)"
    if vm.backup_paused and vm.reverted:
        return (
            "restored in vCenter, or reverted to a snapshot, and not registered since (VirtualMachineBackupPaused):"
            " after a revert nothing registers it by itself, so call RegisterVM for it"
        )
    if vm.backup_paused:
        return "restored in vCenter, but not registered again yet (VirtualMachineBackupPaused)"
    return ""


def _missing_volume(vm: ObservedVm, volumes: Volumes) -> str:
    for claim in vm.claims:
        if registration := volumes.registering.get(claim):
            return f"waits for PVC {claim} ({registration})"
        phase = volumes.phases.get(claim)
        if phase != "Bound" and volumes.known:
            return f"waits for PVC {claim}" + (f" ({phase})" if phase else " (not there yet)")
    return ""


@dataclass(slots=True)
class Stability:
    """How long each VM's gate has held, over the observations of one namespace."""

    since: dict[str, float] = field(default_factory=dict)
    seen: dict[str, Sighting] = field(default_factory=dict)

    def settle(
        self, name: str, latest: Gate, *, present: bool, observed_at: float, sighting: Sighting | None = None
    ) -> Gate:
        """Turn one observation into a gate that has held for `STABLE_SECONDS`.

        Args:
            name: the VM.
            latest: its gate by this observation.
            present: whether a VM of that name is there.
            observed_at: monotonic time of the observation; the same observation may come twice.
            sighting: what to remember of it in case it is gone at the next one.
        """
        if latest.registered or (sighting and not latest.blocked):
            self.seen[name] = sighting or Sighting()
        if not latest.ready:
            self.since.pop(name, None)
            if not present and name in self.seen:
                return Gate(ready=False, reason=self.seen[name].gone())
            return latest
        if latest.never_lost:
            return latest
        if observed_at - self.since.setdefault(name, observed_at) < STABLE_SECONDS:
            return Gate(ready=False, reason="registered; looking once more whether it stays so", settling=True)
        return latest
