"""What a VADP product has saved of VMs: a verdict for each file, or all that is readable of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.cli.views.table import Column, Form, Row, Sentences, Table
from velero_vmservice.vmoperator.backup_version import recorded_at
from velero_vmservice.vsphere.saved.contents import shown
from velero_vmservice.vsphere.saved.findings import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.cli.views.table import Output
    from velero_vmservice.vsphere.saved.examination import Examination
    from velero_vmservice.vsphere.saved.findings import Finding

_STYLES: Final = {
    Verdict.RESTORABLE: "green",
    Verdict.WITH_WARNINGS: "yellow",
    Verdict.NOT_RESTORABLE: "red",
    Verdict.UNREADABLE: "magenta",
}
_ORDER: Final = tuple(Severity)


def verdicts(examinations: Mapping[str, Examination], output: Output) -> Table:
    """Return the table of files; its notes are part of `-o wide` and of what programs read."""
    return Table(
        columns=(
            Column("FILE"),
            Column("VM"),
            Column("VERDICT"),
            Column("API", wide=True),
            Column("RECORDED", wide=True),
            Column("DISKS", wide=True),
            Column("PVCS", wide=True),
            Column("FINDINGS"),
        ),
        rows=[
            Row(
                name=file,
                cells=(
                    file,
                    _vm(examination),
                    (examination.verdict.value, _STYLES[examination.verdict]),
                    examination.vm.version if examination.vm else "",
                    recorded_at(examination.extra.backup_version),
                    str(len(examination.disks.attached)),
                    str(len([disk for disk in examination.disks.listed if disk.claim])),
                    Sentences(*_sentences(examination, notes=output.form is Form.WIDE)),
                ),
            )
            for file, examination in examinations.items()
        ],
        document=[{"file": file, **verdict_document(examination)} for file, examination in examinations.items()],
        below=tuple(_to_do(examinations.values())),
    )


def verdict_document(examination: Examination) -> Mapping[str, Any]:
    """Return the verdict of a file for programs, with every finding."""
    return {
        "verdict": examination.verdict.value,
        "namespace": examination.namespace,
        "name": examination.name,
        "api_version": examination.vm.version if examination.vm else "",
        "backup_version": examination.extra.backup_version,
        "disks": list(_disks(examination)),
        "findings": [
            {
                "finding": finding.kind.value,
                "severity": finding.severity.value,
                "sentence": finding.sentence,
                "hint": finding.hint,
            }
            for finding in _gravest_first(examination)
        ],
    }


def contents_document(examination: Examination) -> Mapping[str, Any]:
    """Return all that is readable of a record and may be shown: of bootstrap objects, no more than their names."""
    return {
        "namespace": examination.namespace,
        "name": examination.name,
        "backup_version": examination.extra.backup_version,
        "recorded_at": recorded_at(examination.extra.backup_version),
        "keys": {key.value: list(spellings) for key, spellings in examination.spellings.items()},
        "disks": list(_disks(examination)),
        "bootstrap_objects": [str(bootstrap) for bootstrap in examination.bootstrap],
        "virtual_machine": shown(examination.vm) if examination.vm else None,
    }


def _disks(examination: Examination) -> Iterator[Mapping[str, str]]:
    """Yield the disks of the file with what is recorded of each, then what is recorded and not in the file."""
    compared = examination.disks
    pairs = [(disk.node, disk.file, compared.recorded.get(disk.node)) for disk in compared.attached]
    for node, file, recorded in [*pairs, *(("", "", disk) for disk in compared.lacking)]:
        yield {
            "node": node,
            "file": file,
            "recorded_file": recorded.file if recorded else "",
            "claim": recorded.claim if recorded else "",
            "uuid": recorded.uuid if recorded else "",
        }


def _vm(examination: Examination) -> str:
    return f"{examination.namespace}/{examination.name}" if examination.name else ""


def _gravest_first(examination: Examination) -> Sequence[Finding]:
    return sorted(examination.findings, key=lambda finding: _ORDER.index(finding.severity))


def _sentences(examination: Examination, *, notes: bool) -> Iterator[str]:
    for finding in _gravest_first(examination):
        if notes or finding.severity is not Severity.NOTE:
            yield f"{finding.severity.value}: {finding.sentence}"


def _to_do(examinations: Collection[Examination]) -> Iterator[str]:
    """Yield each hint once, those of the gravest findings first; notes are part of `-o wide` alone."""
    findings = [finding for examination in examinations for finding in examination.findings]
    for severity in _ORDER:
        if severity is not Severity.NOTE:
            hints = (finding.hint for finding in findings if finding.severity is severity and finding.hint)
            yield from (f"to do: {hint}" for hint in dict.fromkeys(hints))
