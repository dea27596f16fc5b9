"""`velero-vmservice coverage`: which VMs, groups and services are protected, by which capture, and which are not."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.captures.coverage import IN_WORDS, MADE_BY, State
from velero_vmservice.captures.coverage_page import render
from velero_vmservice.cli import access
from velero_vmservice.cli.access import NamespaceOption
from velero_vmservice.cli.exit_codes import ExitCode, worst
from velero_vmservice.cli.options import Duration, examples, table_or_page
from velero_vmservice.cli.views import buckets, terminal
from velero_vmservice.cli.views.progress import progress_of
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.text import age

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.captures.coverage import Coverage, Covered
    from velero_vmservice.cli.views.table import Output

_COLUMNS: Final = (
    Column("OBJECT"),
    Column("STATE"),
    Column("CAPTURE"),
    Column("BY", wide=True),
    Column("AGE"),
    Column("JOB"),
    Column("RESTORE POINT", wide=True),
    Column("APPLICATION", wide=True),
    Column("WHY"),
)
_STYLES: Final = {State.PROTECTED: "green", State.UNPROTECTED: "red", State.UNKNOWN: "yellow"}


@click.command(epilog=examples("coverage", "coverage -n shop -n mail --within 24h", "coverage -o html > coverage.html"))
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    cls=NamespaceOption,
    multiple=True,
    metavar="NS",
    help="Only of this namespace; repeatable. All namespaces without it.",
)
@click.option(
    "--within",
    type=Duration(),
    default="840h",
    show_default="35 days",
    metavar="DURATION",
    help="Captures that began longer ago protect nothing, e.g. 24h.",
)
@table_or_page
def coverage(namespaces: tuple[str, ...], *, within: float, output: Output) -> None:
    """Show which VMs, groups and services are protected, by which capture and VADP job, and which are not.

    A group or service is protected by the newest sealed capture that holds it as it is now, of a Velero backup or of
    the command; a VM by the newest that lists it and names the VADP job which saves its disks.

    Exits with 3 if anything is not protected, with 1 if that is not known.
    """
    _, plugin = access.connect()
    with progress_of("reading captures") as reached:
        covered = plugin.covering.of(namespaces, within=timedelta(seconds=within), read=reached)
    for error in covered.unread:
        terminal.remark(f"not read: {error.message}")
    Table(
        columns=_COLUMNS,
        rows=[_row(entry, covered) for entry in covered.entries],
        document=_document(covered),
        below=_below(covered),
        page=lambda: render(covered, cluster=plugin.cluster.address),
    ).show(output)
    unprotected, unknown = covered.of_state(State.UNPROTECTED), covered.of_state(State.UNKNOWN)
    sys.exit(worst(*[ExitCode.BLOCKED] * bool(unprotected), *[ExitCode.NO_ANSWER] * bool(unknown or covered.unread)))


def _row(entry: Covered, covered: Coverage) -> Row:
    ref, capture = entry.live.ref, entry.capture
    full_name = f"{ref.namespace}/{ref.name}"
    return Row(
        name=full_name if ref.kind == VIRTUAL_MACHINE else f"{ref.kind.name}/{full_name}",
        cells=(
            str(ref),
            (str(entry.state), _STYLES[entry.state]),
            str(capture.ref) if capture else "",
            MADE_BY[capture.ref.maker] if capture else "",
            age(covered.now - capture.started) if capture else "",
            capture.vadp_job if capture else "",
            capture.restore_point if capture else "",
            str(entry.live.application or ""),
            Sentences(*(IN_WORDS[gap] for gap in entry.gaps)),
        ),
    )


def _below(covered: Coverage) -> Sequence[str]:
    if not covered.entries:
        return ("no namespace that was looked at has a VM, a group or a service",)
    protected = covered.of_state(State.PROTECTED)
    left_out = f"; {covered.nodes} nodes of guest clusters are left out" if covered.nodes else ""
    return (f"{protected} of {len(covered.entries)} objects are protected{left_out}",)


def _document(covered: Coverage) -> Mapping[str, Any]:
    return {
        "at": covered.now.isoformat(),
        "since": covered.since.isoformat(),
        "objects": [_described(entry, covered) for entry in covered.entries],
        "guest_cluster_nodes": covered.nodes,
        "unread": buckets.unread_document(covered.unread),
    }


def _described(entry: Covered, covered: Coverage) -> Mapping[str, Any]:
    live, capture = entry.live, entry.capture
    return {
        "kind": live.ref.kind.name,
        "namespace": live.ref.namespace,
        "name": live.ref.name,
        "application": str(live.application) if live.application else None,
        "state": entry.state,
        "reasons": [{"code": gap, "message": IN_WORDS[gap]} for gap in entry.gaps],
        "capture": None
        if capture is None
        else {
            "name": capture.ref.name,
            "started": capture.ref.started,
            "maker": capture.ref.maker,
            "location": capture.ref.location,
            "age_seconds": int((covered.now - capture.started).total_seconds()),
            "vadp_job": capture.vadp_job,
            "restore_point": capture.restore_point,
        },
    }
