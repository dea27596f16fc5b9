"""What differs between a restored VM and the guide's tables, and what to mind where nothing does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.restore.verify.vm_rules import CONSEQUENCES, TABLE, Until
from velero_vmservice.supervisor.restore_type import restore_type
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.restore.verify.vm_rules import Expectation, Row
    from velero_vmservice.vmoperator.observed_vm import ObservedVm


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One attribute of a VM that is not what its restore type makes of it."""

    attribute: str
    expected: str
    found: str
    note: str
    source: str

    def __str__(self) -> str:
        return f"{self.attribute} should be {self.expected} and is {self.found} ({self.source}): {self.note}"


def deviations(vm: ObservedVm, expected: VmFacts, *, untouched: bool = False) -> tuple[Deviation, ...]:
    """Return what is not as the tables have it.

    Args:
        vm: what was found; its gate is open, or the first reconciliation may still change it.
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
    values = row.found(vm)
    explained = "; the VM comes from an older restore point" if older and row.recorded else ""
    for key, captured in row.captured(expected).items():
        if not wanted.holds(captured, values.get(key)):
            yield Deviation(
                attribute=f"{row.attribute} {key}".strip(),
                expected=wanted.text.format(captured=captured or "empty"),
                found=_described(values.get(key)),
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
