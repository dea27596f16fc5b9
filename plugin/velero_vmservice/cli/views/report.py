"""The report of a restore on a terminal: next steps first, then warnings, then every object and the VMs that deviate.

On a terminal it is drawn as tables; where it is piped each row is one line without colour, so that grep finds it whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from velero_vmservice.report.html import badges
from velero_vmservice.report.html.timeline import before_resumed
from velero_vmservice.text import spelled_out
from velero_vmservice.vmoperator.backup_version import VersionAge, recorded_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from velero_vmservice.report.html.badges import Look
    from velero_vmservice.report.model import NextStep, Report, Result, VmResult

_COLOURS: Final = {"good": "green", "bad": "red", "warn": "yellow", "kept": "magenta", "idle": "dim"}

Row = tuple["Look", str, str]
"""State, name and text."""


def render_terminal(report: Report, console: Console) -> None:
    """Print the report."""
    outcome = badges.OUTCOMES[report.outcome]
    _say(console, f"Restore {report.restore} of backup {report.backup}: ", (outcome.word, _COLOURS[outcome.tone]))
    for name, value in _facts(report):
        _say(console, f"{name}: {value}")
    _steps(console, report.to_do)
    _list(console, f"Warnings ({len(report.warnings)})", report.warnings, mark=("! ", "yellow"))
    _list(console, "Notes", report.notes)
    _list(console, "Not in the backup", report.not_in_backup, mark="- ")
    _rows(console, f"Objects ({len(report.objects)})", "object", [_object(item) for item in report.objects])
    odd = [_vm(vm) for vm in report.machines if not badges.vm(vm).calm]
    if odd:
        title = f"VMs that are not as expected ({len(odd)} of {len(report.machines)})"
        _rows(console, title, "machine", odd)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    """Return the restore's backup, target, times and versions, as far as they are known."""
    cluster_id = f" ({report.cluster_id})" if report.cluster_id else ""
    facts = {
        "VADP job": report.vadp_job,
        "restore point": report.vadp_restore_point,
        "cluster": f"{report.cluster}{cluster_id}".strip(),
        "started": report.started,
        "resumed": ", ".join(report.resumes or (report.resumed,)),
        "ended": report.ended,
        "plugin": report.plugin,
        "Velero": report.velero,
    }
    return ((name, value) for name, value in facts.items() if value)


def _steps(console: Console, steps: Iterable[NextStep]) -> None:
    _title(console, "Next step")
    for number, step in enumerate(steps, start=1):
        _say(console, f"{number}. {step.words}")
        for command in step.commands:
            _say(console, f"   {command}")


def _list(console: Console, title: str, sentences: Sequence[str], *, mark: str | tuple[str, str] = "") -> None:
    if sentences:
        _title(console, title)
    for sentence in sentences:
        _say(console, mark, sentence)


def _object(result: Result) -> Row:
    changes = [
        f"{change.path}: {change.captured or 'absent'} in the backup, {change.live or 'absent'} live"
        for change in result.changes
    ]
    earlier = map(before_resumed, result.ends_before)
    return (
        badges.stage(result.stage),
        result.label,
        "; ".join(filter(None, (result.reason, *earlier, *result.notes, *changes))),
    )


def _vm(vm: VmResult) -> Row:
    return badges.vm(vm), f"{vm.namespace}/{vm.name}", "; ".join(_oddities(vm))


def _oddities(vm: VmResult) -> Iterator[str]:
    if vm.waiting_for:
        yield vm.waiting_for
    if vm.backup_version is VersionAge.OLDER:
        restored, captured = recorded_at(vm.backup_version_found), recorded_at(vm.backup_version_captured)
        yield f"restore point is older than the capture ({restored}, captured {captured})"
    for deviation in vm.deviations:
        note = f" ({deviation.note})" if deviation.note else ""
        yield f"{deviation.attribute} is {deviation.found or 'missing'}, expected {deviation.expected}{note}"


def _rows(console: Console, title: str, noun: str, rows: Sequence[Row]) -> None:
    """Print rows, the most urgent first."""
    _title(console, title)
    ordered = sorted(rows, key=lambda row: row[0].rank)
    if console.is_terminal:
        console.print(_table(noun, ordered))
        return
    width = max((len(look.word) for look, _, _ in ordered), default=0)
    for look, name, text in ordered:
        line = f"{look.word:<{width}}  {name}: {text}" if text else f"{look.word:<{width}}  {name}"
        _say(console, line.replace("\n", " "))


def _table(noun: str, rows: Iterable[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("state", no_wrap=True)
    table.add_column(noun, ratio=2, overflow="fold")
    table.add_column("in words", ratio=3, overflow="fold")
    for look, name, text in rows:
        state = Text(look.word, style=_COLOURS[look.tone])
        table.add_row(state, Text(spelled_out(name)), Text(spelled_out(text)))
    return table


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _say(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print one line as it is: nothing in it is markup, and a command in it can be copied."""
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(spelled_out(text), style=style or None)
    console.print(line, soft_wrap=True)
