"""`velero-vmservice report`: show the report of a restore, and list those that are in the buckets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from velero_vmservice import documents
from velero_vmservice.archive import schema
from velero_vmservice.cli import access
from velero_vmservice.cli.captures.naming import restore_names
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.options import by_default, examples, output, read_time, table_output
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.report import render_terminal
from velero_vmservice.cli.views.table import Column, Output, Row, Table
from velero_vmservice.errors import NotFound
from velero_vmservice.report.model import Report
from velero_vmservice.report.store import PAGE, REPORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.report.finding import Search, StoredReport


@click.group(cls=by_default("show"))
def report() -> None:
    """Show the report of a restore (report RESTORE), or list the reports that are stored (report list)."""


@report.command(
    epilog=examples(
        "report nightly-20261130-1",
        "report nightly-20261130-1 -o html > report.html",
        "report nightly-20261130-1 -o yaml",
        "report show nightly-20261130-1 --started 2026-11-30T11:42:40Z",
    )
)
@click.argument("restore", shell_complete=restore_names)
@click.option("--started", default="", callback=read_time, metavar="TIME", help="Of the run that started then.")
@output("text", "json", "yaml", "html")
def show(restore: str, started: str, form: str) -> None:
    """Show the report of RESTORE: of Velero's own run, or of the one that started at TIME.

    A run of `restore BACKUP` has the backup's name, one of `restore --resume RESTORE` that restore's.
    """
    _, plugin = access.connect()
    reports = plugin.reports
    own = reports.run(restore)
    search = reports.search(restore, location=own.location)
    chosen = _chosen(search, restore, started=started or own.started)
    if not started and (others := [stored for stored in search.reports if stored is not chosen]):
        terminal.remark(f"{restore} has reports of other runs too: {_commands(others)}")
    body = chosen.read(PAGE if form == "html" else REPORT)
    if form == "text":
        render_terminal(documents.parse(Report, body, key=chosen.where), terminal.console())
    elif form == "yaml":
        terminal.write_yaml(json.loads(body))
    else:
        terminal.write(body.decode())


@report.command("list", epilog=examples("report list", "report list nightly-20261130-1 -o yaml"))
@click.argument("restore", default="", shell_complete=restore_names)
@table_output
def list_(restore: str, *, output: Output) -> None:
    """List the reports in the buckets of all backup storage locations, or those of RESTORE."""
    _, plugin = access.connect()
    search = plugin.reports.search(restore)
    for error in search.unread:
        terminal.remark(f"not searched: {error.message}")
    if not search.reports and output.tabular:
        raise (
            search.unread[0]
            if search.unread
            else NotFound(
                f"no report of {restore} is stored" if restore else "no report is stored",
                hint="wait until the last object of a restore has ended: the report is stored then",
            )
        )
    Table(
        columns=(Column("STARTED"), Column("RESTORE"), Column("ENDPOINT", wide=True), Column("WHERE")),
        rows=[
            Row(
                name=f"{stored.restore}/{stored.started}",
                cells=(_iso(stored.started), stored.restore, stored.store.endpoint, stored.where),
            )
            for stored in search.reports
        ],
        document=[_described(stored) for stored in search.reports],
        below=("show one: velero-vmservice report RESTORE --started TIME",),
    ).show(output)


def _chosen(search: Search, restore: str, *, started: str) -> StoredReport:
    """Return the report of a run, or the only one where no run is known."""
    reports = [report for report in search.reports if started in ("", report.started)]
    if len(reports) == 1:
        return reports[0]
    if len(reports) > 1:
        same = len({report.started for report in reports}) == 1
        where = "; ".join(report.where for report in reports)
        raise WrongUsage(
            f"{restore} has {len(reports)} reports, and it is not clear which is meant: {where}",
            hint="read the right one with a tool for buckets" if same else f"choose one: {_commands(reports)}",
        )
    if search.unread:
        raise search.unread[0]
    hint = f"wait until the last object has ended: velero restore describe {restore} --details says how far it is"
    if others := search.reports:
        hint = f"read the report of another run: {_commands(others)}"
    which = f"the run of {restore} that started at {_iso(started)}" if started else restore
    raise NotFound(f"no report of {which} is stored", hint=hint)


def _commands(reports: Sequence[StoredReport]) -> str:
    return "; ".join(f"velero-vmservice report {report.restore} --started {report.started}" for report in reports)


def _described(report: StoredReport) -> dict[str, str]:
    return {"started": _iso(report.started), "restore": report.restore, "where": report.where}


def _iso(started: str) -> str:
    return f"{schema.moment(started):%Y-%m-%dT%H:%M:%SZ}"
