"""What differs between a restored machine and the guide's tables, and what to mind where nothing does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.restore.verify.vm_rules import CONSEQUENCES, TABLE, Until
from velero_vmservice.supervisor.restore_type import restore_type
from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.archive.facts import MachineFacts
    from velero_vmservice.restore.verify.vm_rules import Expectation, Row
    from velero_vmservice.vmoperator.observed_vm import ObservedVm


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One attribute of a machine that is not what its restore type makes of it."""

    attribute: str
    expected: str
    found: str
    note: str
    source: str

    def __str__(self) -> str:
        return f"{self.attribute} should be {self.expected} and is {self.found} ({self.source}): {self.note}"


def deviations(machine: ObservedVm, expected: MachineFacts, *, untouched: bool = False) -> tuple[Deviation, ...]:
    """Return what is not as the tables have it.

    Args:
        machine: what was found; its gate is open, or the first reconciliation may still change it.
        expected: what it was at the backup. Attributes that its writer did not know are not compared.
        untouched: nobody can have powered the machine on or edited it since it was registered. Without it, what holds
            only right after the registration is passed over.
    """
    kind = restore_type(machine, expected)
    older = compare_versions(machine.backup_version, expected.backup_version) is VersionAge.OLDER
    asked = [row for row in TABLE if kind in row.expectation and _is_asked(row, machine, untouched=untouched)]
    return tuple(one for row in asked for one in _differing(row, row.expectation[kind], machine, expected, older=older))


def _differing(
    row: Row, wanted: Expectation, machine: ObservedVm, expected: MachineFacts, *, older: bool
) -> Iterator[Deviation]:
    found = row.found(machine)
    explained = "; the machine comes from an older restore point" if older and row.recorded else ""
    for key, captured in row.captured(expected).items():
        if not wanted.holds(captured, found.get(key)):
            yield Deviation(
                attribute=f"{row.attribute} {key}".strip(),
                expected=wanted.words.format(captured=captured or "empty"),
                found=_said(found.get(key)),
                note=f"{row.note}{explained}",
                source=row.source,
            )


def consequences(machine: ObservedVm, expected: MachineFacts | None) -> Iterator[str]:
    """Yield what follows from the way the machine came back, though everything is as expected."""
    kind = restore_type(machine, expected)
    for one in CONSEQUENCES:
        if one.type is kind and one.applies(machine):
            yield f"{machine.name}: {one.words} ({one.source})"


def _is_asked(row: Row, machine: ObservedVm, *, untouched: bool) -> bool:
    match row.until:
        case Until.RECONCILED:
            return not machine.created
        case Until.TOUCHED:
            return untouched
        case _:
            return True


def _said(value: str | None) -> str:
    return "missing" if value is None else value or "empty"
