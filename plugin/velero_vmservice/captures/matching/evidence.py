"""What the VMs that are registered now say about a capture: each by itself, and all of them together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.facts import difference
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.captures.matching.candidate import Candidate, VmName
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm


class Fit(StrEnum):
    """How a capture compares with what it is to be restored for; in order of preference."""

    EXACT = "exact"
    """Every VM is as captured, and its namespaces have no VM that it has not."""
    OLDER = "older"
    """It is older than its VMs, or than the restore point: what changed since is not in it."""
    PARTIAL = "partial"
    """None of its VMs speaks against it, and half of them at the least, not all, can be compared."""
    UNKNOWN = "unknown"
    """Too little that was recorded on both sides can be compared."""
    NEWER = "newer"
    """It is newer than at least one of its VMs, or than the restore point."""
    UNRELATED = "unrelated"
    """Other VMs bear the names of its own."""


class Presence(StrEnum):
    """Whether a VM is there, and in the capture."""

    REGISTERED = "registered"
    MISSING = "missing"
    ANOTHER = "another VM"
    """A VM of that name with other UUIDs."""
    UNCAPTURED = "not in the capture"
    """A VM that is there, and was not when the capture was taken."""


class Uuids(StrEnum):
    """How the UUIDs of a VM compare with the captured ones."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class VmEvidence:
    """What one VM says about a capture."""

    name: VmName
    """In the capture."""
    presence: Presence
    captured: str
    """The backup version that the capture has; '' where it has none."""
    live: str = ""
    """The backup version on the VirtualMachine; '' where there is none."""
    uuids: Uuids = Uuids.UNKNOWN

    @property
    def age(self) -> VersionAge:
        """The version on the VirtualMachine against the captured one."""
        return compare_versions(self.live, self.captured)

    @property
    def fit(self) -> Fit:
        """What this VM alone says."""
        match self.presence, self.age:
            case Presence.ANOTHER, _:
                return Fit.UNRELATED
            case Presence.UNCAPTURED, _:
                return Fit.OLDER
            case Presence.REGISTERED, VersionAge.EQUAL:
                return Fit.EXACT
            case Presence.REGISTERED, VersionAge.OLDER:
                return Fit.NEWER
            case Presence.REGISTERED, VersionAge.NEWER:
                return Fit.OLDER
            case _:
                return Fit.UNKNOWN


_COMPARED: Final = frozenset({Fit.EXACT, Fit.OLDER, Fit.NEWER})


def counted(vms: Iterable[VmEvidence]) -> str:
    """Return how many VMs say what, as a clause."""
    counts = Counter(str(vm.presence) if vm.presence is not Presence.REGISTERED else _CLAUSES[vm.fit] for vm in vms)
    return ", ".join(f"{count} {clause}" for clause, count in counts.most_common())


_CLAUSES: Final = {
    Fit.EXACT: "as captured",
    Fit.OLDER: "recorded since",
    Fit.NEWER: "from an older restore point",
    Fit.UNKNOWN: "without a version to compare",
    Fit.UNRELATED: str(Presence.ANOTHER),
}


def evidence_of(
    candidate: Candidate, live: Mapping[VmName, ObservedVm], mapping: Mapping[str, str]
) -> Sequence[VmEvidence]:
    """Return what each VM says, those last that the capture does not have.

    Args:
        candidate: the capture.
        live: the VirtualMachines as they are.
        mapping: the namespaces that a restore moves, as the VMs are looked for where it brings them back.
    """
    captured = [
        _of_vm(name, vm, live.get((mapping.get(name[0], name[0]), name[1])))
        for name, vm in sorted(candidate.vms.items())
    ]
    return [*captured, *_uncaptured(candidate, live, mapping)]


def _of_vm(name: VmName, captured: VmFacts, live: ObservedVm | None) -> VmEvidence:
    if live is None or live.deleting:
        return VmEvidence(name=name, presence=Presence.MISSING, captured=captured.backup_version)
    uuids = _uuids(captured, live)
    another = uuids is Uuids.DIFFERENT and not live.failed_over  # a failover to another vCenter changes them
    return VmEvidence(
        name=name,
        presence=Presence.ANOTHER if another else Presence.REGISTERED,
        captured=captured.backup_version,
        live=live.backup_version,
        uuids=uuids,
    )


def _uuids(captured: VmFacts, live: ObservedVm) -> Uuids:
    if difference(captured, instance_uuid=live.instance_uuid, bios_uuid=live.bios_uuid):
        return Uuids.DIFFERENT
    pairs = ((captured.instance_uuid, live.instance_uuid), (captured.bios_uuid, live.bios_uuid))
    return Uuids.EQUAL if any(before and now for before, now in pairs) else Uuids.UNKNOWN


def _uncaptured(
    candidate: Candidate, live: Mapping[VmName, ObservedVm], mapping: Mapping[str, str]
) -> Iterator[VmEvidence]:
    """Yield the VMs of its namespaces that were not there when it was taken; another namespace has VMs of its own."""
    for name, vm in sorted(live.items()):
        namespace = name[0]
        if namespace not in candidate.namespaces or mapping.get(namespace, namespace) != namespace or vm.deleting:
            continue
        if name not in candidate.vms and ObjectRef(VIRTUAL_MACHINE, *name) not in candidate.existing:
            yield VmEvidence(name=name, presence=Presence.UNCAPTURED, captured="", live=vm.backup_version)


def fit_of(evidence: Sequence[VmEvidence]) -> Fit:
    """Return what all VMs of a capture, and those that it has not, say together."""
    fits = {vm.fit for vm in evidence}
    captured = [vm for vm in evidence if vm.presence is not Presence.UNCAPTURED]
    count = len(compared(captured))
    if Fit.NEWER in fits:
        return Fit.NEWER
    if not count or 2 * count < len(captured):
        return Fit.UNRELATED if Fit.UNRELATED in fits else Fit.UNKNOWN
    if count < len(captured):
        return Fit.PARTIAL
    return Fit.OLDER if Fit.OLDER in fits else Fit.EXACT


def compared(evidence: Iterable[VmEvidence]) -> Sequence[VmEvidence]:
    """Return the VMs that have a version on both sides."""
    return [vm for vm in evidence if vm.fit in _COMPARED]
