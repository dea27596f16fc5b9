"""How a restored VM differs from the guide's tables, and what to know where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET
from velero_vmservice.restore.verify.vm_rules import CONSEQUENCES, SAME_ONCE_KNOWN, TABLE, Until
from velero_vmservice.supervisor.readiness import RestoreType, restore_type
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.restore.verify.vm_rules import Expectation, Row
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

_BOOTSTRAP_KINDS: Final = (SECRET, CONFIG_MAP)
_IN_PLACE: Final = frozenset({RestoreType.EXISTING, RestoreType.DISK_ONLY})
_RESTORED: Final = _IN_PLACE | {RestoreType.NEW, RestoreType.FAILOVER}


class Outcome(Enum):
    """What a comparison has come to."""

    AS_EXPECTED = auto()
    DIFFERS = auto()
    UNKNOWN = auto()
    """The row holds for a time that has passed, or the value is not known yet."""


_TOO_LATE: Final = {
    Until.EVER: "",
    Until.RECONCILED: "it holds until VM Operator has reconciled the VM, which it has",
    Until.TOUCHED: "it holds until the VM is powered on or edited, which it was",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One attribute of a VM beside what its restore type makes of it."""

    attribute: str
    outcome: Outcome
    expected: str
    actual: str
    note: str
    """What a deviation means, or why the outcome is not known."""
    source: str


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
    return tuple(
        Deviation(
            attribute=comparison.attribute,
            expected=comparison.expected,
            actual=comparison.actual,
            note=comparison.note,
            source=comparison.source,
        )
        for comparison in compared(vm, expected, untouched=untouched)
        if comparison.outcome is Outcome.DIFFERS
    )


def compared(vm: ObservedVm, expected: VmFacts, *, untouched: bool = False) -> Iterator[Comparison]:
    """Yield what the tables say of each attribute of a VM that came back this way; arguments as of `deviations`."""
    kind = restore_type(vm, expected)
    older = compare_versions(vm.backup_version, expected.backup_version) is VersionAge.OLDER
    for row in TABLE:
        if kind in row.expectation:
            too_late = "" if _is_asked(row, vm, untouched=untouched) else _TOO_LATE[row.until]
            yield from _row_compared(row, row.expectation[kind], vm, expected, older=older, too_late=too_late)


def _row_compared(
    row: Row, wanted: Expectation, vm: ObservedVm, expected: VmFacts, *, older: bool, too_late: str
) -> Iterator[Comparison]:
    values = row.restored(vm)
    explained = "; the VM comes from an older restore point" if older and row.recorded else ""
    for key, captured in row.captured(expected).items():
        value = values.get(key)
        if too_late:
            outcome, note = Outcome.UNKNOWN, too_late
        elif value is None and wanted is SAME_ONCE_KNOWN:
            outcome, note = Outcome.UNKNOWN, "VM Operator does not say it yet"
        elif wanted.holds(captured, value):
            outcome, note = Outcome.AS_EXPECTED, row.note
        else:
            outcome, note = Outcome.DIFFERS, f"{row.note}{explained}"
        yield Comparison(
            attribute=f"{row.attribute} {key}".strip(),
            outcome=outcome,
            expected=wanted.text.format(captured=captured or "empty"),
            actual=_described(value),
            note=note,
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
