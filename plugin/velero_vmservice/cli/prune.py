"""`velero-vmservice prune`: remove captures without a backup and old results of restores; a dry run unless asked."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click
from rich.filesize import decimal

from velero_vmservice.archive.pruning.decision import Verdict
from velero_vmservice.archive.pruning.stored_runs import Area
from velero_vmservice.cli import access
from velero_vmservice.cli.exit_codes import ExitCode, worst
from velero_vmservice.cli.options import Duration, examples, table_output
from velero_vmservice.cli.views import buckets
from velero_vmservice.cli.views.table import Column, Output, Row, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.archive.pruning.survey import JudgedRun, Removal, Survey

_COLUMNS: Final = (
    Column("WHAT"),
    Column("NAME"),
    Column("STARTED"),
    Column("AGE"),
    Column("SIZE"),
    Column("DOCUMENTS"),
    Column("WRITTEN", wide=True),
    Column("ENDPOINT", wide=True),
    Column("REASON", wide=True),
    Column("WHERE"),
)
_UNSHARED: Final = "--own-bucket-unshared"
_REMEDIES: Final = {
    Verdict.ORIGIN_UNKNOWN: f" (if it holds none, add {_UNSHARED})",
    Verdict.NO_VELERO: " (if it has one, name its namespace in velero_namespace)",
}
"""How the command can be told what it does not know."""


@click.command(epilog=examples("prune", "prune --older-than 90d --delete"))
@click.option(
    "--older-than",
    type=Duration(),
    default="30d",
    show_default=True,
    metavar="DURATION",
    help="Results of restores, and drills, as old as that, e.g. 12h or 30d; never those of the last 24 hours.",
)
@click.option("--delete", "--yes", "delete", is_flag=True, help="Delete what is listed; without it nothing is.")
@click.option(
    _UNSHARED,
    "own_bucket_unshared",
    is_flag=True,
    help="List captures in the settings' own bucket too: say so only if no other cluster uses that bucket and prefix,"
    " and Velero still has every location that backups were made in.",
)
@table_output
def prune(older_than: float, *, delete: bool, own_bucket_unshared: bool, output: Output) -> None:
    """List captures without a backup, old results of restores and old drills; delete them with --delete.

    A capture is listed if neither the cluster nor Velero's archive in the bucket has a backup of its name, and no
    restore of it goes on. Nothing is deleted where the list of Backups cannot be read. Without Velero, results and
    drills in the settings' own bucket are listed; `captures prune` is for captures of `capture`. Exits with 1 if a
    bucket could not be listed, with 5 if a document could not be deleted.
    """
    _, plugin = access.connect()
    pruning = plugin.pruning
    survey = pruning.survey(timedelta(seconds=older_than), own_bucket_unshared=own_bucket_unshared)
    buckets.remark_unread(survey.unread)
    removals = {judged.address: pruning.remove(judged) for judged in survey.removable} if delete else {}
    Table(
        columns=_COLUMNS,
        rows=[_row(judged) for judged in survey.removable],
        document=_document(survey, removals, deleted=delete),
        below=list(_below(survey, removals.values(), deleted=delete)),
    ).show(output)
    refused = any(removal.refused for removal in removals.values())
    sys.exit(worst(*[ExitCode.NO_ANSWER] * bool(survey.unread), *[ExitCode.FAILED] * refused))


def _below(survey: Survey, removals: Collection[Removal], *, deleted: bool) -> Iterator[str]:
    for (area, verdict), count in _kept(survey).items():
        yield f"kept: {_counted(count, area)}: {verdict.value}{_REMEDIES.get(verdict, '')}"
    yield from buckets.stale_lines(survey.unended, survey.at)
    for where, error in _refused(removals):
        yield f"not deleted: {where}: {error}"
    yield _ending(survey.removable, removals, deleted=deleted)


def _document(survey: Survey, removals: Mapping[tuple[str, str], Removal], *, deleted: bool) -> Mapping[str, Any]:
    return {
        "deleted": deleted,
        "runs": [_described(judged, removals.get(judged.address)) for judged in survey.runs],
        "unended": buckets.unended_document(survey.unended, survey.at),
        "unread": buckets.unread_document(survey.unread),
    }


def _described(judged: JudgedRun, removal: Removal | None) -> Mapping[str, Any]:
    run = judged.run
    return {
        "what": run.area,
        "name": run.name,
        "started": run.started,
        "written": run.written.isoformat(),
        "age_seconds": int(judged.age.total_seconds()),
        "bytes": run.size,
        "documents": len(run.documents),
        "where": judged.where,
        "endpoint": judged.store.endpoint,
        "removable": judged.verdict.removable,
        "verdict": judged.verdict.name.lower().replace("_", "-"),
        "reason": judged.verdict.value,
        **buckets.removal_document(removal),
    }


def _row(judged: JudgedRun) -> Row:
    run = judged.run
    return Row(
        name=judged.where,
        cells=(
            run.area,
            run.name,
            run.started,
            f"{judged.age.days}d",
            decimal(run.size),
            str(len(run.documents)),
            f"{run.written:%Y-%m-%dT%H:%M:%SZ}",
            judged.store.endpoint,
            judged.verdict.value,
            judged.where,
        ),
    )


def _kept(survey: Survey) -> Counter[Any]:
    kept = (judged for judged in survey.runs if not judged.verdict.removable)
    return Counter((judged.run.area, judged.verdict) for judged in kept)


def _refused(removals: Collection[Removal]) -> Sequence[tuple[str, object]]:
    return [refusal for removal in removals for refusal in removal.refused.items()]


def _ending(removable: Sequence[JudgedRun], removals: Collection[Removal], *, deleted: bool) -> str:
    documents = sum(len(judged.run.documents) for judged in removable)
    if not removable:
        return "nothing is to be deleted"
    if deleted:
        return f"{sum(removal.removed for removal in removals)} of {documents} documents are deleted"
    size = decimal(sum(judged.run.size for judged in removable))
    return f"{documents} documents of {size} would be deleted: repeat the command with --delete"


def _counted(count: int, area: Area) -> str:
    match area:
        case Area.CAPTURE:
            return f"{count} capture{'s' * (count != 1)}"
        case Area.DRILL:
            return f"{count} drill{'s' * (count != 1)}"
        case Area.RESULTS:
            return f"the results of {count} restore{'s' * (count != 1)}"
