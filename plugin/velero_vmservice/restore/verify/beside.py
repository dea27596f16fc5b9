"""What a restore promises beside the VM: its bootstrap objects are there, replaced disks are gone (guide 8.3, 9).

RegisterVM recreates the Secrets and ConfigMaps that a VM is bootstrapped from, and deletes the PVCs that a restore in
place replaces. Both are compared by name when the restore has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET
from velero_vmservice.restore.verify.vm import Deviation
from velero_vmservice.supervisor.restore_type import RestoreType, restore_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.vmoperator.observed_vm import ObservedVm

BOOTSTRAP_KINDS: Final = (SECRET, CONFIG_MAP)
_IN_PLACE: Final = frozenset({RestoreType.EXISTING, RestoreType.DISK_ONLY})
_RESTORED: Final = _IN_PLACE | {RestoreType.NEW, RestoreType.FAILOVER}


def kinds(vm: ObservedVm, expected: VmFacts) -> tuple[Kind, ...]:
    """Return the kinds whose names tell whether a VM has what belongs to it; none for a VM that was never lost."""
    way = restore_type(vm, expected)
    bootstrap = BOOTSTRAP_KINDS if way in _RESTORED and expected.bootstrap else ()
    replaced = way in _IN_PLACE and not set(expected.claims) <= set(vm.claims)
    return (*bootstrap, *((PERSISTENT_VOLUME_CLAIM,) if replaced else ()))


def deviations(
    vm: ObservedVm, expected: VmFacts, names: Mapping[Kind, Collection[str]], *, in_use: Collection[str]
) -> Iterator[Deviation]:
    """Yield what is missing or left over.

    Args:
        vm: what was found; its gate is open.
        expected: what it was at the backup.
        names: the names in the namespace, of each kind that could be listed; one that is missing is not compared.
        in_use: claims that a VM of the namespace mounts.
    """
    asked = kinds(vm, expected)
    if set(BOOTSTRAP_KINDS) <= set(asked) & set(names):
        present = {name for kind in BOOTSTRAP_KINDS for name in names[kind]}
        for name in sorted(set(expected.bootstrap) - present):
            yield Deviation(
                attribute=f"bootstrap object {name}",
                expected="there",
                found="missing",
                note="RegisterVM recreates the Secrets and ConfigMaps of spec.bootstrap: create it again, else the VM"
                " cannot be reconciled",
                source="guide 8.3",
            )
    if PERSISTENT_VOLUME_CLAIM in asked and PERSISTENT_VOLUME_CLAIM in names:
        left = set(expected.claims) & set(names[PERSISTENT_VOLUME_CLAIM])
        for name in sorted(left - set(vm.claims) - set(in_use)):
            yield Deviation(
                attribute=f"PVC {name}",
                expected="deleted",
                found="there",
                note="a restore in place replaces this disk and deletes its PVC: see whether anything uses it",
                source="guide 6.2",
            )
