"""How a restored VM differs from the guide's tables, and what to know where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET
from velero_vmservice.restore.verify.vm_rules import CONSEQUENCES, TABLE, Until
from velero_vmservice.supervisor.readiness import RestoreType, restore_type
from velero_vmservice.vmoperator.virtual_machine import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.restore.verify.vm_rules import Expectation, Row
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

_BOOTSTRAP_KINDS: Final = (SECRET, CONFIG_MAP)
_IN_PLACE: Final = frozenset({RestoreType.EXISTING, RestoreType.DISK_ONLY})
_RESTORED: Final = _IN_PLACE | {RestoreType.NEW, RestoreType.FAILOVER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One attribute of a VM that is not what its restore type makes of it."""

    attribute: str
    expected: str
    actual: str
    note: str
    source: str

    def __str__(self) -> str:
        return f"{self.attribute} should be {self.expected} and is {self.actual} ({self.source}): {self.note}"


def deviations(vm: ObservedVm, expected: VmFacts, *, untouched: bool = False) -> tuple[Deviation, ...]:
    """Return the deviations from the tables.

    Args:
        vm: the restored VM; its gate is open, or the first reconciliation may still change it.
        expected: what it was at the backup. Attributes that its writer did not know are not compared.
        untouched: the VM was not powered on or edited since it was registered. Without it, what holds
            only right after the registration is passed over.
    """
    kind = restore_type(vm, expected)
    older = compare_versions(vm.backup_version, expected.backup_version) is VersionAge.OLDER
    rows = [row for row in TABLE if kind in row.expectation and _is_asked(row, vm, untouched=untouched)]
    return tuple(
        deviation for row in rows for deviation in _differing(row, row.expectation[kind], vm, expected, older=older)
    )


def _differing(row: Row, wanted: Expectation, vm: ObservedVm, expected: VmFacts, *, older: bool) -> Iterator[Deviation]:
    values = row.restored(vm)
    explained = "; the VM comes from an older restore point" if older and row.recorded else ""
    for key, captured in row.captured(expected).items():
        if not wanted.holds(captured, values.get(key)):
            yield Deviation(
                attribute=f"{row.attribute} {key}".strip(),
                expected=wanted.text.format(captured=captured or "empty"),
                actual=_described(values.get(key)),
                note=f"{row.note}{explained}",
                source=row.source,
            )


def consequences(vm: ObservedVm, expected: VmFacts | None) -> Iterator[str]:
    """Yield what follows from the way the VM came back, though everything is as expected."""
    kind = restore_type(vm, expected)
    for consequence in CONSEQUENCES:
        if consequence.type is kind and consequence.applies(vm):
            yield f"{vm.name}: {consequence.text} ({consequence.source})"


def _is_asked(row: Row, vm: ObservedVm, *, untouched: bool) -> bool:
    match row.until:
        case Until.RECONCILED:
            return not vm.created
        case Until.TOUCHED:
            return untouched
        case _:
            return True


def _described(value: str | None) -> str:
    return "missing" if value is None else value or "empty"


def kinds_beside(vm: ObservedVm, expected: VmFacts) -> tuple[Kind, ...]:
    """Return the kinds whose names tell whether a VM has what belongs to it; none for a VM that was never lost."""
    way = restore_type(vm, expected)
    bootstrap = _BOOTSTRAP_KINDS if way in _RESTORED and expected.bootstrap else ()
    replaced = way in _IN_PLACE and not set(expected.claims) <= set(vm.claims)
    return (*bootstrap, *((PERSISTENT_VOLUME_CLAIM,) if replaced else ()))


def deviations_beside(
    vm: ObservedVm, expected: VmFacts, names: Mapping[Kind, Collection[str]], *, in_use: Collection[str]
) -> Iterator[Deviation]:
    """Yield what belongs beside a VM and is missing, or is left over of the lost one.

    Args:
        vm: the restored VM; its gate is open.
        expected: what it was at the backup.
        names: the names in the namespace, of each kind that could be listed; one that is missing is not compared.
        in_use: claims that a VM of the namespace mounts.
    """
    kinds = kinds_beside(vm, expected)
    if set(_BOOTSTRAP_KINDS) <= set(kinds) & set(names):
        present = {name for kind in _BOOTSTRAP_KINDS for name in names[kind]}
        for name in sorted(set(expected.bootstrap) - present):
            yield Deviation(
                attribute=f"bootstrap object {name}",
                expected="there",
                actual="missing",
                note="RegisterVM recreates the Secrets and ConfigMaps of spec.bootstrap: create it again, else the VM"
                " cannot be reconciled",
                source="guide 8.3",
            )
    if PERSISTENT_VOLUME_CLAIM in kinds and PERSISTENT_VOLUME_CLAIM in names:
        left = set(expected.claims) & set(names[PERSISTENT_VOLUME_CLAIM])
        for name in sorted(left - set(vm.claims) - set(in_use)):
            yield Deviation(
                attribute=f"PVC {name}",
                expected="deleted",
                actual="there",
                note="a restore in place replaces this disk and deletes its PVC: see whether anything uses it",
                source="guide 6.2",
            )
