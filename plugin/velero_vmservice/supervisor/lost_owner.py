"""VMs whose saved YAML names a lost group as owner: Kubernetes deletes such a VM right after its registration.

The garbage collector may act between two looks (vm-service fact 3). So the cause is derived from earlier looks, which
showed the VM with its owner or its deletion, or else from its record and its capture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

Owners = tuple[tuple[str, str], ...]
"""Name and UID of each VirtualMachineGroup that owns a VM."""

_AGAIN: Final = "restore it again without that ownerReference"
VANISHED: Final = (
    "was registered and has vanished: its saved YAML may name a lost group as owner, which makes Kubernetes delete it;"
    f" {_AGAIN}"
)


def lost_owner(owners: Owners, groups: Mapping[str, str]) -> str:
    """Name a group that owns a VM and no longer exists, '' if there is none; `groups` maps live names to UIDs.

    A VM with another live owner is not collected.
    """
    dead = [name for name, uid in owners if groups.get(name) != uid]
    return dead[0] if dead and len(dead) == len(owners) else ""


def dead_owner(vm: ObservedVm, groups: Mapping[str, str]) -> str:
    """Say that a VM's only owner is a lost group, or ''."""
    name = lost_owner(vm.owner_groups, groups)
    return f"carries an ownerReference to a lost VirtualMachineGroup {name}: Kubernetes will delete it" if name else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The last sight of a VM that may be gone at the next look."""

    owner: str = ""
    """The lost group that was its only owner."""
    deleting_since: str = ""

    @classmethod
    def of(cls, vm: ObservedVm, expected: VmFacts | None, groups: Mapping[str, str]) -> Sighting | None:
        """Return the sight of a VM; None for the VM of the backup while it is still being deleted."""
        if vm.deleting and (expected is None or vm.uid == expected.uid):
            return None
        return cls(owner=lost_owner(vm.owner_groups, groups), deleting_since=vm.deleting_since)

    def gone(self) -> str:
        """Say why the VM is gone, by its last sight."""
        if self.owner:
            cause = f"its only owner was the lost VirtualMachineGroup {self.owner}, and Kubernetes deletes such a VM"
            return f"was registered and is gone: {cause}; {_AGAIN}"
        if self.deleting_since:
            return f"was registered and is gone: it was being deleted since {self.deleting_since}; restore it again"
        return VANISHED


def never_seen(expected: VmFacts | None, recorded: Owners, groups: Mapping[str, str]) -> str:
    """Say what to check if a VM does not appear, by its record and its capture; '' if neither shows a cause.

    Args:
        expected: the VM at backup.
        recorded: the owners in its record.
        groups: UID of each live group by name.
    """
    succeeded = "See whether RegisterVM has succeeded for"
    if expected is not None and (name := lost_owner(recorded, groups)):
        return (
            f"{succeeded} {expected.name}: its record names the lost VirtualMachineGroup {name} as its only owner, and"
            f" Kubernetes deletes such a VM within seconds; {_AGAIN}."
        )
    if expected is None or recorded or not expected.group_name or expected.group_name in groups:
        return ""
    return (
        f"{succeeded} a VM of group {expected.group_name} that is not there: its record may name the lost group as its"
        f" owner, and Kubernetes then deletes the VM within seconds; {_AGAIN}."
    )
