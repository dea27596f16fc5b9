"""What a drill came to, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.findings import Verdict
from velero_vmservice.cli.preflight.view import STYLES
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.drill.judging import would_fail
from velero_vmservice.drill.model import IN_WORDS, Trial
from velero_vmservice.drill.page import render
from velero_vmservice.report.html.timeline import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.drill.model import DrillReport
    from velero_vmservice.drill.store import StoredDrill

_COLUMNS: Final = (
    Column("VERDICT"),
    Column("APPLICATION"),
    Column("INTO"),
    Column("VMS"),
    Column("TRIED"),
    Column("OBJECTS", wide=True),
    Column("WHY"),
)
_LIST_COLUMNS: Final = (Column("DRILL"), Column("STARTED"), Column("ENDPOINT", wide=True), Column("WHERE"))


def drill_table(report: DrillReport, *, where: str, page: str = "") -> Table:
    """Return a drill, application by application; its document is the stored report."""
    capture, against = report.capture, report.target
    target = " ".join(filter(None, (against.cluster, f"({against.release})" if against.release else "")))
    return Table(
        columns=_COLUMNS,
        rows=[_row(each, report) for each in report.applications],
        document=report.model_dump(mode="json"),
        above=[f"drill of {capture.name}/{capture.started} against {target}"],
        below=tuple(_below(report, where, page)),
        page=lambda: render(report),
    )


def list_table(drills: Sequence[StoredDrill]) -> Table:
    """Return the drills that are stored."""
    return Table(
        columns=_LIST_COLUMNS,
        rows=[Row(name=str(each), cells=(each.name, each.started, each.store.endpoint, each.where)) for each in drills],
        document=[
            {"drill": each.name, "started": each.started, "endpoint": each.store.endpoint, "where": each.where}
            for each in drills
        ],
        below=("show one: velero-vmservice drill show NAME/TIME",),
    )


def _row(application: ApplicationVerdict, report: DrillReport) -> Row:
    objects = [each for each in report.objects if each.belongs_to(application)]
    tried = sum(Trial(each.trial).tried for each in objects)
    namespace = application.namespace
    refused = [
        f"{each.kind} {each.target}/{each.name} {each.trial}: {each.message or each.reason}"
        for each in objects
        if each.trial == Trial.NOT_ASKED or would_fail(each, other=report.target.other)
    ]
    return Row(
        name=f"{namespace}/{application.name}",
        cells=(
            (application.verdict, STYLES[Verdict(application.verdict)]),
            f"{namespace}/{application.name}",
            report.namespace_mapping.get(namespace, namespace),
            str(len(application.vms)),
            f"{tried}/{len(objects)}",
            ", ".join(f"{each.kind}/{each.name} {each.trial}" for each in objects),
            Sentences(*refused, *(finding.sentence(namespace) for finding in application.reasons)),
        ),
    )


def _below(report: DrillReport, where: str, page: str) -> Iterator[str]:
    for sentence in report.not_tried:
        yield f"not tried: {sentence}"
    if report.last_restore is not None:
        last = report.last_restore
        yield f"the last restore, {last.restore}, took {duration(last.seconds)} and ended {last.outcome}"
    else:
        yield "no restore of these namespaces has a report"
    yield f"{report.verdict}: {IN_WORDS[report.verdict]}"
    if page:
        yield f"page: {page}"
    if where:
        yield f"report: {where}"
