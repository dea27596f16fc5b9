"""`velero-vmservice captures prune`: remove captures of the command that newer ones have replaced."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click
from rich.filesize import decimal

from velero_vmservice.captures.pruning.retention import Rules, Verdict
from velero_vmservice.captures.selection import Filter
from velero_vmservice.cli import access
from velero_vmservice.cli.captures import view
from velero_vmservice.cli.exit_codes import ExitCode, worst
from velero_vmservice.cli.options import Duration, examples, from_cluster, table_output
from velero_vmservice.cli.views import buckets
from velero_vmservice.cli.views.progress import progress
from velero_vmservice.cli.views.table import Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.archive.pruning.survey import Removal
    from velero_vmservice.captures.pruning.survey import CaptureSurvey, JudgedCapture
    from velero_vmservice.cli.views.table import Output
    from velero_vmservice.velero.runs import CaptureRef

_COLUMNS: Final = (
    Column("CAPTURE"),
    Column("AGE"),
    Column("VADP JOB"),
    Column("RESTORE POINT"),
    Column("SIZE"),
    Column("WHERE", wide=True),
    Column("REASON"),
)

_REMEDIES: Final = {Verdict.OTHER_CLUSTER: " (--from-cluster names one)"}
"""How the command can be told what it does not know."""


@click.command(
    epilog=examples(
        "captures prune",
        "captures prune --older-than 90d --keep-last 7 --delete",
        "captures prune --vadp-job nightly -n shop --older-than 30d -o json",
    )
)
@click.option(
    "--older-than",
    type=Duration(),
    default="90d",
    show_default=True,
    metavar="DURATION",
    help="Captures as old as that, e.g. 30d; never those of the last 24 hours.",
)
@click.option(
    "--keep-last",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Keep as many of each VADP job and set of namespaces, however old they are.",
)
@view.vadp_job
@view.namespace
@click.option("--delete", "--yes", "delete", is_flag=True, help="Delete what is listed; without it nothing is.")
@from_cluster
@view.location
@table_output
def prune(
    *,
    older_than: float,
    keep_last: int,
    job: str,
    namespace: str,
    from_cluster: str,
    delete: bool,
    location: str,
    output: Output,
) -> None:
    """List captures of `capture` that newer ones have replaced, and delete them with --delete.

    The last good capture of an application is kept by every rule: no newer one holds it whole, with all of its VMs, and
    judges it no worse. So is a capture that is being restored, or was written within 24 hours. A capture without a
    seal is listed a day after its last write. Captures of Velero's backups are left to Velero's retention and to
    `velero-vmservice prune`. Exits with 1 if a bucket could not be listed, with 5 if a document could not be deleted.
    """
    _, plugin = access.connect()
    pruning = plugin.capture_pruning
    rules = Rules(older_than=timedelta(seconds=older_than), keep_last=keep_last)
    survey = pruning.survey(rules, Filter(job=job, namespace=namespace), location=location, from_cluster=from_cluster)
    buckets.remark_unread(survey.unread)
    removals = dict[Any, "Removal"]()
    if delete:
        with progress("deleting", len(survey.removable)) as done:
            for judged in survey.removable:
                removals[judged.entry.ref] = pruning.remove(judged)
                done()
    Table(
        columns=_COLUMNS,
        rows=[_row(judged) for judged in survey.removable],
        document=_document(survey, removals, deleted=delete),
        below=list(_below(survey, removals, deleted=delete)),
    ).show(output)
    refused = any(removal.refused for removal in removals.values())
    sys.exit(worst(*[ExitCode.NO_ANSWER] * bool(survey.unread), *[ExitCode.FAILED] * refused))


def _row(judged: JudgedCapture) -> Row:
    entry, capture = judged.entry, judged.entry.capture
    return Row(
        name=str(entry.ref),
        cells=(
            str(entry.ref),
            view.age(judged.age),
            entry.job,
            entry.restore_point,
            decimal(capture.size),
            capture.where,
            judged.verdict.value,
        ),
    )


def _below(survey: CaptureSurvey, removals: Mapping[CaptureRef, Removal], *, deleted: bool) -> Iterator[str]:
    kept = Counter(judged.verdict for judged in survey.captures if not judged.verdict.removable)
    for verdict, count in kept.items():
        yield f"kept: {_counted(count)}: {verdict.value}{_REMEDIES.get(verdict, '')}"
    if survey.of_velero:
        yield f"kept: {_counted(survey.of_velero)} of Velero's backups: Velero's retention and `prune` remove them"
    yield from buckets.stale_lines(survey.unended, survey.at)
    for removal in removals.values():
        for where, error in removal.refused.items():
            yield f"not deleted: {where}: {error}"
    count = len(survey.removable)
    if not count:
        yield "no capture is to be deleted"
    elif deleted:
        yield f"deleted: {sum(not removal.refused for removal in removals.values())} of {_counted(count)}"
    else:
        yield f"{_counted(count)} would be deleted; repeat the command with --delete"


def _counted(count: int) -> str:
    return f"{count} capture{'s' * (count != 1)}"


def _document(survey: CaptureSurvey, removals: Mapping[CaptureRef, Removal], *, deleted: bool) -> Mapping[str, Any]:
    return {
        "deleted": deleted,
        "captures": [_described(judged, removals.get(judged.entry.ref)) for judged in survey.captures],
        "of_velero": survey.of_velero,
        "unended": buckets.unended_document(survey.unended, survey.at),
        "unread": buckets.unread_document(survey.unread),
    }


def _described(judged: JudgedCapture, removal: Removal | None) -> Mapping[str, Any]:
    entry = judged.entry
    return {
        **view.described(entry.capture, entry.seal, entry.fault),
        "age_seconds": int(judged.age.total_seconds()),
        "removable": judged.verdict.removable,
        "verdict": judged.verdict.name.lower().replace("_", "-"),
        "reason": judged.verdict.value,
        **buckets.removal_document(removal),
    }
